"""The outline of a crossing as two sides."""
from __future__ import annotations

import numpy as np

from mapkd_core.map_formats.crossings import ring_of, sides_of


def test_the_long_sides_are_found_and_the_ring_comes_back() -> None:
    rng = np.random.default_rng(1)
    for number in range(500):
        length, width, turn = rng.uniform(6, 20), rng.uniform(2, 4), rng.uniform(0, 7)
        outline = np.array([(0, 0), (length / 2, 0.1), (length, 0), (length, width / 2), (length, width), (0, width)])
        outline = (outline if number % 2 else outline[[0, 2, 4, 5]]) + rng.normal(0, 0.1, (6 if number % 2 else 4, 2))
        outline = outline @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        outline = np.roll(outline[:: -1 if number % 3 else 1], int(rng.integers(6)), axis=0)
        ring = np.concatenate([outline, outline[:1]])
        sides = sides_of(ring)
        assert sides is not None
        assert np.array_equal(ring_of(*sides), ring)
        ends = [np.linalg.norm(side[-1] - side[0]) for side in sides[:2]]
        assert max(ends) > 0.9 * length and min(ends) > 0.75 * length


def test_what_has_no_two_sides() -> None:
    assert sides_of(np.array([[0.0, 0], [5, 0], [5, 3], [0, 0]])) is None
    assert sides_of(np.array([[0.0, 0], [5, 0], [9, 0], [2, 0], [0, 0]])) is None
