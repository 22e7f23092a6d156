import json
import shutil

import numpy as np
import pytest
from real_data import NUSCENES, needs_nuscenes
from spawned import in_worker, token_and_map_name

from mapkd_core.data.nuscenes import NuScenesSource, conditions_of
from mapkd_core.data.nuscenes_map import _paint, covers, load_vector_map
from mapkd_core.geometry import apply, inverse, rotation_from_quaternion
from mapkd_core.schema import FileFault
from mapkd_core.types import CAMERAS

pytestmark = needs_nuscenes


@pytest.fixture(scope="module")
def source() -> NuScenesSource:
    return NuScenesSource(NUSCENES)


def test_frames_are_ordered_and_whole(source):
    assert len(source) == 3 and source.scenes == ["scene-0003", "scene-0061", "scene-0103"]
    frame = source[1]
    assert frame.token == "ca9a282c9e77460f8360f564131a8af5" and frame.stamp_ns == 1532402927647951000
    assert tuple(view.name for view in frame.views) == CAMERAS
    front = frame.views[1]
    assert front.stamp_ns == 1532402927612460000 and front.size == (1600, 900)
    np.testing.assert_allclose(front.intrinsics[0], [1266.417203046554, 0, 816.2670197447984])
    np.testing.assert_allclose(front.base_from_camera[:3, 3], [1.70079118954, 0.0159456324149, 1.51095763913])
    # The optical axis of the front camera looks ahead, that of the back camera back.
    assert front.base_from_camera[0, 2] > 0.999 and frame.views[4].base_from_camera[0, 2] < -0.99
    assert front.image.rgb((352, 128)).shape == (225, 400, 3)
    assert frame.conditions == ("singapore-onenorth", "day")


def test_poses_are_those_of_the_tables(source):
    for frame in source:
        poses = json.loads((NUSCENES / "v1.0-mini" / "ego_pose.json").read_text())
        (own,) = [p for p in poses if p["timestamp"] * 1000 == frame.stamp_ns]
        np.testing.assert_allclose(frame.map_from_base[:3, 3], own["translation"])
        np.testing.assert_allclose(frame.map_from_base[:3, :3], rotation_from_quaternion(own["rotation"]))
        for view in frame.views:
            (shot,) = [p for p in poses if p["timestamp"] * 1000 == view.stamp_ns]
            np.testing.assert_allclose(view.map_from_base[:3, 3], shot["translation"])


def test_lidar_stands_on_the_ground_around_the_vehicle(source):
    points = source[1].lidar()
    assert points.dtype == np.float32 and points.shape == (26162, 5)
    near = points[np.hypot(points[:, 0] - 5, points[:, 1]) < 4]
    assert abs(np.median(near[:, 2])) < 0.15  # base_link is at the ground
    assert 0 <= points[:, 3].min() and points[:, 3].max() <= 255 and (points[:, 4] == 0).all()
    assert source[2].lidar is None and NuScenesSource(NUSCENES, lidar_sweeps=0)[1].lidar is None


def test_the_lidar_sits_where_its_calibration_says(source):
    assert source[0].base_from_lidar[0, 3] == pytest.approx(0.943713) and source[2].base_from_lidar is None
    assert np.abs(source[0].base_from_lidar[:3, :3] @ (0, 1, 0) - (1, 0, 0)).max() < 0.05  # its y looks ahead


def test_maps_come_only_where_they_are_complete(source):
    assert [frame.vector_map is not None for frame in source] == [False, True, True]
    assert [frame.scene for frame in source.mapped()] == ["scene-0061", "scene-0103"]
    boston = source[2].vector_map()
    assert boston is load_vector_map(NUSCENES, "boston-seaport") and boston.crossings_known
    assert not source[1].vector_map().crossings_known
    assert (len(boston.dividers), len(boston.crossings)) == (872, 41)
    assert boston.lines[0].layer == "road_divider" and boston.lines[-1].layer == "lane_divider"
    assert covers(NUSCENES, "boston-seaport", 600, 1647) and not covers(NUSCENES, "boston-seaport", 2900, 100)
    assert not covers(NUSCENES, "singapore-queenstown", 600, 1647)


