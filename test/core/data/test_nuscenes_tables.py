"""Tables in nuScenes' format: read without the devkit, and refused by table, record and value."""
import json
import sys

import numpy as np
import pytest
from tiny_nuscenes import VERSION, write_tiny_nuscenes

from mapkd_core.data.lidar import Sweeps
from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.schema import FileFault


@pytest.fixture
def root(tmp_path):
    return write_tiny_nuscenes(tmp_path, {"scene-a": 3, "scene-b": 2})


def change(root, table, edit):
    """Rewrites a table after `edit` has changed its list of records in place."""
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    edit(rows)
    path.write_text(json.dumps(rows))


def test_neither_the_devkit_nor_its_base_maps_are_needed(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "nuscenes", None)  # importing it fails
    for name in ("map", "attribute", "category", "instance", "sample_annotation", "visibility"):
        (root / VERSION / f"{name}.json").unlink()
    (root / "maps" / "map.png").unlink()
    source = NuScenesSource(root)
    assert [frame.scene for frame in source] == ["scene-a"] * 3 + ["scene-b"] * 2
    assert source[0].lidar().shape == (2, 5) and source[0].views[0].image.rgb().shape == (36, 64, 3)


def test_sweeps_between_keyframes_are_gathered_and_other_sensors_left_out(root):
    def edit(rows):
        last = next(r for r in rows if r["sample_token"] == "scene-a-2" and "LIDAR_TOP" in r["token"])
        between = {**last, "token": "sweep", "is_key_frame": False, "timestamp": last["timestamp"] - 50_000}
        last["prev"] = "sweep"
        rows += [between, {**last, "token": "radar", "calibrated_sensor_token": "cal-radar", "prev": ""}]

    change(root, "sample_data", edit)
    points = NuScenesSource(root, lidar_sweeps=5)[2].lidar()
    np.testing.assert_allclose(points[:, 4], [0, 0, 0.05, 0.05], atol=1e-6)


