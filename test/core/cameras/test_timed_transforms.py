"""Where the vehicle was: transforms of publishers that contradict each other, stand still, or begin anew."""
from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from mapkd_core.cameras.timed_transforms import (
    BEYOND_NS,
    FARTHEST_M,
    LONGEST_GAP_NS,
    NoTransformError,
    TimedTransforms,
    between,
)
from mapkd_core.geometry import apply, transform, transform_from_yaw, yaw_of

S = 1_000_000_000


def take(
    found: TimedTransforms, at_ns: int, parent: str, child: str, x_m: float, fixed: bool = False, yaw: float = 0.0
) -> bool:
    stamp = SimpleNamespace(sec=at_ns // S, nanosec=at_ns % S)
    place = SimpleNamespace(x=x_m, y=0.0, z=0.0)
    turn = SimpleNamespace(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return found.add(parent, child, stamp, place, turn, fixed)


def test_a_chain_is_composed_from_the_child_to_the_ancestor() -> None:
    found = TimedTransforms()
    assert take(found, S, "/map", "odom", 10.0, True, math.pi / 2) and take(found, S, "odom", "/base_link", 3.0)
    pose = found.at("map", "base_link", S)
    assert apply(pose, [1, 0, 0]) == pytest.approx([10, 4, 0]) and found.at("odom", "base_link", S)[0, 3] == 3
    assert found.at("map", "odom", 0) == pytest.approx(pose @ transform((-3, 0, 0)))


def test_between_two_poses_it_moves_straight_and_turns_evenly() -> None:
    pose = between(transform_from_yaw(0, 0, 0.2), transform_from_yaw(4, 8, 0.6), 0.25)
    assert pose[:3, 3] == pytest.approx([1, 2, 0]) and yaw_of(pose) == pytest.approx(0.3)


def test_beyond_the_poses_one_may_come_later_and_none_before() -> None:
    found = TimedTransforms()
    for at in (1, 2):
        take(found, at * S, "map", "base_link", 10.0 * at)
    assert found.at("map", "base_link", S - BEYOND_NS)[0, 3] == 10
    assert found.at("map", "base_link", 2 * S + BEYOND_NS)[0, 3] == 20
    before_ns, after_ns = S - BEYOND_NS - 1, 2 * S + 10 * BEYOND_NS
    for at_ns, later, words in ((before_ns, False, "-0.01 s"), (after_ns, True, "+0.05 s")):
        with pytest.raises(NoTransformError, match=rf"\{words} from the nearest pose") as error:
            found.at("map", "base_link", at_ns)
        assert error.value.later == later


@pytest.mark.parametrize(("gap_ns", "known"), [(LONGEST_GAP_NS, True), (LONGEST_GAP_NS + 10, False)])
def test_over_a_long_gap_nobody_knows(gap_ns: int, known: bool) -> None:
    found = TimedTransforms()
    take(found, S, "map", "base_link", 0.0)
    take(found, S + gap_ns, "map", "base_link", 2.0)
    if known:
        assert found.at("map", "base_link", S + gap_ns // 2)[0, 3] == pytest.approx(1)
        return
    with pytest.raises(NoTransformError, match=r"poses 1\.5 s apart") as error:
        found.at("map", "base_link", S + gap_ns // 2)
    assert not error.value.later


def test_what_is_older_than_is_kept_goes() -> None:
    found = TimedTransforms(keep_s=2.0)
    for at in range(1, 7):
        take(found, at * S, "map", "base_link", float(at))
    assert found.at("map", "base_link", 4 * S)[0, 3] == 4
    with pytest.raises(NoTransformError):
        found.at("map", "base_link", 3 * S)


def test_of_several_parents_the_one_that_leads_to_the_frame_is_followed_and_they_are_told() -> None:
    found = TimedTransforms(keep_s=10.0)
    for k in range(10):
        take(found, k * S // 10, "odom", "base_link", k)
        take(found, k * S // 10, "map", "base_link", 100 + k)
    assert found.at("odom", "base_link", S // 4)[0, 3] == pytest.approx(2.5)
    assert found.at("map", "base_link", S // 4)[0, 3] == pytest.approx(102.5)
    assert found.ancestors("base_link") == ["map", "odom"]
    assert found.parents("odom", "base_link") == ("base_link", ["odom", "map"])
    assert found.parents("base_link", "base_link") is None and found.parents("nowhere", "base_link") is None
    take(found, 12 * S, "odom", "base_link", 0.0)  # nobody says the other any more
    assert found.parents("odom", "base_link") is None


def test_what_moves_goes_before_what_was_said_to_be_fixed() -> None:
    found = TimedTransforms()
    take(found, 0, "odom", "base_link", 0.0, fixed=True)
    assert found.at("odom", "base_link", 5 * S)[0, 3] == 0
    take(found, 5 * S, "odom", "base_link", 7.0)
    take(found, 0, "odom", "base_link", 0.0, fixed=True)
    assert found.at("odom", "base_link", 5 * S)[0, 3] == 7 and found.parents("odom", "base_link") is None


def test_poses_of_a_run_that_began_anew_are_not_blended_with_those_of_the_run_before() -> None:
    found = TimedTransforms(keep_s=10.0)
    for k in range(50):
        take(found, k * S // 10, "odom", "base_link", 3.0 * k)
    take(found, S // 2, "odom", "base_link", 0.0)
    with pytest.raises(NoTransformError) as told:
        found.at("odom", "base_link", S // 2 + S // 20)
    assert told.value.later
    take(found, S // 2 + S // 10, "odom", "base_link", 1.0)
    assert found.at("odom", "base_link", S // 2 + S // 20)[0, 3] == pytest.approx(0.5)


def test_two_publishers_of_different_times_are_suspected_where_stamps_go_back_again_and_again() -> None:
    found = TimedTransforms(keep_s=10.0)
    for k in range(10):
        take(found, k * S // 10, "odom", "base_link", k)
        take(found, 20 * S + k * S // 10, "odom", "base_link", k)
    with pytest.raises(NoTransformError, match="stamps went back 9 times: two publishers") as told:
        found.at("odom", "base_link", S)
    assert told.value.kind == "too far from the nearest"


def test_a_little_disorder_is_sorted_in() -> None:
    found = TimedTransforms(keep_s=10.0)
    for at in (0, 2, 1, 3):
        take(found, at * S // 10, "odom", "base_link", at)
    assert found.at("odom", "base_link", S // 20)[0, 3] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("parent", "x_m", "words"),
    [("odom", float("nan"), "is no place on Earth"), ("odom", 2 * FARTHEST_M, "is no place on Earth"),
     ("base_link", 0.0, "two different frame names"), ("", 0.0, "two different frame names")],
)  # fmt: skip
def test_what_is_no_transform_is_refused_with_the_reason(parent: str, x_m: float, words: str) -> None:
    found = TimedTransforms()
    assert not take(found, 0, parent, "base_link", x_m)
    assert words in found.fault and "'base_link'" in found.fault and not found.ancestors("base_link")
