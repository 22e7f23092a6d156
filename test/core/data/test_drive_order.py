"""Which frames follow one another, and the motion between them, on paper and through augmentation."""
from dataclasses import replace

import numpy as np
import pytest
from toy import ToySamples

from mapkd_core.config import AugmentConfig
from mapkd_core.data.augment import augment
from mapkd_core.data.dataset import Collate
from mapkd_core.data.drive_order import FramePose, current_from_previous, drives_in_order, windows
from mapkd_core.geometry import apply, transform_from_yaw
from mapkd_core.grid import BevGrid

SECOND = 1_000_000_000


def pose(scene, seconds, x=0.0, y=0.0, yaw=0.0):
    return FramePose(scene, round(seconds * SECOND), transform_from_yaw(x, y, yaw))


def test_a_point_of_the_world_is_where_the_motion_says():
    before, now = pose("a", 0, 10.0, 5.0, np.pi / 2), pose("a", 1, 10.0, 7.0, np.pi)
    motion = current_from_previous(before, now)
    # 3 m ahead of the vehicle that looks north is (10, 8): from (10, 7), looking west, 1 m to the right.
    assert np.allclose(apply(motion, [[3.0, 0.0, 0.0]]), [[0.0, -1.0, 0.0]])
    assert np.allclose(current_from_previous(before, replace(before, stamp_ns=SECOND)), np.eye(4))


def test_hills_and_roll_do_not_count():
    tilt = np.eye(4)
    tilt[:3, :3] = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    tilt[2, 3] = 40.0
    before = pose("a", 0, 1.0, 2.0, 0.3)
    now = FramePose("a", SECOND, transform_from_yaw(2.0, 2.0, 0.3) @ tilt)
    assert np.allclose(current_from_previous(before, now), current_from_previous(before, pose("a", 1, 2.0, 2.0, 0.3)))


@pytest.mark.parametrize("now", [
    pose("b", 1), pose("a", 0), pose("a", -1), pose("a", 3.1), FramePose("a", SECOND, None),
    FramePose("a", SECOND, np.full((4, 4), np.nan)),
])
def test_a_frame_follows_only_a_known_one_shortly_before_in_its_drive(now):
    assert current_from_previous(pose("a", 0), now) is None and current_from_previous(None, now) is None
    assert current_from_previous(FramePose("a", 0, None), pose("a", 1)) is None
    assert current_from_previous(pose("a", 0), pose("a", 3)) is not None


def test_drives_and_windows_of_scattered_frames():
    frames = [pose("b", 1), pose("a", 3), pose("b", 0), pose("a", 1), pose("a", 2), pose("b", 9), pose("a", 4)]
    assert drives_in_order(frames) == [[3, 4, 1, 6], [2, 0, 5]]
    assert windows(frames, 3) == [[3, 4, 1], [4, 1, 6]] and windows(frames, 2)[-1] == [2, 0]
    assert windows(frames, 5) == []


def drive(count=3):
    samples = (ToySamples(count)[k] for k in range(count))
    return [
        replace(sample, scene="a", stamp_ns=k * SECOND, map_from_base=transform_from_yaw(1.5 * k, 0.2 * k, 0.1 * k))
        for k, sample in enumerate(samples)
    ]


@pytest.mark.parametrize("changes", [{"yaw_degrees": 30.0, "shift_m": 4.0}, {"yaw_degrees": 30.0, "flip": True}])
def test_a_motion_fits_frames_that_were_changed(changes):
    """A line's vertices of the frame before, moved, are where the same place of the world is in the present one."""
    config, sides = AugmentConfig(**changes), set()
    for seed in range(6):
        before, now = drive()[:2]
        world = np.array([[4.0, 1.0, 0.0], [-3.0, 2.0, 0.0]])
        seen = []
        for sample in (before, now):
            points = apply(np.linalg.inv(sample.map_from_base), world)[:, :2].astype(np.float32)
            line = replace(sample.elements[0], points_m=points)
            # Windows are changed alike as far as mirroring goes; turn and shift may differ.
            seen.append(augment(replace(sample, elements=(line,)), config, np.random.default_rng(seed)))
        motion = current_from_previous(*seen)
        points = np.column_stack([seen[0].elements[0].points_m, np.zeros(2)])
        assert np.allclose(apply(motion, points)[:, :2], seen[1].elements[0].points_m, atol=1e-4)
        sides.add(bool(np.array_equal(seen[0].images, before.images)))
    assert sides == ({True, False} if config.flip else {True})


def test_a_batch_says_which_samples_follow_within_windows():
    samples = drive(4)
    collate = Collate(BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6))
    assert collate(samples).follows is None
    whole = replace(collate, window=4)([*samples[:3], replace(samples[3], scene="b")])
    assert whole.follows.tolist() == [False, True, True, False]
    expected = current_from_previous(samples[0], samples[1])
    assert np.allclose(whole.current_from_previous[1].numpy(), expected, atol=1e-6)
    assert np.allclose(whole.current_from_previous[[0, 3]].numpy(), np.eye(4))
    assert replace(collate, window=2)(samples).follows.tolist() == [False, True, False, True]