def test_the_vehicle_drives_along_a_lane(source):
    """Some lane centre passes the vehicle within 2 m, in its heading."""
    for frame in source.mapped():
        lanes = [apply(inverse(frame.map_from_base), np.c_[c, np.zeros(len(c))]) for c in
                 frame.vector_map().lane_centres_m]
        passing = [lane for lane in lanes if np.abs(lane[:, :2]).max(1).min() < 2]
        nearest = [int(np.hypot(*lane[:, :2].T).argmin()) for lane in passing]
        ahead = [lane[i] - lane[i - 1] for lane, i in zip(passing, nearest, strict=True) if i]
        assert max(step[0] / np.hypot(*step[:2]) for step in ahead) > 0.9


def test_successors_begin_where_their_lane_ends():
    vector_map = load_vector_map(NUSCENES, "boston-seaport")
    centres, successors = vector_map.lane_centres_m, vector_map.lane_successors
    assert len(centres) == len(successors) == 2359
    gaps = [np.linalg.norm(centres[i][-1] - centres[j][0]) for i, after in enumerate(successors) for j in after]
    assert len(gaps) > 1500 and np.quantile(gaps, 0.99) < 0.1


def test_scenes_and_splits(source):
    assert NuScenesSource(NUSCENES, split="mini_train").scenes == ["scene-0061"]
    assert NuScenesSource(NUSCENES, split="mini_val").scenes == ["scene-0103"]
    assert source.only(split="far_b_val").scenes == ["scene-0003", "scene-0061"]
    assert source.only(scenes=["scene-0103"])[0].token.startswith("3950bd")
    with pytest.raises(ValueError, match=r"unknown scene scene-0553; .*3 scenes: scene-0003, scene-0061, scene-0103"):
        NuScenesSource(NUSCENES, scenes=["scene-0553"])
    with pytest.raises(ValueError, match=r"no scene of split 'test' is here"):
        source.only(split="test")
    with pytest.raises(ValueError, match="give one of them"):
        source.only(split="val", scenes=["scene-0103"])


def test_it_can_be_sent_to_spawned_workers(source):
    token, map_name = in_worker(token_and_map_name, source.only(scenes=["scene-0061"]))
    assert token == source[1].token and map_name == "singapore-onenorth"


def test_errors_say_what_is_missing_and_what_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no nuScenes folder .*absent"):
        NuScenesSource(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"no v1\.0-trainval/; versions here: v1\.0-mini"):
        NuScenesSource(NUSCENES, "v1.0-trainval")
    with pytest.raises(ValueError, match="lidar_sweeps is -1"):
        NuScenesSource(NUSCENES, lidar_sweeps=-1)
    with pytest.raises(FileNotFoundError, match=r"boston\.json.*singapore-onenorth"):
        load_vector_map(NUSCENES, "boston")


def partial_copy(tmp_path, **changes):
    """The tables and base maps alone, some of the tables changed."""
    (tmp_path / "maps").symlink_to(NUSCENES / "maps")
    tables = tmp_path / "v1.0-mini"
    tables.mkdir()
    for path in (NUSCENES / "v1.0-mini").glob("*.json"):
        shutil.copyfile(path, tables / path.name)
    for name, change in changes.items():
        records = json.loads((tables / f"{name}.json").read_text())
        (tables / f"{name}.json").write_text(json.dumps([r for r in records if change(r)]))
    return tmp_path


def test_broken_folders_are_told_at_once(tmp_path):
    root = partial_copy(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"image .*CAM_FRONT_LEFT.* is missing"):
        NuScenesSource(root)
    (root / "v1.0-mini" / "log.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks the tables log\.json"):
        NuScenesSource(root)


