"""Drives on the map of a real log of Argoverse 2: the way, the truth and the paint against the log's own file."""
from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely

from mapkd_core.data.labels import map_elements
from mapkd_core.geometry import apply, inverse, transform_from_yaw, yaw_of
from mapkd_core.grid import GRID_60X30
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.export.placement import PLOT_M, place
from mapkd_core.sim.roads.argoverse2_roads import ARGOVERSE2, argoverse2_map_file

_BESIDE = Path(__file__).resolve().parents[5] / "shared" / "data" / "argoverse2"
LOGS = Path(os.environ.get("MAPKD_ARGOVERSE2", _BESIDE))
pytestmark = pytest.mark.skipif(
    not any(LOGS.glob("*/map/log_map*.json")), reason=f"no log of Argoverse 2 in {LOGS}; set MAPKD_ARGOVERSE2"
)


def _content() -> dict:
    return json.loads(next(LOGS.glob("*/map/log_map*.json")).read_text())


def _xy(line: list[dict]) -> np.ndarray:
    return np.array([[p["x"], p["y"]] for p in line])


def _drive(seed: int) -> SimDrive:
    return SimDrive(seed, road=ARGOVERSE2, size=(352, 128), frames=12, dataroot=LOGS)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_drive_keeps_to_one_lane_after_the_other_the_way_they_run(seed: int) -> None:
    """Each place of the way lies between the two boundaries of a lane for vehicles and heads as these do."""
    lanes = [(_xy(s["left_lane_boundary"]), _xy(s["right_lane_boundary"]))
             for s in _content()["lane_segments"].values() if s["lane_type"] == "VEHICLE"]  # fmt: skip
    areas = np.array([shapely.Polygon(np.concatenate([left, right[::-1]])).buffer(0.3) for left, right in lanes])
    path = _drive(seed).motion.path_m[4:-4:4]
    ways = [b - a for a, b in pairwise(path)]
    assert len(path) > 20
    right_way = 0
    for place_m, way in zip(path, ways, strict=False):
        inside = np.flatnonzero(shapely.contains_xy(areas, *place_m))
        runs = []
        for left, right in (lanes[k] for k in inside):
            near = [side[min(int(np.argmin(np.linalg.norm(side - place_m, axis=1))), len(side) - 2) :][:2]
                    for side in (left, right)]  # fmt: skip
            along = sum((b - a) / np.linalg.norm(b - a) for a, b in near)
            runs.append(along @ way / np.linalg.norm(along) / np.linalg.norm(way))
        right_way += bool(runs) and max(runs) > 0.7
    assert right_way > 0.95 * len(ways)


def test_the_truth_of_a_drive_is_the_logs_map() -> None:
    content, drive = _content(), _drive(7)
    painted = shapely.union_all([
        shapely.LineString(_xy(s[f"{side}_lane_boundary"])) for s in content["lane_segments"].values()
        for side in ("left", "right") if s[f"{side}_lane_mark_type"] not in ("NONE", "UNKNOWN")
    ])  # fmt: skip
    road = shapely.union_all([shapely.make_valid(shapely.Polygon(_xy(a["area_boundary"])))
                              for a in content["drivable_areas"].values()])  # fmt: skip
    edges = [np.concatenate([_xy(c["edge1"]), _xy(c["edge2"])]) for c in content["pedestrian_crossings"].values()]
    walks = shapely.union_all([shapely.MultiPoint(points).convex_hull.boundary for points in edges])
    own = {"divider": painted, "boundary": road.boundary, "ped_crossing": walks}
    seen = set()
    for k in range(0, len(drive), 4):
        x, y, yaw = *drive.motion.pose(drive.time_s(k))[:2, 3], yaw_of(drive.motion.pose(drive.time_s(k)))
        pose = transform_from_yaw(x, y, yaw)  # the map is level
        for element in map_elements(drive.road_map, pose, GRID_60X30, "polygon"):
            points = element.points_m[:, :2].astype(float)
            inner = points[np.all(np.abs(points) < (29.8, 14.8), axis=1)]  # the view's edge cuts crossings
            there = apply(pose, np.column_stack([inner, np.zeros(len(inner))]))[:, :2]
            seen |= {element.label} if len(there) else set()
            assert not len(there) or shapely.distance(shapely.points(there), own[element.label]).max() < 0.25
    assert seen == set(own)


