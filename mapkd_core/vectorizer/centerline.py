"""Cell chains to smooth, sub-cell accurate centre lines: the accurate half of docs/explanation/vectorizer.md.

All lines are handled at once: `points` (P,) holds the points of every line one after the other as complex numbers
col + 1j * row, integers being cell centres, and `starts` (L + 1,) the index at which each line begins and the last one
ends. With complex numbers a product with a conjugate is dot and cross product at once, and every step one short call.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import CLASSES

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Points = NDArray[np.complex64]

STEP_CELLS = 3.0
"""Spacing of the points of a centre line."""
_REACH = 4
"""How far across a line its profile is looked at, in cells."""
_CORNER = np.deg2rad(35)
_HEADING_POINTS = 5
_END_POINTS = 2

CROSSING, BOUNDARY = CLASSES.index("ped_crossing") + 1, CLASSES.index("boundary") + 1
PEN_CELLS = 7.0
"""How wide OpenCV draws a line of HDMapNet's thickness 5."""
_CURB_CELLS = 6.0

CLASS_BITS, COVERED, OUTSIDE = 3, 4, 8
"""The bits of `Evidence.look`."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the network says, cell by cell."""

    scores: NDArray[np.uint8]
    """(4, Y, X), 0..255: background and the three classes."""
    label: NDArray[np.uint8]
    """(Y, X) the winning class, 0 background."""
    look: NDArray[np.uint8]
    """(Y + 2, X + 2), with a rim of one cell round the grid: CLASS_BITS hold the winning class; COVERED says that
    another class may hide a line, being there or within the two cells which label rasters clear; OUTSIDE marks the
    rim."""

    @staticmethod
    def of(scores: NDArray[np.uint8], label: NDArray[np.uint8]) -> Evidence:
        """Works out `look`."""
        _, covered = cv2.threshold(cv2.dilate(label, np.ones((5, 5), np.uint8)), 0, COVERED, cv2.THRESH_BINARY)
        look = cv2.bitwise_or(label, covered)
        return Evidence(scores, label, cv2.copyMakeBorder(look, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=OUTSIDE))

    def look_at(self, points: Points) -> NDArray[np.uint8]:
        """`look` in the cells nearest to any points, on the grid or not."""
        height, width = self.look.shape
        # Truncation rounds, because the rim has moved everything by one and is as far out as a look can go.
        col = np.minimum(np.maximum(points.real + np.float32(1.5), 0), width - 1).astype(np.int32)
        row = np.minimum(np.maximum(points.imag + np.float32(1.5), 0), height - 1).astype(np.int32)
        return self.look.ravel()[row * width + col]


@dataclass(frozen=True, eq=False)
class Lines:
    """L lines on the grid with P points in all."""

    points: Points
    """(P,) col + 1j * row."""
    starts: Indices
    """(L + 1,)."""
    classes: Indices
    """(L,) 1..3."""
    widths: Floats
    """(P,) how wide the class is there, in cells."""

    @property
    def point_classes(self) -> Indices:
        """(P,) the class of every point's line."""
        return np.repeat(self.classes, np.diff(self.starts))

    @property
    def lengths(self) -> Floats:
        """(L,) arc lengths in cells."""
        steps = np.zeros(len(self.points), np.float32)
        np.abs(self.points[1:] - self.points[:-1], out=steps[:-1])
        steps[self.starts[1:] - 1] = 0
        return np.add.reduceat(steps, self.starts[:-1])

    def chosen(self, keep: NDArray[np.bool_]) -> Lines:
        """Only the lines (L,) to keep."""
        if keep.all():
            return self
        of_point = np.repeat(keep, np.diff(self.starts))
        starts = starts_of(np.diff(self.starts)[keep])
        return Lines(self.points[of_point], starts, self.classes[keep], self.widths[of_point])

    @property
    def tips(self) -> Indices:
        """(2L,) indices of the end points, all first ones before all last ones."""
        return np.concatenate([self.starts[:-1], self.starts[1:] - 1])

    @property
    def tip_classes(self) -> Indices:
        """(2L,) the classes at `tips`."""
        return np.concatenate([self.classes, self.classes])


def starts_of(lengths: list[int] | Indices) -> Indices:
    """Where lines of these lengths begin when laid one after the other, and where the last ends."""
    starts = np.zeros(len(lengths) + 1, np.intp)
    np.cumsum(lengths, out=starts[1:])
    return starts


def runs(first: Indices, starts: Indices) -> Indices:
    """Consecutive indices from each of `first` (L,) on, as many as `starts` (L + 1,) has places for."""
    return np.arange(starts[-1]) + np.repeat(first - starts[:-1], np.diff(starts))


