"""What is a jump of a pose, and what is driving."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.geometry import transform_from_yaw
from mapkd_core.mapping.motion import Motion

SECOND = 1_000_000_000


def jumps(places: list[tuple[float, float]], period_s: float = 0.1) -> list[int]:
    motion = Motion()
    found = [motion.step(transform_from_yaw(x, y, 0), round(k * period_s * SECOND)) for k, (x, y) in enumerate(places)]
    return [k for k, (_, jumped) in enumerate(found) if jumped]


def test_driving_braking_and_curves_are_no_jumps() -> None:
    assert jumps([(1.5 * k, 0) for k in range(20)]) == []
    speeds = np.concatenate([np.linspace(15, 0, 20), np.zeros(10), np.linspace(0, 15, 40)])
    assert jumps([(x, 0) for x in np.cumsum(speeds * 0.1)]) == []
    angles = np.linspace(0, np.pi, 60)
    assert jumps([(10 * np.sin(a), 10 - 10 * np.cos(a)) for a in angles]) == []


def test_hard_braking_between_poses_a_second_apart_is_no_jump() -> None:
    braking = np.cumsum([15.0, 15.0, 11.5, 8.0, 4.5, 1.0, 0.0])
    assert jumps([(x, 0) for x in braking], 1.0) == []
    assert jumps([(x, 0) for x in np.cumsum([15.0, 15.0, 10.0, 10.0])], 1.0) == [2]


@pytest.mark.parametrize("off", [(0, 0.6), (0.6, 0), (-500, 200)])
def test_a_step_aside_is_one_jump(off: tuple[float, float]) -> None:
    assert jumps([(k + (off[0] if k >= 10 else 0), off[1] if k >= 10 else 0) for k in range(30)]) == [10]


def test_after_a_jump_it_may_go_on_in_another_direction() -> None:
    assert jumps([(float(k), 0) for k in range(10)] + [(300, 300.0 + k) for k in range(20)]) == [10]


def test_after_a_pause_and_for_stamps_that_stand_still_nothing_is_a_jump() -> None:
    motion = Motion()
    for k in range(5):
        assert motion.step(transform_from_yaw(k, 0, 0), k * SECOND // 10) == (1.0 if k else 0.0, False)
    assert motion.step(transform_from_yaw(100, 0, 0), 60 * SECOND) == (96.0, False)
    assert motion.step(transform_from_yaw(200, 0, 0), 60 * SECOND) == (100.0, False)
