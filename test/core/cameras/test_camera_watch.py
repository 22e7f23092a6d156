"""Which cameras sets wait for, from when images come."""
from __future__ import annotations

import pytest

from mapkd_core.cameras.camera_watch import CameraWatch

MS = 1_000_000
ALL = ("A", "B", "C")


def run(watch: CameraWatch, cameras: str, begin_ms: int, seconds: float, period_ms: int = 100) -> list[tuple]:
    """Images of these cameras at this rate; returns (ms, expected) for each change."""
    changes = []
    for at_ms in range(begin_ms, begin_ms + round(1000 * seconds), period_ms):
        for place, camera in enumerate(cameras):
            if watch.see(camera, (at_ms + place) * MS):
                changes.append((at_ms, watch.expected))
    return changes


def test_a_camera_is_left_out_after_the_time_and_expected_again_with_its_second_image():
    watch = CameraWatch(ALL, 2.0)
    assert run(watch, "ABC", 0, 1) == [] and watch.left_out == ()
    ((left_ms, expected),) = run(watch, "AC", 1000, 5)
    assert 2900 <= left_ms <= 3000 and expected == ("A", "C") and watch.left_out == watch.silent == ("B",)
    ((back_ms, expected),) = run(watch, "ABC", 6000, 1)
    assert back_ms == 6100 and expected == ALL and watch.left_out == ()


def test_a_camera_that_never_came_is_left_out_counted_from_the_first_image():
    watch = CameraWatch(ALL, 2.0)
    ((left_ms, expected),) = run(watch, "BC", 50_000, 5)
    assert 52_000 <= left_ms <= 52_200 and expected == ("B", "C")


def test_a_pause_of_all_leaves_nobody_out():
    watch = CameraWatch(ALL, 2.0)
    run(watch, "ABC", 0, 1)
    assert run(watch, "ABC", 60_000, 1) == []
    assert run(watch, "A", 120_000, 1) == []  # the others have two seconds from here


def test_slow_rigs_are_not_silent_between_their_images():
    watch = CameraWatch(ALL, 2.0)
    assert run(watch, "ABC", 0, 40, period_ms=4000) == []
    ((left_ms, expected),) = run(watch, "AB", 40_000, 40, period_ms=4000)
    assert left_ms >= 36_000 + 3 * 4000 and expected == ("A", "B")


def test_a_camera_far_faster_than_the_rig_makes_nobody_silent():
    watch, changes = CameraWatch(ALL, 2.0), []
    for at_ms in range(0, 40_000, 100):
        for camera in ALL:
            if (camera == "A" or at_ms % 4000 == 0) and watch.see(camera, at_ms * MS):
                changes.append((at_ms, watch.expected))
    assert [change for change in changes if change[0] > 8000] == [] and watch.expected == ALL


def test_a_camera_far_slower_than_the_rig_stays_out():
    watch = CameraWatch(ALL, 2.0)
    changes = []
    for at_ms in range(0, 30_000, 100):
        for camera in ALL:
            if (camera != "C" or at_ms % 5000 == 0) and watch.see(camera, at_ms * MS):
                changes.append(watch.expected)
    assert changes == [("A", "B")]


def test_all_are_waited_for_where_too_few_or_not_the_required_ones_send():
    watch = CameraWatch(ALL, 2.0, min_cameras=2)
    run(watch, "ABC", 0, 1)
    assert run(watch, "A", 1000, 5) == [] and watch.left_out == ()
    assert watch.reason_to_wait == "1 cameras send, min_cameras is 2"
    assert run(watch, "AB", 6000, 5) == [(6100, ("A", "B"))] and watch.reason_to_wait == ""
    watch = CameraWatch(ALL, 2.0, required=["B"])
    run(watch, "ABC", 0, 1)
    assert run(watch, "AC", 1000, 5) == [] and watch.reason_to_wait == "B: named in required_cameras"
    assert watch.silent == ("B",)


def test_no_time_out_waits_for_ever():
    watch = CameraWatch(ALL, 0.0)
    assert run(watch, "A", 0, 100) == [] and watch.expected == ALL


def test_settings_that_no_set_could_meet_are_refused():
    with pytest.raises(ValueError, match="required_cameras names D; expected some of A, B, C"):
        CameraWatch(ALL, 2.0, required=["D"])
    with pytest.raises(ValueError, match="min_cameras is 4; expected at most the 3"):
        CameraWatch(ALL, 2.0, min_cameras=4)
