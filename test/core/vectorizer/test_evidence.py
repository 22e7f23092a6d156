"""What the network predicted, cell by cell, beside a slow restatement."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.grid import BevGrid
from mapkd_core.vectorizer.evidence import (
    BOUNDARY,
    CLASS_BITS,
    CROSSING,
    HIDDEN,
    OUTSIDE,
    Evidence,
    probability_bytes,
    winning_class,
)

GRID = BevGrid((-6.0, 6.0), (-3.0, 3.0), 0.5)


def random_bytes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, *GRID.shape), np.uint8)


def test_probabilities_become_bytes_and_bytes_stay() -> None:
    given = np.zeros((4, *GRID.shape), np.float32)
    given[1, 0, :5] = 0, 0.5, 1, 0.2, 1.0005  # an exponent may round a little beyond
    assert probability_bytes(given, GRID)[1, 0, :5].tolist() == [0, 128, 255, 51, 255]
    given[1, 0, 0] = -0.0005
    assert probability_bytes(given, GRID)[1, 0, 0] == 0
    assert np.array_equal(probability_bytes(random_bytes(), GRID), random_bytes())


@pytest.mark.parametrize(
    ("value", "told"), [(1.01, "0..1.01"), (-0.01, "-0.01..0"), (5.0, "0..5"), (np.nan, "finite"), (-np.inf, "finite")]
)
def test_one_value_that_is_no_probability_is_refused(value: float, told: str) -> None:
    given = np.zeros((4, *GRID.shape))
    given[2, 3, 4] = value
    with pytest.raises(ValueError, match=told):
        probability_bytes(given, GRID)


def test_the_likeliest_class_wins_and_of_two_that_touch_the_later_one_stays() -> None:
    probability = random_bytes()
    probability[2:, :, :8], probability[3, :, 8:16] = 0, 0
    best = np.zeros(GRID.shape, int)
    for row, col in np.ndindex(GRID.shape):
        for index in (1, 2, 3):  # a class has to be likelier than background and every class before it
            if probability[index, row, col] > probability[:index, row, col].max():
                best[row, col] = index
    expected = best.copy()
    for row, col in np.ndindex(GRID.shape):
        if best[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2].max() > best[row, col]:
            expected[row, col] = 0
    assert np.array_equal(winning_class(probability), expected) and set(expected.flat) == {0, 1, 2, 3}


def test_flags_say_the_class_what_may_hide_a_line_and_what_lies_outside() -> None:
    class_map = np.zeros(GRID.shape, np.uint8)
    class_map[5, 10], class_map[5, 20] = CROSSING, BOUNDARY
    evidence = Evidence.of(random_bytes(), class_map)
    for row, col in np.ndindex(GRID.shape):
        (flags,) = evidence.flags_at(np.array([col + 1j * row], np.complex64))
        assert flags & CLASS_BITS == class_map[row, col]
        assert bool(flags & HIDDEN) == any(abs(row - 5) <= 2 and abs(col - there) <= 2 for there in (10, 20))
    points = np.array([10.4 + 5.4j, 9.6 + 4.6j, 10.6 + 5j, -0.4 - 0.4j, -0.6 + 5j, 5 - 0.6j, 23.6 + 5j, 5 + 11.6j, 99j])
    found = evidence.flags_at(points.astype(np.complex64))
    assert [int(f & CLASS_BITS) for f in found[:3]] == [CROSSING, CROSSING, 0]
    assert found[3] == 0 and (found[4:] == OUTSIDE).all()


def test_probabilities_between_cells_are_bilinear_and_go_on_beyond_the_border() -> None:
    probability = random_bytes(1)
    evidence = Evidence.of(probability, winning_class(probability))
    rng = np.random.default_rng(2)
    col, row = rng.uniform(-2, 26, (3, 40)).astype(np.float32), rng.uniform(-2, 14, (3, 40)).astype(np.float32)
    classes = np.array([[1], [2], [3]])
    found = evidence.probability_at(col, row, classes)
    for k, at in np.ndindex(3, 40):
        x, y = np.clip(col[k, at], 0, 23), np.clip(row[k, at], 0, 11)
        x0, y0 = int(x), int(y)
        x1, y1 = min(x0 + 1, 23), min(y0 + 1, 11)
        values = probability[k + 1].astype(float)
        above = values[y0, x0] * (x0 + 1 - x) + values[y0, x1] * (x - x0)
        below = values[y1, x0] * (x0 + 1 - x) + values[y1, x1] * (x - x0)
        assert found[k, at] == pytest.approx(above * (y0 + 1 - y) + below * (y - y0), abs=9)