def test_its_export_stands_in_a_plot_of_its_own() -> None:
    first, second = place([_drive(1), _drive(2)], ["a", "b"])
    for placed in (first, second):
        x0, y0, x1, y1 = placed.drive.road_map.road_area.bounds
        low, high = np.array([x0, y0]) + placed.offset_m, np.array([x1, y1]) + placed.offset_m
        assert placed.location == "boston-seaport" and np.all(np.floor(low / PLOT_M) == np.floor(high / PLOT_M))
        moved = placed.map_from_base(1.0)[:2, 3] - placed.drive.motion.pose(1.0)[:2, 3]
        np.testing.assert_allclose(moved, placed.offset_m)
    assert abs(first.offset_m - second.offset_m).max() > 500


@pytest.mark.slow
def test_the_logs_paint_is_in_the_images() -> None:
    """Where the log has a line of white paint, the images are brighter there than beside it, and nowhere else."""
    drive = replace(_drive(5).in_weather("overcast"), size=(704, 256))
    assert drive.conditions is not None
    drive.conditions = replace(drive.conditions, paint_wear=0.0)
    content = _content()
    lines = [_xy(s[f"{side}_lane_boundary"]) for s in content["lane_segments"].values() for side in ("left", "right")
             if s[f"{side}_lane_mark_type"] == "SOLID_WHITE"]  # fmt: skip
    edges = shapely.MultiLineString([_xy(a["area_boundary"]) for a in content["drivable_areas"].values()])
    across = np.array([-0.6, 0.6, -0.12, -0.06, 0.0, 0.06, 0.12])  # beside, and on
    stands_out: dict[bool, list[float]] = {True: [], False: []}
    for index in (0, 3, 6, 9):
        frame = drive[index]
        for view in frame.views:
            pixels, camera_from_map = view.image.rgb().astype(float).mean(2), inverse(
                view.map_from_base @ view.base_from_camera
            )
            for a, b in (pair for line in lines for pair in pairwise(line)):
                normal = np.array([a[1] - b[1], b[0] - a[0]]) / np.linalg.norm(b - a)
                for share in np.arange(0.5, max(np.linalg.norm(b - a), 1)) / max(np.linalg.norm(b - a), 1):
                    if edges.distance(shapely.Point(a + (b - a) * share)) < 1.0:
                        continue  # along the road's edge it is no divider, and not painted
                    for painted, shift in ((True, 0.0), (False, 1.2)):
                        spots = a + (b - a) * share + (across[:, None] + shift) * normal
                        solid = np.column_stack([spots, drive.world.height_m(spots)])
                        camera = apply(camera_from_map, solid)
                        if camera[:, 2].min() < 1 or np.linalg.norm(camera, axis=1).max() > 9:
                            continue
                        u, v = (camera @ view.intrinsics.T)[:, :2].T / camera[:, 2]
                        if u.min() < 0 or u.max() >= 704 or v.min() < 0 or v.max() >= 256:
                            continue
                        values = pixels[v.astype(int), u.astype(int)]
                        stands_out[painted].append(values[2:].max() - values[:2].mean())
    on, off = (np.array(stands_out[painted]) for painted in (True, False))
    assert len(on) > 10 and len(off) > 10
    # a piece that goes on in a longer dashed line is dashed, too: between the dashes there is nothing
    assert np.mean(on > 20) > 0.2 > 0.1 > np.mean(off > 20), (np.percentile(on, [10, 50]), np.percentile(off, [50, 90]))


def test_a_folder_of_logs_takes_turns_and_one_without_is_named(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name / "map").mkdir(parents=True)
        (tmp_path / name / "map" / f"log_map_archive_{name}____PIT_city_1.json").touch()
    assert [argoverse2_map_file(tmp_path, seed).parents[1].name for seed in range(3)] == ["a", "b", "a"]
    assert argoverse2_map_file(tmp_path / "b", 0).parents[1].name == "b"
    with pytest.raises(FileNotFoundError, match="holds no log of Argoverse 2"):
        argoverse2_map_file(tmp_path / "a" / "map", 0)
