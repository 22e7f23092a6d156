"""An exported drive is nuScenes to everyone who reads it: the devkit, our own reader, the labels."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.data.labels import map_elements
from mapkd_core.grid import GRID_60X30
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.export.claim import claim
from mapkd_core.sim.export.nuscenes_folder import OFFICIAL_NAMES, export, sweep_times
from mapkd_core.types import CAMERAS, MapElement

SIZE = (80, 45)


@pytest.fixture(scope="module")
def drives() -> list[SimDrive]:
    """One where traffic keeps right, one left: they stand in two cities."""
    return [SimDrive(seed, size=SIZE, frames=2, keyframe_s=0.2, lidar_sweeps=2) for seed in (3, 1)]


@pytest.fixture(scope="module")
def folder(drives, tmp_path_factory) -> Path:
    return export(drives, tmp_path_factory.mktemp("sim") / "drive", scenes=OFFICIAL_NAMES[:2], sweep_hz=20)


@pytest.fixture(scope="module")
def devkit(folder):
    nuscenes = pytest.importorskip("nuscenes", reason="the official devkit is not installed")
    return nuscenes.NuScenes("v1.0-mini", str(folder), verbose=False)


def distance_m(one: MapElement, others: list[MapElement]) -> float:
    """Farthest that any vertex lies from the nearest element of the same class."""
    from shapely import LineString, MultiLineString, Point

    lines = MultiLineString([LineString(o.points_m) for o in others if o.label == one.label])
    return max(Point(p).distance(lines) for p in one.points_m)


def test_both_kinds_of_traffic_are_here(drives):
    assert [drive.road_map.extras["left_hand"] for drive in drives] == [False, True]


def test_the_devkit_reads_all_tables(devkit, drives):
    assert [scene["name"] for scene in devkit.scene] == list(OFFICIAL_NAMES[:2])
    assert {log["location"] for log in devkit.log} == {"boston-seaport", "singapore-onenorth"}
    assert len(devkit.sample) == 4 and len(devkit.ego_pose) == len(devkit.sample_data)
    for scene in devkit.scene:
        token, seen = scene["first_sample_token"], 0
        while token:
            sample = devkit.get("sample", token)
            assert set(sample["data"]) == {*CAMERAS, "LIDAR_TOP"}
            for name in CAMERAS:
                path, _, intrinsic = devkit.get_sample_data(sample["data"][name])
                assert Path(path).is_file() and intrinsic.shape == (3, 3)
            token, seen = sample["next"], seen + 1
        assert seen == scene["nbr_samples"] == 2


def test_lidar_sweeps_form_a_chain_that_the_devkit_gathers(devkit):
    from nuscenes.utils.data_classes import LidarPointCloud

    sample = devkit.get("sample", devkit.scene[0]["last_sample_token"])
    cloud, ages = LidarPointCloud.from_file_multisweep(devkit, sample, "LIDAR_TOP", "LIDAR_TOP", nsweeps=3)
    assert sorted(set(np.round(ages[0], 3))) == [0.0, 0.05, 0.1]
    assert cloud.points.shape[0] == 4 and cloud.points.shape[1] > 60_000


@pytest.mark.parametrize("location", ["boston-seaport", "singapore-onenorth"])
def test_the_devkits_map_has_our_layers(folder, drives, location):
    api = pytest.importorskip("nuscenes.map_expansion.map_api", reason="the official devkit is not installed")
    nusc_map = api.NuScenesMap(str(folder), location)
    road_map = drives[location != "boston-seaport"].road_map
    counts = {name: len(getattr(nusc_map, name)) for name in ("lane", "lane_divider", "road_divider", "ped_crossing")}
    by_layer = [line.layer for line in road_map.lines]
    assert counts == {
        "lane": len(road_map.lanes),
        "lane_divider": by_layer.count("lane_divider"),
        "road_divider": by_layer.count("road_divider"),
        "ped_crossing": len(road_map.crossings),
    }
    assert len(nusc_map.stop_line) == by_layer.count("stop_line") > 0
    linked = sum(len(links["outgoing"]) for links in nusc_map.connectivity.values())
    assert linked == sum(map(len, road_map.lane_successors)) > 10
    assert sum(record["is_intersection"] for record in nusc_map.road_segment) > 0


def test_lanes_come_back_as_the_curves_they_were(folder, drives):
    api = pytest.importorskip("nuscenes.map_expansion.map_api", reason="the official devkit is not installed")
    from nuscenes.map_expansion.arcline_path_utils import discretize_lane

    nusc_map = api.NuScenesMap(str(folder), "boston-seaport")
    ours = np.concatenate(drives[0].road_map.lane_centres_m) + 450.0  # its place in the city
    for record in nusc_map.lane[:10]:
        points = np.array(discretize_lane(nusc_map.arcline_path_3[record["token"]], 1.0))[:, :2]
        assert max(np.linalg.norm(ours - p, axis=1).min() for p in points) < 0.8


def test_other_cities_open_too_and_are_empty(folder):
    api = pytest.importorskip("nuscenes.map_expansion.map_api", reason="the official devkit is not installed")
    assert api.NuScenesMap(str(folder), "singapore-queenstown").lane == []


def test_labels_images_and_points_are_the_simulators_own(folder, drives):
    pytest.importorskip("nuscenes", reason="the official devkit is not installed")
    from mapkd_core.data.nuscenes import NuScenesSource

    source = NuScenesSource(folder, lidar_sweeps=2)
    read, made = list(source), [frame for drive in drives for frame in drive]
    assert len(read) == len(made) == 4
    for one, two in zip(read, made, strict=True):
        assert one.stamp_ns == two.stamp_ns
        theirs = map_elements(one.vector_map(), one.map_from_base, GRID_60X30)
        ours = map_elements(two.vector_map(), two.map_from_base, GRID_60X30)
        assert sorted(e.label for e in theirs) == sorted(e.label for e in ours) and len(ours) >= 3
        assert max(distance_m(e, ours) for e in theirs) < 0.01
        assert max(distance_m(e, theirs) for e in ours) < 0.01
        for a, b in zip(one.views, two.views, strict=True):
            assert a.stamp_ns == b.stamp_ns and a.size == b.size
            assert a.intrinsics == pytest.approx(b.intrinsics)
            assert a.base_from_camera == pytest.approx(b.base_from_camera)
            assert np.abs(a.image.rgb().astype(int) - b.image.rgb()).mean() < 6, "more than JPEG's loss"
        assert one.lidar()[:, :3] == pytest.approx(two.lidar()[:, :3], abs=2e-4)
        assert one.lidar()[:, 3:] == pytest.approx(two.lidar()[:, 3:], abs=1e-4)


def test_the_basemap_shows_road_where_the_vehicle_drives(devkit):
    for sample in devkit.sample:
        pose = devkit.get("ego_pose", devkit.get("sample_data", sample["data"]["LIDAR_TOP"])["ego_pose_token"])
        log = devkit.get("log", devkit.get("scene", sample["scene_token"])["log_token"])
        mask = devkit.get("map", log["map_token"])["mask"]
        x, y = pose["translation"][:2]
        assert mask.is_on_mask(x, y)[0] and not mask.is_on_mask(5.0, 5.0)[0]


def test_an_export_goes_on_where_it_stopped(drives, folder):
    images = sorted(folder.glob("samples/CAM_FRONT/*.jpg"))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("samples/*/*")}
    tables = (folder / "v1.0-mini" / "sample_data.json").read_bytes()
    images[0].unlink()
    export(drives, folder, scenes=OFFICIAL_NAMES[:2], sweep_hz=20)
    after = {path: path.stat().st_mtime_ns for path in folder.glob("samples/*/*")}
    assert set(after) == set(before)
    frame = images[0].name.split("__")[0]
    rewritten = {path for path in after if after[path] != before[path]}
    assert images[0] in rewritten and len(rewritten) == 6 and all(frame in path.name for path in rewritten)
    assert (folder / "v1.0-mini" / "sample_data.json").read_bytes() == tables


def test_sweeps_fill_the_time_between_keyframes():
    drive = SimDrive(1, size=SIZE, frames=2)
    times = sweep_times(drive, 20)
    assert len(times) == 18 and np.diff([*times[9:], drive.time_s(1)]) == pytest.approx(np.full(9, 0.05))
    assert times[0] == pytest.approx(drive.time_s(0) - 0.45) and sweep_times(drive, 0) == []


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something else"):
        export([SimDrive(1, size=SIZE, frames=1)], tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.txt"]


def test_real_and_procedural_roads_of_one_city_do_not_mix(tmp_path, dataroot):
    pytest.importorskip("nuscenes", reason="the official devkit is not installed")
    drives = [SimDrive(k, "boston-seaport", size=SIZE, frames=1, dataroot=dataroot) for k in range(2)]
    with pytest.raises(ValueError, match="one road map for each location"):
        export(drives, tmp_path / "x")


@pytest.mark.slow
def test_workers_write_the_same_files(drives, folder, tmp_path):
    export(drives, tmp_path / "two", scenes=OFFICIAL_NAMES[:2], sweep_hz=0, workers=2)
    for path in (tmp_path / "two" / "samples").glob("*/*"):
        assert path.read_bytes() == (folder / "samples" / path.parent.name / path.name).read_bytes(), path.name
    assert json.loads((tmp_path / "two" / "v1.0-mini" / "scene.json").read_text())[0]["name"] == OFFICIAL_NAMES[0]


def test_an_export_with_other_options_is_refused_and_changes_nothing(tmp_path):
    out = export([SimDrive(3, size=SIZE, frames=1, lidar=False)], tmp_path / "d")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match=r"other options \(size was \[80, 45\], now \[96, 54\]\)"):
        export([SimDrive(3, size=(96, 54), frames=1, lidar=False)], out)
    with pytest.raises(FileExistsError, match="frames was 1, now 2"):
        export([SimDrive(3, size=SIZE, frames=2, lidar=False)], out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_the_note_knows_whatever_an_image_follows_from(tmp_path):
    from dataclasses import fields

    from mapkd_core.sim.export.claim import _facts

    drive = SimDrive(3, size=SIZE, frames=1, lidar=False)
    claim(tmp_path, [drive], ["scene-9001"], "v1.0-mini", 0.0)
    with pytest.raises(FileExistsError, match="own_body was None, now"):
        claim(tmp_path, [drive.with_own_body()], ["scene-9001"], "v1.0-mini", 0.0)
    other_names = {"trajectory": "poses", "dataroot": "map"}
    not_seen = {"lidar_sweeps", "device", "name"}  # the table names each sweep alone; where and under what name it ran
    assert {other_names.get(field.name, field.name) for field in fields(SimDrive)} - not_seen <= _facts(drive).keys()


@pytest.mark.parametrize("version", ["../out", "/tmp/out", ""])
def test_tables_stay_in_the_folder(version, tmp_path):
    with pytest.raises(ValueError, match=r"version .* is no place in"):
        export([SimDrive(3, size=SIZE, frames=1, lidar=False)], tmp_path / "d", version)
    assert not list(tmp_path.iterdir())


def test_cameras_alone_have_the_pose_of_each_keyframe(tmp_path):
    out = export([SimDrive(3, size=SIZE, frames=2, lidar=False)], tmp_path / "d")
    tables = {name: json.loads((out / "v1.0-mini" / f"{name}.json").read_text()) for name in ("sample", "ego_pose")}
    assert {s["timestamp"] for s in tables["sample"]} <= {p["timestamp"] for p in tables["ego_pose"]}
