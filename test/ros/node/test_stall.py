"""Each way in which cameras that all send make no set is told with measured facts and a remedy."""
from __future__ import annotations

import pytest

from mapkd_core.cameras.duration_text import duration_text
from mapkd_ros.node.stall import Settings, StallWatch

MS, S = 1_000_000, 1_000_000_000
CAMERAS = ("FRONT", "LEFT", "RIGHT", "BACK")
NOW = 10_000 * S
"""Of the arrivals' clock; stamps are of another."""
EPOCH = 1_700_000_000 * S


def watch(queue_size: int = 4, period_ms: float = 50, seconds: float = 8, **cameras) -> StallWatch:
    """Cameras that send at `period_ms`; NAME=(taken, stamped, arrives) in ms late, or a function of (i, t) -> stamp."""
    one = StallWatch(CAMERAS, Settings("FRONT", 40 * MS, queue_size))
    events = []
    for camera in CAMERAS:
        behaviour = cameras.get(camera, (0, 0, 0))
        for i in range(int(seconds * 1e3 / period_ms)):
            t = round(i * period_ms * MS)
            if callable(behaviour):
                stamp = behaviour(i, t)
                if stamp is not None:
                    events.append((t, camera, stamp))
            else:
                taken, stamped, arrives = behaviour
                events.append((t + (taken + arrives) * MS, camera, EPOCH + t + (taken + stamped) * MS))
    for t, camera, stamp in sorted(events):
        one.see(camera, stamp, NOW + t)
    return one


def reason(one: StallWatch) -> str:
    return one.reason(NOW + 8 * S)


def test_nothing_is_said_before_time_has_passed_or_while_sets_come():
    one = StallWatch(CAMERAS, Settings("FRONT", 40 * MS, 4))
    assert one.without_set_ns(NOW) == 0 and one.reason(NOW) == ""
    one = watch()
    assert reason(one)
    one.formed(NOW + 7 * S)
    assert reason(one) == "" and one.without_set_ns(NOW + 8 * S) == S
    assert one.notes(NOW + 8 * S) == {}


def test_a_late_camera_is_told_with_the_memory_that_it_needs():
    assert reason(watch(BACK=(0, 0, 300))) == (
        "BACK arrives 300 ms after the others, and only 4 images of each camera are kept: set queue_size to 8, or find "
        "out why it is late (link, clock)"
    )
    enough = watch(queue_size=8, BACK=(0, 0, 300))
    assert "arrives" not in reason(enough)
    assert enough.notes(NOW + 8 * S) == {"BACK": ["arrives 300 ms after the others: maps are that old"]}
    assert "FRONT arrives 300 ms" in reason(watch(FRONT=(0, 0, 300)))


def test_stamps_of_another_clock_are_told_with_side_and_distance():
    years = round(56.2 * 365.25 * 86400 * 1e3)
    assert "BACK: its stamps are 56 years behind the others': another clock" in reason(watch(BACK=(0, -years, 0)))
    assert "LEFT: its stamps are 30 s ahead of the others': another clock" in reason(watch(LEFT=(0, 30_000, 0)))


@pytest.mark.parametrize(("offset_ms", "side"), [(-230, "behind"), (-25, "behind"), (75, "ahead")])
def test_a_clock_that_is_a_little_off_is_told_as_a_clock(offset_ms, side):
    one = watch(queue_size=20, period_ms=100, BACK=(0, offset_ms, 0))
    assert f"though they arrive together: its clock is {abs(offset_ms)} ms {side}; set it" in reason(one)


def test_cameras_that_fire_apart_are_told_with_the_window_that_they_need():
    assert reason(watch(period_ms=500, BACK=(140, 0, 0))) == (
        "BACK: its images are 140 ms away from FRONT's by their stamps: trigger the cameras together, or set "
        "window_ms to 140"
    )
    spread = watch(period_ms=500, LEFT=(-30, 0, 0), BACK=(30, 0, 0))
    assert "images of one moment are 60 ms apart by their stamps, window_ms is 40" in reason(spread)


def test_stamps_that_are_0_or_stand_still_are_told_for_all_cameras_at_once():
    zero = watch(**{camera: lambda i, t: 0 for camera in CAMERAS})
    assert reason(zero).startswith("FRONT, LEFT, RIGHT, BACK: all stamps are 0")
    assert reason(watch(LEFT=lambda i, t: 5 * S)).startswith("LEFT: the stamp stays at 5.000 s while images go on")
    rarely = watch(LEFT=lambda i, t: EPOCH + i // 8 * S)
    assert reason(rarely).startswith("LEFT: only 20 of the last 160 stamps differ")


def test_a_slow_camera_is_told_with_both_rates():
    slow = watch(BACK=lambda i, t: EPOCH + t if i % 10 == 0 else None)
    told = "BACK sends 2.0 images a second, the others 20.0: a map needs one of every camera"
    assert reason(slow) == told
    slow.formed(NOW + 8 * S)
    assert slow.notes(NOW + 8 * S) == {"BACK": [told]}


def test_what_has_no_reason_in_stamps_is_not_given_one():
    assert reason(watch()) == "stamps and times of arrival give no reason"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "300 ms"), (-9.94, "9940 ms"), (12, "12 s"), (5400, "5400 s"), (108e3, "30 hours"), (1.77e9, "56 years")],
)
def test_durations_have_the_unit_that_fits(seconds, text):
    assert duration_text(seconds * 1e9) == text
