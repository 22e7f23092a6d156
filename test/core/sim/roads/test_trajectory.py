from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.geometry import transform, transform_from_yaw, yaw_of
from mapkd_core.schema import FileFault
from mapkd_core.sim.roads.procedural import procedural_map
from mapkd_core.sim.roads.trajectory import Trajectory, drive_along, lane_path, read_poses, through_poses
from mapkd_core.vector_map import VectorMap


@pytest.fixture(scope="module")
def road_map():
    return procedural_map(2)


def ramp(xy: np.ndarray) -> np.ndarray:
    return 0.1 * np.asarray(xy)[..., 0]


def test_a_drive_is_smooth_and_stays_near_its_lanes(road_map):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        path = lane_path(road_map, rng, 150.0)
        drive = drive_along(path, rng, 15.0)
        poses = np.stack([drive.pose(t) for t in np.arange(0, 15, 0.05)])
        speed = np.linalg.norm(np.diff(poses[:, :2, 3], axis=0), axis=1) / 0.05
        assert speed.max() < 14.5 and np.abs(np.diff(speed)).max() / 0.05 < 4
        yaw = np.unwrap(np.arctan2(poses[:, 1, 0], poses[:, 0, 0]))
        assert np.abs(np.diff(yaw) / 0.05).max() < 1.0
        heading = np.arctan2(*np.diff(poses[:, :2, 3], axis=0).T[::-1])
        moving = speed > 1
        difference = (heading - yaw[:-1] + np.pi) % (2 * np.pi) - np.pi
        assert np.abs(difference[moving]).max() < 0.12, "it drives where it looks"
        lanes = np.concatenate(road_map.lane_centres_m)
        off = [np.linalg.norm(lanes - p, axis=1).min() for p in poses[::20, :2, 3]]
        assert np.median(off) < 1.2 and max(off) < 2.6


def test_pitch_and_height_follow_the_ground():
    drive = Trajectory(np.stack([np.arange(0, 50, 0.5), np.zeros(100)], 1), np.arange(100) * 0.05, ramp, sway_rad=0.0)
    pose = drive.pose(2.0)
    assert pose[:3, 3] == pytest.approx([20, 0, 2.0], abs=1e-6)
    assert pose[2, 0] == pytest.approx(np.sin(np.arctan(0.1))), "the nose points uphill"
    assert pose[2, 1] == pytest.approx(0, abs=1e-9)


def test_the_body_sways_a_little_and_the_same_every_time():
    path = np.stack([np.arange(0, 50, 0.5), np.zeros(100)], 1)
    one, two = (Trajectory(path, np.arange(100) * 0.05, sway_seed=4) for _ in range(2))
    pitch = np.array([one.pose(t)[2, 0] for t in np.arange(0, 4, 0.1)])
    assert 0.001 < pitch.std() < 0.02
    assert np.array_equal(one.pose(1.3), two.pose(1.3))


def test_through_poses_passes_them():
    times = np.arange(6) * 0.5
    poses = [transform_from_yaw(4 * t, 0.2 * t * t, np.arctan2(0.4 * t, 4)) for t in times]
    drive = through_poses(times, poses)
    for t, pose in zip(times[1:-1], poses[1:-1], strict=True):
        assert drive.pose(t)[:2, 3] == pytest.approx(pose[:2, 3], abs=0.05)
        assert yaw_of(drive.pose(t)) == pytest.approx(yaw_of(pose), abs=0.03)


def test_too_few_poses_are_refused():
    with pytest.raises(ValueError, match="expected three or more"):
        through_poses([0, 1], [np.eye(4)] * 2)


def test_an_area_without_lanes_is_refused(road_map):
    with pytest.raises(ValueError, match="choose another area"):
        lane_path(road_map, np.random.default_rng(0), 50.0, lambda points: np.zeros(len(points), bool))
    with pytest.raises(ValueError, match="'bicycles' has no lane of 12 m"):
        lane_path(VectorMap("bicycles"), np.random.default_rng(0), 50.0)


def test_poses_of_a_real_scene_can_be_driven(dataroot):
    path = dataroot / "poses.json"
    if not path.is_file():
        pytest.skip(f"{path} with a real scene's poses is not there")
    drive, records = read_poses(path), json.loads(path.read_text())["poses"]
    for record in records[3:-3:7]:
        at = drive.pose((record["timestamp_us"] - records[0]["timestamp_us"]) * 1e-6)
        assert at[:2, 3] == pytest.approx(record["translation"][:2], abs=0.1)
        real = transform(record["translation"], record["rotation_wxyz"])
        assert np.cos(yaw_of(at) - yaw_of(real)) > np.cos(0.05)


def pose(**changes):
    return {"timestamp_us": 0, "translation": [0, 0, 0], "rotation_wxyz": [1, 0, 0, 0], **changes}


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({"t": 1}, r"poses\[3\] is an object .*expected the key 'timestamp_us'"),
        (pose(timestamp_us=2_000_000, translation=[3, 4]), "translation is"),
        (pose(timestamp_us=1_000_000), r"poses\[3\] is 0 m and 0 s after the one before"),
        (pose(timestamp_us=2_000_000, translation=[500, 0, 0]), "500 m and 1 s after .* at most 60 s and 100 m/s"),
        (pose(timestamp_us=10**12), "expected poses in order"),
        (pose(timestamp_us=2_000_000, rotation_wxyz=[0, 0, 0, 0]), r"p\.json: .*quaternion"),
    ],
)
def test_poses_that_cannot_be_driven_are_refused(tmp_path, last, words):
    poses = [pose(), pose(timestamp_us=500_000), pose(timestamp_us=1_000_000), last]
    (tmp_path / "p.json").write_text(json.dumps({"poses": poses}))
    with pytest.raises(FileFault, match=words):
        read_poses(tmp_path / "p.json")


def test_poses_at_many_times_are_those_at_each():
    path = np.stack([np.linspace(0, 60, 121), 3 * np.sin(np.linspace(0, 2, 121))], 1)
    hills = replace(drive_along(path, np.random.default_rng(0), 6.0), height_m=lambda xy: 0.3 * np.sin(xy[..., 0] / 9))
    times = np.array([-0.4, 0.0, 1.7, 3.0, hills.duration_s + 0.8])
    np.testing.assert_array_equal(hills.poses(times), [hills.pose(float(t)) for t in times])
