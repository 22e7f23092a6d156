"""Pieces of lines to whole lines: joined across junctions and gaps, drawn out to their true ends, overlaps dropped.

L is the number of lines, P of points, G of gaps, E of ends (2L, in the order of `Lines.tips`), S of samples along a
straight way. Lengths are in cells, angles in radians.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapkd_core.grid import LINE_CELLS
from mapkd_core.vectorizer.centerline import STEP_CELLS
from mapkd_core.vectorizer.evidence import BOUNDARY, CLASS_BITS, CROSSING, HIDDEN, OUTSIDE, Evidence
from mapkd_core.vectorizer.lines import Flags, Floats, Indices, Lines, Points, consecutive, headings, starts_of

# Which ends may be joined.
_END_MARGIN_CELLS = 2 * LINE_CELLS
"""Two center lines end this much before their classes do, together: each by up to a line's width."""
_JUNCTION_CELLS = 12
"""Ends this close may meet at a junction, where the way between them says nothing about direction."""
_MAX_TURN, _MAX_TURN_AT_JUNCTION = np.deg2rad(30), np.deg2rad(50)
"""How far a line may turn from one end to the other: lines bend little over a gap, but skeletons do at junctions."""
_MAX_BACK_CELLS = 3
"""The ends may have passed each other by this: one step of a center line."""
_MAX_OFFSET_CELLS, _OFFSET_PER_CELL = 3, 0.2
"""How far an end may lie aside of the other's heading, and how much more for each cell of gap: headings are inexact."""
_MAX_CORNER_TURN = np.deg2rad([0, 100, 0, 175])
"""How far a line of each class (0 is background) may turn in a corner between ends: curbs turn right back, dividers
often meet in a point without being one, and edges of crossings are straight."""
_MAX_CORNER_OFF_CELLS = 1.0
"""A corner may lie off its own class by this, being ragged; more is a real gap."""
_MIN_RING_POINTS = 8
"""A single piece of no more points is too short to close to a ring."""
_MAX_CLOSING_CELLS = 20
"""Only over a shorter gap are the two ends of one line joined to a ring."""

# What a join costs, in cells on plain background; the cheapest come first.
_COST_PER_CELL = 0.3
"""Each cell of the gap, also where another class hides the line."""
_COST_PER_OFFSET_CELL = 2.0
"""Each cell aside of the headings: what lies aside is more often another line than what lies far ahead."""
_COST_PER_RADIAN = 10.0
"""Each radian of turn: 30 degrees weigh like five cells on background."""
_STUB_COST = 40.0
"""More than any join of straight ends: a piece hardly longer than wide has no direction, and gets what others leave."""
_STUB_WIDTHS = 3
"""A piece shorter than so many of its widths is such a stub."""
_CORNER_COST = 100.0
"""More than a stub: a corner takes the ends that nothing continues straight on."""

# What lies in a gap.
_GAP_SAMPLES = np.linspace(0, 1, 17, dtype=np.float32)
_HINT = 25
"""A probability of a tenth, of 255, hints at a line that lost its cells to the background."""

# Where a line ends.
_MIN_AHEAD_CELLS, _AHEAD_STEP_CELLS = 12, 0.5
"""How far ahead of its center line's end a line's true end is sought at least, and in which steps."""
_CURB_CELLS = 6.0
"""Labels clear a crossing's edge this near a curb, so a curb within it is where the edge ends."""


