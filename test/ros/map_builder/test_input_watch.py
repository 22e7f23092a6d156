"""map_builder says what keeps sets out of its map, in the log and for the diagnostics; none is lost in silence."""
from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags has the message classes")

from camera_bags import PLAIN
from street_bags import map_message, pose_message

from mapkd_ros.map_builder import input_watch
from mapkd_ros.map_builder.input_watch import InputWatch
from mapkd_ros.map_builder.waiting_maps import MOST, WaitingMaps

S = 1_000_000_000
TOPIC = "/student_node/vector_map"


class Drive:
    """A clock that the test sets, a watch, and its log."""

    def __init__(self, clock: SimpleNamespace) -> None:
        self.clock, self.log, self.publishers, self.odd = clock, [], 0, ""
        self.waiting = WaitingMaps("auto", "base_link")
        logger = SimpleNamespace(warning=self.log.append, info=self.log.append)
        looks = ((lambda: self.odd, 2),)
        self.watch = InputWatch(self.waiting, TOPIC, lambda topic: self.publishers, logger, looks)

    def take(self) -> list[Any]:
        found = list(self.waiting.placed())
        for _ in found:
            self.watch.placed.tick(self.clock.ns)
        return found

    def map(self, stamp_ns: int) -> list[Any]:
        self.watch.came.tick(self.clock.ns)
        self.waiting.add(map_message(PLAIN, [], stamp_ns))
        return self.take()

    def pose(self, stamp_ns: int, parent: str = "odom", x_m: float = 0.0) -> list[Any]:
        pose = np.eye(4)
        pose[0, 3] = x_m
        message = pose_message(PLAIN, pose, stamp_ns, parent)
        self.watch.bad(self.waiting.transforms.update(message.transforms, fixed=False))
        return self.take()

    def wait(self, seconds: float) -> list[str]:
        """What is logged meanwhile."""
        before = len(self.log)
        for _ in range(round(seconds)):
            self.clock.ns += S
            self.watch.tick()
        return self.log[before:]

    @property
    def trouble(self) -> str:
        return self.watch.trouble(self.clock.ns)


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    clock = SimpleNamespace(ns=100 * S)
    monkeypatch.setattr(input_watch.time, "monotonic_ns", lambda: clock.ns)
    yield Drive(clock)


def test_it_says_that_no_map_comes_and_whether_anybody_sends(drive: Drive) -> None:
    assert drive.wait(3) == []
    assert drive.wait(1) == [f"no map on {TOPIC}: it has no publisher"]
    drive.publishers = 1
    assert drive.trouble == f"no map on {TOPIC}: it has a publisher"
    assert len(drive.wait(60)) == 4  # with growing pauses


def test_odometry_that_stops_in_mid_drive_is_told_and_so_is_its_return(drive: Drive) -> None:
    for k in range(5):
        drive.pose(k * S)
        assert drive.map(k * S) and not drive.wait(1) and not drive.trouble
    told = [line for k in range(5, 15) for line in (drive.map(k * S), drive.wait(1))[1]]
    assert told and told[0].startswith("no set comes into the map any more: ") and "the nearest pose" in told[0]
    assert drive.trouble == drive.watch.trouble(drive.clock.ns)
    for k in range(5, 16):
        drive.pose(k * S)
    assert drive.wait(1) == ["sets come into the map"] and not drive.trouble


def test_transforms_that_are_none_are_counted_and_told_once(drive: Drive) -> None:
    for k in range(3):
        drive.pose(k * S, x_m=float("nan"))
    assert drive.watch.bad_transforms == 3
    assert len(drive.log) == 1 and "'odom' <- 'base_link'" in drive.log[0] and "no place on Earth" in drive.log[0]


def test_two_parents_are_told_once_and_maps_are_placed_in_one_frame(drive: Drive) -> None:
    placed = []
    for k in range(8):
        drive.pose(k * S // 10, "odom", x_m=k)
        drive.pose(k * S // 10, "map", x_m=100 + k)
        placed += drive.map(k * S // 10 - S // 20)
    assert [one.map_from_base[0, 3] for one in placed] == pytest.approx([100.5 + k for k in range(7)])
    told = [line for line in drive.wait(3) if "parents" in line]
    assert len(told) == 1 and "frame 'base_link' has 2 parents, map, odom" in told[0]


def test_what_lasts_is_told_beside_it(drive: Drive) -> None:
    drive.odd = "2 publishers"
    assert drive.wait(3).count("2 publishers") == 1
    assert drive.watch.warnings(drive.clock.ns) == [f"no map on {TOPIC}: it has no publisher", "2 publishers"]
    drive.odd = ""
    drive.wait(1)
    assert "2 publishers" not in drive.watch.warnings(drive.clock.ns)


def test_a_bag_that_is_played_again_is_not_held_up_by_a_map_of_the_pass_before(drive: Drive) -> None:
    for _ in range(2):
        for k in range(20):
            drive.pose(k * S)
            assert len(drive.map(k * S)) == 1
        drive.map(20 * S)  # its pose never comes
    assert drive.waiting.lost == {"time jumped back before its pose had come": 1}


def test_losses_are_counted_by_what_they_are_and_not_by_their_figures(drive: Drive) -> None:
    drive.pose(100 * S)
    for k in range(10):
        drive.map(k * S // 3)
    assert drive.waiting.lost == {"no pose at its stamp: too far from the nearest": 10}
    assert "-97.00 s" in drive.waiting.last_reason
    for k in range(MOST + 3):
        drive.map(101 * S + k * S // 10)
    assert drive.waiting.lost["too far from the nearest"] == 3
