"""Samples of a map as polylines: neighbors linked, dead ends joined, ids kept.

Each sample has two ends, ahead of it and behind it, as seen along its own direction; a link takes one end of each of
two samples. The shortest links are made first. Source: ours.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.mapping.options import STEP_M

LINK_M = 2.6 * STEP_M
"""Neighbors of a line are no farther apart, so that a sample may be missing between them."""
LINK_COS = 0.8
ACROSS_M = 0.45
"""A neighbor lies at most this far beside a sample's own direction."""
JOIN_COS = 0.94
"""Two dead ends look at each other within 20 degrees."""


@dataclass(frozen=True, eq=False)
class Chain:
    """A polyline as the numbers of its samples."""

    samples: NDArray[np.int64]
    """(N,) in order."""
    closed: bool


def linked(
    xy_m: NDArray[np.float64], along: NDArray[np.floating], join_m: float, given: NDArray[np.int64] | None = None
) -> list[Chain]:
    """Chains of samples (N, 2) with directions (N, 2); each sample is in one chain.

    `given` (L, 2) are samples of which the second is known to lie ahead of the first.
    """
    partner = np.full((len(xy_m), 2), -1, np.int64)
    if given is not None:
        partner[given[:, 0], 0], partner[given[:, 1], 1] = given[:, 1], given[:, 0]
    if len(xy_m) > 1:
        _link(partner, *_short_links(xy_m, along))
        if join_m > LINK_M:
            _link(partner, *_joins(xy_m, along, partner, join_m))
    return _walk(partner)


def _short_links(xy_m: NDArray[np.float64], along: NDArray[np.floating]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Pairs that may be neighbors, the ends that a link takes, best first."""
    pairs = cKDTree(xy_m).query_pairs(LINK_M, output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    gap = xy_m[j] - xy_m[i]
    distance = np.linalg.norm(gap, axis=1)
    across = np.maximum(np.abs(_cross(along[i], gap)), np.abs(_cross(along[j], gap)))
    kept = (np.abs((along[i] * along[j]).sum(-1)) >= LINK_COS) & (across <= ACROSS_M) & (across <= 0.8 * distance)
    i, j, gap, cost = i[kept], j[kept], gap[kept], (distance + 2 * across)[kept]
    order = np.argsort(cost, kind="stable")
    i, j, gap = i[order], j[order], gap[order]
    return i, j, _end_towards(along[i], gap), _end_towards(along[j], -gap)


def _joins(
    xy_m: NDArray[np.float64], along: NDArray[np.floating], partner: NDArray[np.int64], join_m: float
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """The same for dead ends that look at each other over a gap."""
    ends, side = np.nonzero((partner < 0) & (partner >= 0).any(1, keepdims=True))
    if len(ends) < 2:
        return tuple(np.zeros(0, np.int64) for _ in range(4))  # type: ignore[return-value]
    look = along[ends] * np.where(side == 0, 1.0, -1.0)[:, None]
    pairs = cKDTree(xy_m[ends]).query_pairs(join_m, output_type="ndarray")
    a, b = pairs[:, 0], pairs[:, 1]
    gap = xy_m[ends[b]] - xy_m[ends[a]]
    distance = np.maximum(np.linalg.norm(gap, axis=1), 1e-6)
    across = np.maximum(np.abs(_cross(look[a], gap)), np.abs(_cross(look[b], gap)))
    facing = ((look[a] * gap).sum(-1) > JOIN_COS * distance) & ((look[b] * gap).sum(-1) < -JOIN_COS * distance)
    kept = facing & (ends[a] != ends[b])
    order = np.argsort((distance + 2 * across)[kept], kind="stable")
    a, b = a[kept][order], b[kept][order]
    return ends[a], ends[b], side[a], side[b]


def _link(partner: NDArray[np.int64], i: NDArray, j: NDArray, end_i: NDArray, end_j: NDArray) -> None:
    """Makes the links whose ends are free when their turn comes."""
    table = partner.tolist()
    for a, b, x, y in zip(i.tolist(), j.tolist(), end_i.tolist(), end_j.tolist(), strict=True):
        if table[a][x] < 0 and table[b][y] < 0 and table[a][1 - x] != b:
            table[a][x], table[b][y] = b, a
    partner[:] = table


def _walk(partner: NDArray[np.int64]) -> list[Chain]:
    table = partner.tolist()
    seen = [False] * len(table)
    chains = []
    dead_ends = [k for k, (a, b) in enumerate(table) if a < 0 or b < 0]
    for start, closed in [*((k, False) for k in dead_ends), *((k, True) for k in range(len(table)))]:
        if seen[start]:
            continue
        path, last, here = [], -1, start
        while here >= 0 and not seen[here]:
            seen[here] = True
            path.append(here)
            a, b = table[here]
            last, here = here, (b if a == last else a) if last >= 0 else max(a, b)
        chains.append(Chain(np.array(path, np.int64), closed and len(path) > 3))
    return chains


def _end_towards(along: NDArray[np.floating], gap: NDArray[np.float64]) -> NDArray[np.int64]:
    """0 where a gap leads ahead, 1 where it leads back."""
    return np.where((along * gap).sum(-1) >= 0, 0, 1)


def _cross(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
