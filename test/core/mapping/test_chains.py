"""Samples to chains: which are neighbors, and which dead ends look at each other."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.mapping.chains import LINK_M, linked


def lengths(xy: np.ndarray, along: np.ndarray, join_m: float = 0.0) -> list[int]:
    return sorted(len(chain.samples) for chain in linked(xy, along, join_m))


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_neighbor_lies_ahead_of_both(order: list[int]) -> None:
    xy, skew = np.array([[0.0, 0], [1, 0]]), np.deg2rad(35)
    along = np.array([[1.0, 0], [np.cos(skew), np.sin(skew)]])
    assert lengths(xy[order], along[order]) == [1, 1] and lengths(xy[order], np.abs(along * [1, 0.5])[order]) == [2]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_dead_ends_are_joined_where_both_look_at_the_other(order: slice) -> None:
    x = np.arange(0, 4, 0.5)
    first, ahead = np.column_stack([x, 0 * x]), np.column_stack([x + 8, 0 * x])
    aside = np.column_stack([0 * x + 8, x])
    level, upright = np.tile([1.0, 0], (8, 1)), np.tile([0, 1.0], (8, 1))
    straight = np.concatenate([first, ahead])[order], np.concatenate([level, level])[order]
    corner = np.concatenate([first, aside])[order], np.concatenate([level, upright])[order]
    assert lengths(*straight, join_m=6.0) == [16] and lengths(*straight, join_m=4.0) == [8, 8]
    assert lengths(*corner, join_m=6.0) == [8, 8]


def test_a_ring_is_closed_and_a_short_gap_within_a_line_is_none() -> None:
    turn = np.arange(0, 2 * np.pi, 0.1)
    (ring,) = linked(5 * np.stack([np.cos(turn), np.sin(turn)], 1), np.stack([-np.sin(turn), np.cos(turn)], 1), 0.0)
    assert ring.closed and len(ring.samples) == len(turn)
    x = np.delete(np.arange(0, 10, 0.5), 7)
    (line,) = linked(np.column_stack([x, 0 * x]), np.tile([1.0, 0], (19, 1)), 0.0)
    assert not line.closed and np.array_equal(line.samples, np.arange(19)) and LINK_M > 1
