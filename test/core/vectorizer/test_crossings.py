"""Which drawn edges make one crossing."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.vectorizer.crossings import pair_edges
from mapkd_core.vectorizer.lines import Polyline

WIDTHS = (10.0, 60.0)


def edge(left: float, right: float, row: float) -> Polyline:
    """A straight edge along a row, in cells."""
    return Polyline(np.array([left + 1j * row, right + 1j * row], np.complex64), 0.7, False)


def pairs(*edges: Polyline) -> list[set[int]]:
    """The edges of each ring that is found, by their numbers."""
    rings, _ = pair_edges(list(edges), WIDTHS)
    return [{k for k, one in enumerate(edges) if set(one.points.tolist()) <= set(ring.points.tolist())}
            for ring in rings]  # fmt: skip


@pytest.mark.parametrize(
    ("nearer", "farther"),
    [
        pytest.param(edge(6, 46, 12), edge(0, 40, 20), id="slid by 6, which sticks out at both ends"),
        pytest.param(edge(5, 30, 12), edge(0, 40, 20), id="shorter by 15"),
        pytest.param(edge(-8, 48, 12), edge(0, 40, 20), id="longer by 16"),
    ],
)
def test_edges_whose_corners_lie_opposite_go_together_before_nearer_ones(nearer: Polyline, farther: Polyline) -> None:
    one = edge(0, 40, 0)
    assert pairs(one, nearer) == [{0, 1}]
    assert pairs(one, nearer, farther) == [{0, 2}]


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        (edge(0, 40, 9), False), (edge(0, 40, 11), True), (edge(0, 40, 59), True), (edge(0, 40, 61), False),
        (edge(19, 59, 20), True), (edge(21, 61, 20), False),
        (Polyline(np.array([20j, 40 + 38j], np.complex64), 0.7, False), True),
        (Polyline(np.array([20j, 40 + 40j], np.complex64), 0.7, False), False),
    ],
)  # fmt: skip
def test_edges_of_one_crossing_are_parallel_side_by_side_and_of_a_crossing_s_width(
    other: Polyline, fits: bool
) -> None:
    assert pairs(edge(0, 40, 0), other) == ([{0, 1}] if fits else [])
