"""Joins pieces of lines across junctions, gaps and places hidden by another class (see docs/vectorizer.md)."""
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.centreline import PEN_CELLS, STEP_CELLS, Evidence, Floats, Indices, Lines, headings, starts_of

_GAP_SAMPLES = np.linspace(0, 1, 17, dtype=np.float32)
_OWN_MARGIN = 14
"""A centre line ends this many cells before its class does (both ends of a gap together)."""
_CLOSING_CELLS = 20
_STUB_COST = 40.0
_HINT = 25
"""A tenth of certainty hints at a line that lost its cells to the background."""
_JUNCTION_CELLS = 12
"""Ends this close may meet at a junction, where the way between them says nothing about direction."""


def covered_by_others(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Non-zero where a line may be hidden: on any class, and two cells round it, which label rasters clear."""
    return np.asarray(cv2.dilate(label, np.ones((5, 5), np.uint8)), np.uint8)


def link(lines: Lines, evidence: Evidence, max_gap: float, max_unseen: float) -> tuple[Lines, NDArray[np.bool_]]:
    """Joins lines of one class whose ends continue each other, straightest and shortest joins first.

    A gap may be `max_gap` cells long, of which `max_unseen` lie on plain background: where another class covers the
    line it is hidden, not ended. Returns the joined lines, and which of them are rings (first point repeated at the
    end).
    """
    count = len(lines.classes)
    first, second, closable = _candidates(lines, evidence, max_gap, max_unseen)
    partner = [-1] * (2 * count)
    root = list(range(count))
    rings = set()
    for i, j, may_close in zip(first.tolist(), second.tolist(), closable.tolist(), strict=True):
        if partner[i] >= 0 or partner[j] >= 0:
            continue
        a, b = root[i % count], root[j % count]
        if a == b:
            if not may_close:
                continue
            rings.add(a)
        root = [a if r == b else r for r in root]
        partner[i], partner[j] = j, i
    return _assemble(lines, partner, {k for k in range(count) if root[k] in rings})


def overrun(lines: Lines, seen_lengths: Floats, short: float) -> NDArray[np.bool_]:
    """Which lines, seen over less than `short` cells, lie in the bed of a longer one of their class.

    Such a blot is a stretch of a hidden line that a join or an end has passed over.
    """
    line = np.repeat(np.arange(len(lines.classes)), np.diff(lines.starts))[:-1]
    begin, way = lines.points[:-1], np.diff(lines.points, axis=0)
    squared = np.maximum((way**2).sum(1), 1e-9)
    inside = np.ones(len(line), bool)
    inside[lines.starts[1:-1] - 1] = False
    found = np.zeros(len(lines.classes), bool)
    for k in np.flatnonzero(seen_lengths < short):
        longer = inside & ((lines.classes == lines.classes[k]) & (seen_lengths > seen_lengths[k]))[line]
        own = lines.points[lines.starts[k] : lines.starts[k + 1]]
        to_middle = own[len(own) // 4 : len(own) - len(own) // 4].mean(0) - begin[longer]
        share = np.clip((to_middle * way[longer]).sum(1) / squared[longer], 0, 1)
        away = to_middle - share[:, None] * way[longer]
        found[k] = ((away**2).sum(1) < (PEN_CELLS / 2) ** 2).any()
    return found


def _candidates(
    lines: Lines, evidence: Evidence, max_gap: float, max_unseen: float
) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """Pairs of ends that may be joined, best first, and whether a pair is near enough to close a ring."""
    count = len(lines.classes)
    ends, out = lines.points[lines.tips], headings(lines)
    # Complex numbers make the pairwise geometry short: a product with a conjugate is dot and cross at once.
    z, heading = ends[:, 0] + 1j * ends[:, 1], out[:, 0] + 1j * out[:, 1]
    gaps = z[None, :] - z[:, None]
    same = np.tile(lines.classes, 2)
    reachable = (np.abs(gaps) < max_gap + _OWN_MARGIN) & (same[:, None] == same[None, :])
    first, second = np.nonzero(np.triu(reachable, 1))
    gap = gaps[first, second]
    length = np.abs(gap)
    from_first, from_second = gap * heading[first].conj(), -gap * heading[second].conj()
    ahead = np.minimum(from_first.real, from_second.real)
    miss = np.maximum(np.abs(from_first.imag), np.abs(from_second.imag))
    turn = np.abs(np.angle(-heading[second] * heading[first].conj()))
    fits = (turn < np.where(length < _JUNCTION_CELLS, np.deg2rad(50), np.deg2rad(30))) & (ahead > -3)
    fits &= miss < 3 + 0.2 * length
    # Both ends of one piece close a ring only if the piece is long enough to go round.
    lengths = np.diff(lines.starts)
    fits &= (first % count != second % count) | (lengths[first % count] > 8)
    first, second, length, turn, miss = first[fits], second[fits], length[fits], turn[fits], miss[fits]

    other, unseen = length * _cover(ends[first], ends[second], same[first], evidence)
    # A piece hardly longer than wide has no direction of its own, so it gets what the others leave.
    stub = lengths * STEP_CELLS < 3 * np.add.reduceat(lines.widths, lines.starts[:-1]) / lengths
    late = _STUB_COST * (stub[first % count] | stub[second % count])
    order = np.argsort(unseen + 0.3 * length + 2 * miss + 10 * turn + late, kind="stable")
    order = order[(unseen[order] < max_unseen) & (other[order] < max_gap)]
    return first[order], second[order], length[order] < _CLOSING_CELLS


def _cover(start: Floats, end: Floats, classes: Indices, evidence: Evidence) -> NDArray[np.float64]:
    """(2, G) shares of each gap: off its own class, and where nothing hides the line nor hints at it."""
    if len(start) == 0:
        return np.zeros((2, 0))
    way, label = end - start, evidence.label
    col = np.rint(start[:, :1] + way[:, :1] * _GAP_SAMPLES).astype(np.intp).clip(0, label.shape[1] - 1)
    row = np.rint(start[:, 1:] + way[:, 1:] * _GAP_SAMPLES).astype(np.intp).clip(0, label.shape[0] - 1)
    own = label[row, col] == classes[:, None]
    hidden = (evidence.covered[row, col] > 0) | (evidence.scores[classes[:, None], row, col] > _HINT)
    return np.stack([1 - own.mean(1), 1 - (own | hidden).mean(1)])


def _assemble(lines: Lines, partner: list[int], in_ring: set[int]) -> tuple[Lines, NDArray[np.bool_]]:
    """Walks from end to partner to end, and collects the points on the way."""
    count = len(lines.classes)
    used = [False] * count
    joined: list[Indices] = []
    seeds, rings = [], []
    # Open lines are walked from an end without partner; what is left after them are rings.
    for seed in [e for e in range(2 * count) if partner[e] < 0] + list(range(count)):
        if used[seed % count]:
            continue
        parts, end = [], seed
        while end >= 0 and not used[end % count]:
            piece = end % count
            used[piece] = True
            indices = np.arange(lines.starts[piece], lines.starts[piece + 1])
            parts.append(indices if end < count else indices[::-1])
            end = partner[piece + count if end < count else piece]
        ring = seed % count in in_ring
        joined.append(np.concatenate([*parts, parts[0][:1]] if ring else parts))
        seeds.append(seed % count)
        rings.append(ring)
    order, starts = np.concatenate(joined), starts_of([len(indices) for indices in joined])
    return Lines(lines.points[order], starts, lines.classes[seeds], lines.widths[order]), np.array(rings, bool)