def test_a_teacher_sees_the_sweeps_that_follow_a_frame(root):
    def chain(rows):
        for k in (1, 2):
            next(row for row in rows if row["token"] == f"scene-a-{k}-LIDAR_TOP")["prev"] = f"scene-a-{k - 1}-LIDAR_TOP"

    change(root, "sample_data", chain)
    middle, last = NuScenesSource(root, lidar_sweeps=Sweeps(2, 1)).frames[1:3]
    points = middle.lidar()
    np.testing.assert_allclose(points[:, 4], [0, 0, 0.5, 0.5, -0.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(points[2:4, 0], points[:2, 0] - 5, atol=1e-5)  # the vehicle drives 5 m between them
    np.testing.assert_allclose(points[4:, 0], points[:2, 0] + 5, atol=1e-5)
    np.testing.assert_array_equal(last.lidar()[:, 4], np.float32([0, 0, 0.5, 0.5]))  # nothing follows
    first = NuScenesSource(root, lidar_sweeps=Sweeps(1, 1, 2))[0]
    np.testing.assert_allclose(first.lidar()[:, 4], [0, 0, -1, -1], atol=1e-6)  # the second after it


def test_a_sweep_stands_where_its_vehicle_stood_as_the_frames_vehicle_sees_it(root):
    """5 m and a quarter turn to the left between them: what was straight ahead is to the right, and nearer."""
    def chain(rows):
        next(row for row in rows if row["token"] == "scene-a-1-LIDAR_TOP")["prev"] = "scene-a-0-LIDAR_TOP"

    def turn(rows):
        rotation = [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]
        for row in rows:
            if row["token"].startswith("scene-a-1-"):
                row["rotation"] = rotation

    change(root, "sample_data", chain)
    change(root, "ego_pose", turn)
    points = NuScenesSource(root, lidar_sweeps=Sweeps(2))[1].lidar()
    ahead_m, aside_m = points[:2, :2]
    np.testing.assert_allclose(points[2:4, :2], [(ahead_m[1], -(ahead_m[0] - 5)), (aside_m[1], -(aside_m[0] - 5))],
                               atol=1e-5)  # fmt: skip


def test_sweeps_lead_back_in_time_and_stay_with_their_sensor(root):
    def itself(rows):
        next(row for row in rows if row["token"] == "scene-a-1-LIDAR_TOP")["prev"] = "scene-a-1-LIDAR_TOP"

    change(root, "sample_data", itself)
    with pytest.raises(FileFault, match="`prev` of 'scene-a-1-LIDAR_TOP' is 'scene-a-1-LIDAR_TOP'; expected an older"):
        NuScenesSource(root, lidar_sweeps=3)

    def camera(rows):
        next(row for row in rows if row["token"] == "scene-a-1-LIDAR_TOP")["prev"] = "scene-a-0-CAM_FRONT"

    change(root, "sample_data", camera)
    with pytest.raises(FileFault, match="'scene-a-0-CAM_FRONT'; expected an older sweep of the same sensor"):
        NuScenesSource(root, lidar_sweeps=3)


def test_a_keyframe_with_two_images_of_one_camera_is_refused(root):
    def edit(rows):
        front = next(row for row in rows if row["token"] == "scene-a-0-CAM_FRONT")
        rows.append({**front, "token": "again"})

    change(root, "sample_data", edit)
    with pytest.raises(FileFault, match="'scene-a-0' has two readings of CAM_FRONT, 'scene-a-0-CAM_FRONT' and 'again'"):
        NuScenesSource(root)


def at(index, **values):
    return lambda rows: rows[index].update(values)


@pytest.mark.parametrize(
    ("table", "edit", "words"),
    [
        ("sample", at(0, next="scene-a-0"), r"sample\.json: keyframe 'scene-a-0' of scene-a comes a second time"),
        ("sample", at(2, next="scene-a-1"), "in a circle or astray"),
        ("sample", at(2, next="scene-b-0"), "'scene-b-0' of scene-a belongs to scene 'scene-b'"),
        ("sample", at(0, next="nowhere"), r"sample\.json names the sample 'nowhere', which sample\.json does not hold"),
        ("sample", at(1, timestamp="soon"), r"sample: \[1\]\.timestamp is 'soon'; expected a whole number"),
        ("sample", lambda rows: rows.append(rows[0]), "token 'scene-a-0' twice"),
        ("sample_data", at(3, filename="../../etc/passwd"), "filename '../../etc/passwd' is no place in"),
        ("sample_data", at(3, filename="/etc/passwd"), "filename '/etc/passwd'"),
        ("sample_data", at(3, width=-1), r"sample_data: \[3\]\.width is -1"),
        ("sample_data", at(0, width=0), "has no width and height"),
        ("sample_data", lambda rows: rows[3].pop("calibrated_sensor_token"), "key 'calibrated_sensor_token'"),
        ("sample_data", at(0, ego_pose_token="x"), "names the ego_pose 'x'"),
        ("sample_data", at(0, sample_token="x"), "names the sample 'x'"),
        ("ego_pose", at(0, rotation=[0, 0, 0, 0]), r"ego_pose: \[0\]\.rotation is .*; expected a unit quaternion"),
        ("ego_pose", at(0, translation=[float("nan"), 0, 0]), "translation is .* with nan"),
        ("ego_pose", at(0, translation=[1, 2]), "expected 3 numbers"),
        ("calibrated_sensor", at(0, camera_intrinsic=[[1, 0], [0, 1]]), "camera_intrinsic is"),
        ("calibrated_sensor", at(0, camera_intrinsic=[]), "has no camera_intrinsic"),
        ("calibrated_sensor", at(0, sensor_token="x"), "names the sensor 'x'"),
        ("scene", at(0, log_token="x"), r"scene\.json names the log 'x'"),
        ("scene", at(0, first_sample_token=""), "first_sample_token is ''"),
        ("log", lambda rows: rows.clear(), "names the log"),
    ],
)
def test_tables_that_cannot_be_are_refused(root, table, edit, words):
    change(root, table, edit)
    with pytest.raises(FileFault, match=words):
        NuScenesSource(root)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[[]]", "null", "[" * 100_000, "[{}]"])
@pytest.mark.parametrize("table", ["scene", "sample_data", "ego_pose"])
def test_another_content_is_refused(root, table, text):
    (root / VERSION / f"{table}.json").write_text(text)
    with pytest.raises(FileFault, match=rf"{table}\.json is not nuScenes' table {table}"):
        NuScenesSource(root)