@dataclass(frozen=True, eq=False)
class Gaps:
    """G pairs of ends of one class that may be joined."""

    first: Indices
    """(G,) one end, an index into the E ends."""
    second: Indices
    """(G,) the other one, the larger index."""
    length: Floats
    """(G,) straight distance of the ends, in cells."""
    turn: Floats
    """(G,) how far the line would turn from one end's heading to the other's, radians."""
    offset: Floats
    """(G,) how far aside of the other's heading an end lies, the larger of both, in cells."""
    corner: Flags
    """(G,) whether the join is a corner, not a continuation."""

    def selected(self, which: Flags | Indices) -> Gaps:
        """Some of the gaps, by flags or indices."""
        return Gaps(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def link(pieces: Lines, evidence: Evidence, max_gap_cells: float, max_unseen_cells: float) -> Lines:
    """Joins pieces of one class whose ends continue each other, the cheapest joins first; closes rings.

    A gap may be `max_gap_cells` long, of which `max_unseen_cells` lie on plain background: where another class covers
    the line it is hidden, not ended.
    """
    count = len(pieces)
    gaps = ranked_gaps(pieces, evidence, max_gap_cells, max_unseen_cells)
    partner = [-1] * (2 * count)
    root = list(range(count))  # pieces of one root are joined already
    rings = set()
    may_close = gaps.length < _MAX_CLOSING_CELLS
    for i, j, closable in zip(gaps.first.tolist(), gaps.second.tolist(), may_close.tolist(), strict=True):
        if partner[i] >= 0 or partner[j] >= 0:
            continue
        a, b = root[i % count], root[j % count]
        if a == b:
            if not closable:
                continue
            rings.add(a)
        else:
            root = [a if r == b else r for r in root]
        partner[i], partner[j] = j, i
    return _assembled(pieces, partner, {k for k in range(count) if root[k] in rings})


def ranked_gaps(lines: Lines, evidence: Evidence, max_gap_cells: float, max_unseen_cells: float) -> Gaps:
    """Pairs of ends that may be joined, the cheapest first."""
    gaps = _fitting_gaps(lines, max_gap_cells)
    tips, classes = lines.points[lines.tips], lines.tip_classes[gaps.first]
    other_share, unseen_share = _off_line(tips[gaps.first], tips[gaps.second], classes, evidence)
    other, unseen = gaps.length * other_share, gaps.length * unseen_share
    counts = lines.counts
    mean_widths = np.add.reduceat(lines.widths, lines.starts[:-1]) / counts
    stub = counts * STEP_CELLS < _STUB_WIDTHS * mean_widths
    of_stub = stub[gaps.first % len(lines)] | stub[gaps.second % len(lines)]
    cost = (
        unseen + _COST_PER_CELL * gaps.length + _COST_PER_OFFSET_CELL * gaps.offset + _COST_PER_RADIAN * gaps.turn
        + (_STUB_COST * of_stub + _CORNER_COST * gaps.corner)
    )
    order = np.argsort(cost, kind="stable")
    allowed = (unseen < max_unseen_cells) & (other < np.where(gaps.corner, _MAX_CORNER_OFF_CELLS, max_gap_cells))
    return gaps.selected(order[allowed[order]])


def _fitting_gaps(lines: Lines, max_gap_cells: float) -> Gaps:
    """Pairs of ends of one class that are near enough and continue each other, or may turn a corner."""
    count, tips, classes, heading = len(lines), lines.points[lines.tips], lines.tip_classes, headings(lines)
    near_enough = np.abs(tips - tips[:, None]) < max_gap_cells + _END_MARGIN_CELLS       # E E
    first, second = np.nonzero(near_enough & (classes == classes[:, None]))
    once = first < second
    first, second = first[once], second[once]                                            # G
    gap = tips[second] - tips[first]
    length = np.abs(gap)
    # The gap as seen from either end: real parts lie along its heading, imaginary parts aside.
    from_first, from_second = gap * heading[first].conj(), gap * heading[second].conj()
    ahead = np.minimum(from_first.real, -from_second.real)
    offset = np.maximum(np.abs(from_first.imag), np.abs(from_second.imag))
    turn = np.abs(np.angle(-heading[second] * heading[first].conj()))
    at_junction = length < _JUNCTION_CELLS
    straight = turn < np.where(at_junction, _MAX_TURN_AT_JUNCTION, _MAX_TURN)
    straight &= (ahead > -_MAX_BACK_CELLS) & (offset < _MAX_OFFSET_CELLS + _OFFSET_PER_CELL * length)
    corner = at_junction & (turn < _MAX_CORNER_TURN[classes[first]]) & ~straight
    one_piece = first % count == second % count
    fits = (straight | corner) & (~one_piece | (lines.counts[first % count] > _MIN_RING_POINTS))
    return Gaps(first, second, length, turn, offset, corner).selected(fits)


def _off_line(start: Points, end: Points, classes: Indices, evidence: Evidence) -> tuple[Floats, Floats]:
    """Shares (G,) of each gap: off its own class, and where nothing hides the line nor hints at it."""
    if len(start) == 0:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    points = start[:, None] + (end - start)[:, None] * _GAP_SAMPLES                      # G S
    flags = evidence.flags_at(points)
    own = flags & CLASS_BITS == classes[:, None]
    hinted = evidence.probability_at(points.real, points.imag, classes[:, None]) > _HINT
    hidden = (flags & HIDDEN > 0) | hinted
    each = np.full(len(_GAP_SAMPLES), 1 / len(_GAP_SAMPLES), np.float32)
    return 1 - own @ each, 1 - (own | hidden) @ each


def _assembled(pieces: Lines, partner: list[int], in_ring: set[int]) -> Lines:
    """Walks from end to partner to end, and collects the points on the way; rings get their first point twice."""
    count = len(pieces)
    used = [False] * count
    index, bounds = np.arange(len(pieces.points)), pieces.starts.tolist()
    parts: list[Indices] = []
    counts, seeds, closed = [], [], []
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
        counts.append(sum(map(len, parts[begin:])))
        seeds.append(seed % count)
        closed.append(ring)
    order = np.concatenate(parts)
    return Lines(
        pieces.points[order], starts_of(counts), pieces.classes[seeds], pieces.widths[order], np.array(closed, bool)
    )


def extend_ends(lines: Lines, evidence: Evidence, border_inset_cells: float, max_gap_cells: float) -> Lines:
    """The lines with their true ends: straight ahead to where the class ends, less half the line's width.

    A line drawn with a round pen reaches half its width beyond its last vertex. What hides the line is crossed if the
    line shows again behind it, within `max_gap_cells`. A line that leaves the grid ends `border_inset_cells` before
    the border, and an edge of a crossing runs on to a curb that hides its end. Rings stay.
    """
    tips, classes = lines.points[lines.tips], lines.tip_classes
    outward = headings(lines)
    ahead = np.arange(0, max(max_gap_cells, _MIN_AHEAD_CELLS) + 0.1, _AHEAD_STEP_CELLS, dtype=np.float32)  # S
    flags = evidence.flags_at(tips[:, None] + ahead * outward[:, None])                  # E S
    class_there = flags & CLASS_BITS
    own = class_there == classes.astype(np.uint8)[:, None]
    lost = ~own & ((flags & HIDDEN) == 0)  # outside the grid nothing hides a line
    lost[:, -1] = True
    own &= np.arange(len(ahead)) < np.argmax(lost, 1)[:, None]
    own[:, 0] = True
    beyond = len(ahead) - np.argmax(own[:, ::-1], 1)  # the sample after the last one on the line
    beyond = np.minimum(beyond, len(ahead) - 1)                                          # E
    leaves_grid = flags[np.arange(len(beyond)), beyond] == OUTSIDE
    pen = np.where(leaves_grid, border_inset_cells, lines.widths[lines.tips] / 2)
    way = ahead[beyond] - _AHEAD_STEP_CELLS / 2 - pen
    edge = np.flatnonzero(classes == CROSSING)
    curb = (class_there[edge] == BOUNDARY) & (ahead < (ahead[beyond[edge]] + _CURB_CELLS)[:, None])
    way[edge] = np.where(curb.any(1), ahead[np.argmax(curb, 1)] + LINE_CELLS / 2, way[edge])
    ends = tips + np.maximum(way, 0).astype(np.float32) * outward
    return lines.with_tips(np.where(np.concatenate([lines.closed, lines.closed]), tips, ends))


def overlapping(lines: Lines, seen_cells: Floats, max_seen_cells: float) -> Flags:
    """Which lines (L,) lie under a longer one of their class: stretches that a join or an end has passed over.

    Only lines that were seen over less than `max_seen_cells` may; `seen_cells` (L,) are their lengths before their
    ends were extended.
    """
    found = np.zeros(len(lines), bool)
    short = np.flatnonzero(seen_cells < max_seen_cells)
    if len(short) == 0:
        return found
    points, first, counts = lines.points, lines.starts[:-1], lines.counts
    # The middle of a short line is the mean over its inner half.
    quarter = counts[short] // 4
    inner = starts_of(counts[short] - 2 * quarter)
    middles = np.add.reduceat(points[consecutive(first[short] + quarter, inner)], inner[:-1]) / np.diff(inner)
    longer = (lines.classes == lines.classes[short][:, None]) & (seen_cells > seen_cells[short][:, None])
    reach = LINE_CELLS / 2
    for part, middle in ((points.real, middles.real), (points.imag, middles.imag)):  # boxes first: they are cheap
        longer &= np.minimum.reduceat(part, first) - reach < middle[:, None]
        longer &= np.maximum.reduceat(part, first) + reach > middle[:, None]
    candidate, line = np.nonzero(longer)
    if len(candidate) == 0:
        return found
    segments = starts_of(counts[line] - 1)
    begin = consecutive(first[line], segments)
    step = points[begin + 1] - points[begin]
    away = np.repeat(middles[candidate], np.diff(segments)) - points[begin]
    share = (away * step.conj()).real / np.maximum(np.abs(step) ** 2, np.float32(1e-9))
    near = np.abs(away - np.minimum(np.maximum(share, 0), 1) * step) < reach
    found[short[candidate[np.logical_or.reduceat(near, segments[:-1])]]] = True
    return found