def _first_and_last(starts: Indices) -> tuple[Indices, Indices]:
    """For every point the index of its line's first and last point."""
    lengths = starts[1:] - starts[:-1]
    return np.repeat(starts[:-1], lengths), np.repeat(starts[1:] - 1, lengths)


def smooth(points: Points, widths: Floats, starts: Indices, radius: int) -> tuple[Points, Floats]:
    """Centred moving averages along each line; the window narrows toward the ends, which stay."""
    first, last = _first_and_last(starts)
    index = np.arange(len(points))
    reach = np.minimum(np.minimum(index - first, last - index), radius)
    return _averaged(points, index, reach), _averaged(widths, index, reach)


def resample(cells: Points, starts: Indices, radius: int) -> tuple[Points, Indices]:
    """Points about `STEP_CELLS` apart along chains of cells, and where each line now begins.

    Both ends are kept. A point is the average over `radius` cells each way.
    """
    # The jumps between lines have lengths too, but get no points, because every target lies inside a line.
    along = np.zeros(len(cells), np.float32)
    np.cumsum(np.abs(cells[1:] - cells[:-1]), out=along[1:])
    begin = along[starts[:-1]]
    length = along[starts[1:] - 1] - begin
    pieces = np.maximum(np.rint(length / STEP_CELLS).astype(np.intp), 1)
    counts = pieces + 1
    new_starts = starts_of(counts)
    step = np.repeat(length / pieces, counts)
    target = np.repeat(begin - 0.5 - new_starts[:-1] * (length / pieces), counts) + np.arange(len(step)) * step
    index = np.searchsorted(along, target.astype(np.float32))
    index[new_starts[:-1]], index[new_starts[1:] - 1] = starts[:-1], starts[1:] - 1
    first, last = np.repeat(starts[:-1], counts), np.repeat(starts[1:] - 1, counts)
    return _averaged(cells, index, np.minimum(np.minimum(index - first, last - index), radius)), new_starts


def _averaged(values: NDArray[Any], index: Indices, reach: Indices) -> NDArray[Any]:
    """Means of `values` (P,) over `reach` neighbours on either side of `index`."""
    total = np.zeros(len(values) + 1, np.result_type(values, np.float64))
    np.cumsum(values, out=total[1:])
    return ((total[index + reach + 1] - total[index - reach]) / (2 * reach + 1)).astype(values.dtype)


def centre(points: Points, starts: Indices, channel: Indices, scores: NDArray[np.uint8]) -> tuple[Points, Floats]:
    """Moves every point to the middle of its class's profile across the line, and measures the line's width there.

    `scores` (4, Y, X) are read at `channel` (P,). The profile is cut at the first valley on either side, so a
    neighbouring parallel line does not pull.
    """
    # All arrays of profiles are (K, P): long rows make every step a plain loop over memory.
    normal = _normals(points, starts)
    offsets = np.arange(-_REACH, _REACH + 1, dtype=np.float32)
    col = points.real + offsets[:, None] * normal.real
    row = points.imag + offsets[:, None] * normal.imag
    to_col, to_row = (scores.shape[2] - 1) / 2, (scores.shape[1] - 1) / 2
    inside = (np.abs(col - to_col) < to_col + 0.5) & (np.abs(row - to_row) < to_row + 0.5)
    profile = (sample(scores, col, row, channel) * inside).astype(np.float32)
    for k in range(1, _REACH + 1):
        for here, inward in ((_REACH + k, _REACH + k - 1), (_REACH - k, _REACH - k + 1)):
            np.minimum(profile[here], profile[inward], out=profile[here])
    # What is left at a quarter of the peak is blur or noise, and far from the middle it would pull hardest.
    weight = np.maximum(profile / np.maximum(profile[_REACH], 1) - np.float32(0.25), 0)
    shift = offsets @ weight / np.maximum(weight.sum(0), np.float32(1e-3))
    # From full weight at three quarters of the peak to none at one: on a slope that is the place of the half.
    width = np.minimum(2 * weight, 1).sum(0)
    return points + np.minimum(np.maximum(shift, -2), 2) * normal, width


