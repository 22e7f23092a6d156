from __future__ import annotations

import numpy as np
import pytest
import shapely

from mapkd_core.data.nuscenes_map import coverage, load_vector_map
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.roads.real_roads import cropped, is_complete, real_map

pytest.importorskip("nuscenes", reason="nuScenes' devkit reads the real maps")


def test_geometry_is_the_maps_own_and_paint_is_drawn_by_the_seed(dataroot):
    source, one, two = load_vector_map(dataroot, "singapore-onenorth"), *(
        real_map(dataroot, "singapore-onenorth", seed) for seed in (1, 2)
    )
    assert len(one.lines) == len(source.lines) > 50
    assert all(np.array_equal(a.points_m, b.points_m) for a, b in zip(one.lines, source.lines, strict=True))
    assert one.road_area.symmetric_difference(source.road_area).area < 1e-6
    assert [line.paint for line in one.lines] != [line.paint for line in two.lines]
    assert len({line.paint for line in one.lines}) >= 3


def test_unknown_crossings_are_invented_and_counted(dataroot):
    source = load_vector_map(dataroot, "singapore-hollandvillage")
    assert not source.crossings_known and not source.crossings
    road_map = real_map(dataroot, "singapore-hollandvillage", 3)
    assert road_map.crossings_known and len(road_map.crossings) == road_map.extras["invented_crossings"] > 5
    for crossing in road_map.crossings:
        assert crossing.intersection(road_map.road_area).area > 0.9 * crossing.area


def test_known_crossings_stay_as_they_are(dataroot):
    source = load_vector_map(dataroot, "boston-seaport")
    road_map = real_map(dataroot, "boston-seaport", 3)
    assert road_map.crossings[: len(source.crossings)] == source.crossings
    squares = coverage(dataroot, "boston-seaport")["ped_crossing"]
    for crossing in road_map.crossings[len(source.crossings) :]:
        x, y = crossing.centroid.coords[0]
        assert not any(abs(x - cx) < half - 6 and abs(y - cy) < half - 6 for cx, cy, half in squares)


def test_sd_roads_are_openstreetmaps(dataroot):
    if not (dataroot / "osm").is_dir():
        pytest.skip(f"no SD maps in {dataroot / 'osm'}")
    road_map = real_map(dataroot, "singapore-onenorth", 1)
    lanes = shapely.union_all([shapely.LineString(c) for c in road_map.lane_centres_m if len(c) > 1])
    near = [line for line in road_map.sd_roads_m if shapely.LineString(line).distance(lanes) < 1]
    assert len(near) > 10


def test_a_cropped_map_is_whole_inside(dataroot):
    whole = real_map(dataroot, "singapore-onenorth", 1)
    low, high = np.array([350.0, 1100.0]), np.array([450.0, 1200.0])
    part = cropped(whole, low, high)
    window = shapely.box(*low, *high)
    assert len(part.lines) < len(whole.lines)
    for field in ("road_segments", "lanes"):
        ours, theirs = (shapely.union_all(list(getattr(m, field))).intersection(window) for m in (part, whole))
        assert ours.symmetric_difference(theirs).area < 1e-6
    for centre, followers in zip(part.lane_centres_m, part.lane_successors, strict=True):
        for follower in followers:
            assert np.linalg.norm(part.lane_centres_m[follower][0] - centre[-1]) < 1.5


def test_drives_stay_where_the_map_is_complete_and_in_their_area(dataroot):
    area = (890.0, 400.0, 1630.0, 2200.0)
    for seed in range(3):
        drive = SimDrive(seed, "boston-seaport", frames=6, keyframe_s=1.5, dataroot=dataroot, area_m=area)
        path = drive._planar.path_m
        assert is_complete(dataroot, "boston-seaport", path).mean() > 0.99
        assert np.all(path > np.array(area[:2]) - 3) and np.all(path < np.array(area[2:]) + 3)
