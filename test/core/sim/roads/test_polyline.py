from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.sim.roads import polyline as pl


def circle(radius: float, turn: float = np.pi / 2, count: int = 400) -> np.ndarray:
    angle = np.linspace(0, turn, count)
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def test_length_and_places_along_a_bent_line():
    line = np.array([[0, 0], [3, 0], [3, 4.0]])
    assert pl.length_m(line) == 7
    assert pl.at_arc(line, [1.5, 5.0]) == pytest.approx(np.array([[1.5, 0], [3, 2]]))
    assert pl.at_arc(line, [-1.0, 8.0]) == pytest.approx(np.array([[-1, 0], [3, 5]])), "straight on beyond the ends"


def test_left_is_left():
    assert pl.shifted(np.array([[0, 0], [5, 0], [10, 0.0]]), 2.0) == pytest.approx(np.array([[0, 2], [5, 2], [10, 2]]))


def test_a_circle_shifted_is_a_smaller_circle():
    inner = pl.shifted(circle(20), 3.0)[5:-5]
    assert np.linalg.norm(inner, axis=1) == pytest.approx(np.full(len(inner), 17), abs=1e-3)


def test_tightest_radius():
    assert pl.tightest_radius_m(circle(25)) == pytest.approx(25, rel=0.03)
    assert pl.tightest_radius_m(np.array([[0, 0], [50, 0.0]])) > 1e6


def test_hermite_meets_ends_and_directions_and_is_nearly_a_circle():
    line = pl.hermite([0, 0], 0.0, [20, 20], np.pi / 2)
    assert line[0] == pytest.approx([0, 0]) and line[-1] == pytest.approx([20, 20])
    assert pl.headings(line)[[0, -1]] == pytest.approx([0, np.pi / 2], abs=0.05)
    assert np.linalg.norm(line - [0, 20], axis=1) == pytest.approx(np.full(len(line), 20), rel=0.03)


def test_smoothing_keeps_the_ends_and_rounds_the_corner():
    line = np.array([[0, 0], [30, 0], [30, 30.0]])
    soft = pl.smoothed(line, 12.0)
    assert soft[0] == pytest.approx(line[0]) and soft[-1] == pytest.approx(line[-1])
    assert pl.tightest_radius_m(soft) > 3


def test_smooth_step_is_level_at_both_ends():
    values = pl.smooth_step(np.array([-1, 0, 0.01, 0.5, 0.99, 1, 2]))
    assert values[[0, 1, 3, 5, 6]] == pytest.approx([0, 0, 0.5, 1, 1])
    assert values[2] < 0.001 and values[4] > 0.999