def sample(scores: NDArray[np.uint8], col: Floats, row: Floats, channel: Indices) -> NDArray[Any]:
    """`scores` (4, Y, X) of a class at positions (K, P) between cells; `channel` broadcasts against them."""
    height, width = scores.shape[1:]
    # The channels lie one below the other in memory, so one look-up serves all classes.
    stacked_row = np.minimum(np.maximum(row, 0), height - 1) + (channel * height).astype(np.float32)
    return cv2.remap(
        scores.reshape(-1, width), col, stacked_row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def headings(lines: Lines) -> Points:
    """Unit vectors (2L,) leading out of both ends of every line, in the order of `Lines.tips`."""
    first, last = lines.starts[:-1], lines.starts[1:] - 1
    inner = np.concatenate([np.minimum(first + _HEADING_POINTS, last), np.maximum(last - _HEADING_POINTS, first)])
    return _unit(lines.points[lines.tips] - lines.points[inner])


def straighten_ends(points: Points, starts: Indices) -> Points:
    """Puts the last two points at each end in line with those before: skeletons end in corners and junctions."""
    first, last = starts[:-1], starts[1:] - 1
    long = np.flatnonzero(last - first >= _END_POINTS + _HEADING_POINTS)
    straight = points.copy()
    tip = np.concatenate([first[long], last[long]])
    inward = np.repeat([1, -1], len(long))
    base = points[tip + _END_POINTS * inward]
    out = _unit(base - points[tip + (_END_POINTS + _HEADING_POINTS) * inward])
    for k in range(_END_POINTS):
        moved = tip + k * inward
        straight[moved] = base + ((points[moved] - base) * out.conj()).real * out
    return straight


def split_at_corners(lines: Lines, class_index: int) -> Lines:
    """Cuts the lines of one class at their sharp corners: edges of crossings are straight."""
    starts = lines.starts
    index = np.flatnonzero(lines.point_classes == class_index)
    if len(index) == 0:
        return lines
    first, last = _first_and_last(starts)
    # Over three points each way, smoothing has rounded a corner off but not hidden it.
    before, after = np.maximum(index - 3, first[index]), np.minimum(index + 3, last[index])
    here = lines.points[index]
    turn = np.abs(np.angle((lines.points[after] - here) * (here - lines.points[before]).conj()))
    turn[(before == index) | (after == index)] = 0
    sharpest = (turn >= np.roll(turn, 1)) & (turn > np.roll(turn, -1)) & (turn > _CORNER)
    if not sharpest.any():
        return lines
    cut = np.sort(np.concatenate([starts, index[sharpest]]))
    return Lines(lines.points, cut, lines.classes[np.searchsorted(starts, cut[:-1], "right") - 1], lines.widths)


def end_points(lines: Lines, evidence: Evidence, border_inset: float, max_gap: float) -> Points:
    """Where each line really ends: straight ahead to where its class ends, less half the line's width.

    A line drawn with a round pen reaches half its width beyond its last vertex. What hides the line is crossed if the
    line shows again behind it, within `max_gap` cells. A line that leaves the grid ends `border_inset` cells before
    the border. Returns (2L,) in the order of `Lines.tips`.
    """
    tips = lines.tips
    at, out = lines.points[tips], headings(lines)
    classes = lines.tip_classes
    ahead = np.arange(0, max(max_gap, 12) + 0.1, 0.5, dtype=np.float32)
    look = evidence.look_at(at[:, None] + ahead * out[:, None])  # E S
    label = look & CLASS_BITS
    own = label == classes.astype(np.uint8)[:, None]
    lost = ~own & ((look & COVERED) == 0)  # outside the grid nothing covers
    lost[:, -1] = True
    steps = np.arange(len(ahead))
    own &= steps < np.argmax(lost, 1)[:, None]
    own[:, 0] = True
    leaves = len(ahead) - np.argmax(own[:, ::-1], 1)  # the sample after the last one on the line
    leaves = np.minimum(leaves, len(ahead) - 1)
    to_border = look[np.arange(len(leaves)), leaves] == OUTSIDE
    reach = ahead[leaves] - 0.25 - np.where(to_border, border_inset, lines.widths[tips] / 2)
    # A crossing's edge runs from curb to curb; labels clear it near the curb, so it is continued to a boundary ahead.
    edge = np.flatnonzero(classes == CROSSING)
    curb = (label[edge] == BOUNDARY) & (ahead < (ahead[leaves[edge]] + _CURB_CELLS)[:, None])
    reach[edge] = np.where(curb.any(1), ahead[np.argmax(curb, 1)] + PEN_CELLS / 2, reach[edge])
    return at + np.maximum(reach, 0).astype(np.float32) * out


def _normals(points: Points, starts: Indices) -> Points:
    """Unit vectors to the left of the way at every point, from the points two before and two after it."""
    index = np.arange(len(points))
    first, last = _first_and_last(starts)
    return _unit(points[np.minimum(index + 2, last)] - points[np.maximum(index - 2, first)]) * np.complex64(1j)


def _unit(z: Points) -> Points:
    """Vectors of length one; those of no length stay."""
    return z / np.maximum(np.abs(z), np.float32(1e-6))
