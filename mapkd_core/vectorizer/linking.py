"""Joins pieces of lines across junctions, gaps and places hidden by another class (explanation/vectorizer.md)."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.vectorizer.centerline import (
    CLASS_BITS,
    COVERED,
    PEN_CELLS,
    STEP_CELLS,
    Evidence,
    Floats,
    Indices,
    Lines,
    Points,
    headings,
    runs,
    sample,
    starts_of,
)

_GAP_SAMPLES = np.linspace(0, 1, 17, dtype=np.float32)
_OWN_MARGIN = 14
"""A centre line ends this many cells before its class does (both ends of a gap together)."""
_CLOSING_CELLS = 20
_STUB_COST = 40.0
_CORNER_COST = 100.0
"""What turns a corner takes the ends that nothing continues straight on."""
_RAGGED_CELLS = 1.0
"""A corner may lie off its own class by this; more is a real gap."""
_SHARPEST = np.deg2rad([0, 100, 0, 175])
"""How far a line of each class may turn in a corner: curbs turn right back, edges of crossings are straight."""
_HINT = 25
"""A tenth of certainty hints at a line that lost its cells to the background."""
_JUNCTION_CELLS = 12
"""Ends this close may meet at a junction, where the way between them says nothing about direction."""


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
        else:
            root = [a if r == b else r for r in root]
        partner[i], partner[j] = j, i
    return _assemble(lines, partner, {k for k in range(count) if root[k] in rings})


def overrun(lines: Lines, seen_lengths: Floats, short: float) -> NDArray[np.bool_]:
    """Which lines, seen over less than `short` cells, lie in the bed of a longer one of their class.

    Such a blot is a stretch of a hidden line that a join or an end has passed over.
    """
    found = np.zeros(len(lines.classes), bool)
    suspects = np.flatnonzero(seen_lengths < short)
    if len(suspects) == 0:
        return found
    z, first, counts = lines.points, lines.starts[:-1], np.diff(lines.starts)
    quarter = counts[suspects] // 4
    inner = starts_of(counts[suspects] - 2 * quarter)
    middles = np.add.reduceat(z[runs(first[suspects] + quarter, inner)], inner[:-1]) / np.diff(inner)
    longer = (lines.classes == lines.classes[suspects][:, None]) & (seen_lengths > seen_lengths[suspects][:, None])
    bed = PEN_CELLS / 2
    for part, middle in ((z.real, middles.real), (z.imag, middles.imag)):
        longer &= np.minimum.reduceat(part, first) - bed < middle[:, None]
        longer &= np.maximum.reduceat(part, first) + bed > middle[:, None]
    suspect, line = np.nonzero(longer)
    if len(suspect) == 0:
        return found
    segments = starts_of(counts[line] - 1)
    begin = runs(first[line], segments)
    way = z[begin + 1] - z[begin]
    away = np.repeat(middles[suspect], np.diff(segments)) - z[begin]
    share = (away * way.conj()).real / np.maximum(np.abs(way) ** 2, np.float32(1e-9))
    near = np.abs(away - np.minimum(np.maximum(share, 0), 1) * way) < bed
    found[suspects[suspect[np.logical_or.reduceat(near, segments[:-1])]]] = True
    return found


def _candidates(
    lines: Lines, evidence: Evidence, max_gap: float, max_unseen: float
) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """Pairs of ends that may be joined, best first, and whether a pair is near enough to close a ring."""
    count = len(lines.classes)
    z, heading = lines.points[lines.tips], headings(lines)
    same = lines.tip_classes
    reachable = (np.abs(z - z[:, None]) < max_gap + _OWN_MARGIN) & (same == same[:, None])
    first, second = np.nonzero(reachable)
    upper = first < second
    first, second = first[upper], second[upper]
    gap = z[second] - z[first]
    length = np.abs(gap)
    ahead_first, ahead_second = heading[first], heading[second]
    from_first, from_second = gap * ahead_first.conj(), gap * ahead_second.conj()
    ahead = np.minimum(from_first.real, -from_second.real)
    miss = np.maximum(np.abs(from_first.imag), np.abs(from_second.imag))
    turn = np.abs(np.angle(-ahead_second * ahead_first.conj()))
    near = length < _JUNCTION_CELLS
    fits = (turn < np.where(near, np.deg2rad(50), np.deg2rad(30))) & (ahead > -3) & (miss < 3 + 0.2 * length)
    corner = near & (turn < _SHARPEST[same[first]]) & ~fits
    fits |= corner
    # Both ends of one piece close a ring only if the piece is long enough to go round.
    lengths = np.diff(lines.starts)
    fits &= (first % count != second % count) | (lengths[first % count] > 8)
    first, second, length, turn, miss, corner = (v[fits] for v in (first, second, length, turn, miss, corner))

    other, unseen = (length * share for share in _cover(z[first], z[second], same[first], evidence))
    # A piece hardly longer than wide has no direction of its own, so it gets what the others leave.
    stub = lengths * STEP_CELLS < 3 * np.add.reduceat(lines.widths, lines.starts[:-1]) / lengths
    late = _STUB_COST * (stub[first % count] | stub[second % count]) + _CORNER_COST * corner
    order = np.argsort(unseen + 0.3 * length + 2 * miss + 10 * turn + late, kind="stable")
    order = order[(unseen[order] < max_unseen) & (other[order] < np.where(corner[order], _RAGGED_CELLS, max_gap))]
    return first[order], second[order], length[order] < _CLOSING_CELLS


def _cover(start: Points, end: Points, classes: Indices, evidence: Evidence) -> tuple[Floats, Floats]:
    """Shares (G,) of each gap: off its own class, and where nothing hides the line nor hints at it."""
    if len(start) == 0:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    at = start[:, None] + (end - start)[:, None] * _GAP_SAMPLES
    look = evidence.look_at(at)
    own = look & CLASS_BITS == classes[:, None]
    hint = sample(evidence.scores, at.real, at.imag, classes[:, None])
    hidden = (look & COVERED > 0) | (hint > _HINT)
    each = np.full(len(_GAP_SAMPLES), 1 / len(_GAP_SAMPLES), np.float32)
    return 1 - own @ each, 1 - (own | hidden) @ each


def _assemble(lines: Lines, partner: list[int], in_ring: set[int]) -> tuple[Lines, NDArray[np.bool_]]:
    """Walks from end to partner to end, and collects the points on the way."""
    count = len(lines.classes)
    used = [False] * count
    index, bounds = np.arange(len(lines.points)), lines.starts.tolist()
    parts: list[Indices] = []
    lengths, seeds, rings = [], [], []
    # Open lines are walked from an end without partner; what is left after them are rings.
    for seed in [e for e in range(2 * count) if partner[e] < 0] + list(range(count)):
        if used[seed % count]:
            continue
        begin, end = len(parts), seed
        while end >= 0 and not used[end % count]:
            piece = end % count
            used[piece] = True
            along = index[bounds[piece] : bounds[piece + 1]]
            parts.append(along if end < count else along[::-1])
            end = partner[piece + count if end < count else piece]
        ring = seed % count in in_ring
        if ring:
            parts.append(parts[begin][:1])
        lengths.append(sum(map(len, parts[begin:])))
        seeds.append(seed % count)
        rings.append(ring)
    order = np.concatenate(parts)
    return (
        Lines(lines.points[order], starts_of(lengths), lines.classes[seeds], lines.widths[order]),
        np.array(rings, bool),
    )