def test_a_keyframe_without_a_camera_or_pose_is_named(tmp_path):
    root = partial_copy(tmp_path, sample_data=lambda r: "CAM_BACK/" not in r["filename"])
    with pytest.raises(ValueError, match=r"keyframe fd84\w+ of scene-0003 has no image of CAM_BACK;"):
        NuScenesSource(root)
    (tmp_path / "b").mkdir()
    root = partial_copy(tmp_path / "b", ego_pose=lambda r: not r["token"].startswith("53121f39"))
    with pytest.raises(ValueError, match=r"3950bd\w+ of scene-0103 has neither LIDAR_TOP nor an ego_pose"):
        NuScenesSource(root)


def test_the_map_needs_the_expansion_1_3(tmp_path):
    (tmp_path / "maps" / "expansion").mkdir(parents=True)
    path = tmp_path / "maps" / "expansion" / "singapore-onenorth.json"
    content = json.loads((NUSCENES / "maps" / "expansion" / path.name).read_text())
    for version, words in (("1.0", "version '1.0'; expected map expansion 1.3"), (None, "version null")):
        path.write_text(json.dumps({**content, "version": version}))
        with pytest.raises(FileFault, match=words):
            load_vector_map(tmp_path, path.stem)
    path.write_text(json.dumps({**content, "node": content["node"][1:]}))
    with pytest.raises(FileFault, match=r"no node .*, which a layer names"):
        load_vector_map(tmp_path, path.stem)
    content["node"][5]["x"] = float("nan")
    path.write_text(json.dumps(content))
    with pytest.raises(FileFault, match=r"node\[5\]\.x is nan"):
        load_vector_map(tmp_path, path.stem)


@pytest.mark.slow
def test_maps_and_frames_are_those_of_the_devkit(source):
    nuscenes = pytest.importorskip("nuscenes")
    from nuscenes.map_expansion.arcline_path_utils import discretize_lane
    from nuscenes.map_expansion.map_api import NuScenesMap

    for name in ("boston-seaport", "singapore-onenorth"):
        theirs, ours = NuScenesMap(str(NUSCENES), name), load_vector_map(NUSCENES, name)
        lanes = [r["token"] for r in (*theirs.lane, *theirs.lane_connector) if theirs.arcline_path_3.get(r["token"])]
        for token, centre in zip(lanes, ours.lane_centres_m, strict=True):
            path = theirs.arcline_path_3[token]
            np.testing.assert_allclose(centre, np.array(discretize_lane(path, 1.0))[:, :2], atol=1e-9)
        for theirs_one, crossing in zip(theirs.ped_crossing, ours.crossings, strict=True):
            assert theirs.extract_polygon(theirs_one["polygon_token"]).equals(crossing)
    nusc = nuscenes.NuScenes("v1.0-mini", str(NUSCENES), verbose=False)
    for frame in source:
        data = nusc.get("sample", frame.token)["data"]
        for view in frame.views:
            assert str(view.image.path) == nusc.get_sample_data_path(data[view.name])


def test_conditions():
    assert conditions_of("Night, peds on sidewalk, rain") == ("night", "rain")
    assert conditions_of("After rain, wet ground") == ("day",)
    assert conditions_of("Train crossing, bikes") == ("day",)


def test_a_divider_has_the_paint_of_most_of_its_segments():
    def kinds(*names):
        return _paint([{"segment_type": name} for name in names])

    assert kinds("SINGLE_DASHED_WHITE", "DOUBLE_SOLID_YELLOW", "DOUBLE_SOLID_YELLOW") == ("double", "yellow")
    assert kinds("NIL", "SINGLE_DASHED_WHITE", "SINGLE_DASHED_WHITE") == ("dashed", "white")
    assert kinds("NIL") == ("none", "white") and _paint([]) == kinds("UNKNOWN") == _paint([{}]) == ("solid", "white")
