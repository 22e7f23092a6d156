"""Where the vehicle was: transforms of publishers that contradict each other, stand still, or begin anew."""
from __future__ import annotations

from types import SimpleNamespace

import pytest

from mapkd_core.cameras.timed_transforms import FARTHEST_M, NoTransformError, TimedTransforms

S = 1_000_000_000


def take(found: TimedTransforms, at_ns: int, parent: str, child: str, x_m: float, fixed: bool = False) -> bool:
    stamp = SimpleNamespace(sec=at_ns // S, nanosec=at_ns % S)
    place = SimpleNamespace(x=x_m, y=0.0, z=0.0)
    return found.add(parent, child, stamp, place, SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0), fixed)


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
