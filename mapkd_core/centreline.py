"""Cell chains to smooth, sub-cell accurate centre lines: the accuracy half of the vectorizer (docs/vectorizer.md).

All lines are handled at once: `points` (P, 2) holds the (col, row) points of every line one after the other,
integers being cell centres, and `starts` (L + 1,) the index at which each line begins and the last one ends.
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


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the network says, cell by cell."""

    scores: NDArray[np.uint8]
    """(4, Y, X), 0..255: background and the three classes."""
    label: NDArray[np.uint8]
    """(Y, X) the winning class, 0 background."""
    covered: NDArray[np.uint8]
    """(Y, X) non-zero where another class may hide a line: on any class, and on the rim that label rasters clear."""


@dataclass(frozen=True, eq=False)
class Lines:
    """L lines on the grid with P points in all."""

    points: Floats
    """(P, 2) col, row."""
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
        steps = np.zeros(len(self.points))
        steps[:-1] = _hypot(np.diff(self.points, axis=0))
        steps[self.starts[1:] - 1] = 0
        return np.add.reduceat(steps, self.starts[:-1])

    def chosen(self, keep: NDArray[np.bool_]) -> Lines:
        """Only the lines (L,) to keep."""
        of_point = np.repeat(keep, np.diff(self.starts))
        starts = starts_of(np.diff(self.starts)[keep])
        return Lines(self.points[of_point], starts, self.classes[keep], self.widths[of_point])

    @property
    def tips(self) -> Indices:
        """(2L,) indices of the end points, all first ones before all last ones."""
        return np.concatenate([self.starts[:-1], self.starts[1:] - 1])


def starts_of(lengths: list[int] | Indices) -> Indices:
    """Where lines of these lengths begin when laid one after the other, and where the last ends."""
    starts = np.zeros(len(lengths) + 1, np.intp)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _first_and_last(starts: Indices) -> tuple[Indices, Indices]:
    """For every point the index of its line's first and last point."""
    lengths = np.diff(starts)
    return np.repeat(starts[:-1], lengths), np.repeat(starts[1:] - 1, lengths)


def smooth(values: Floats, starts: Indices, radius: int) -> Floats:
    """Centred moving average of (P, D) along each line; the window narrows toward the ends, which stay."""
    index = np.arange(len(values))
    first, last = _first_and_last(starts)
    reach = np.minimum(np.minimum(index - first, last - index), radius)
    total = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, 0, out=total[1:])
    return ((total[index + reach + 1] - total[index - reach]) / (2 * reach + 1)[:, None]).astype(np.float32)


def resample(points: Floats, starts: Indices, step: float = STEP_CELLS) -> tuple[Floats, Indices]:
    """Points (P, 2+) at equal distances of about `step` along each line, both ends kept; more columns go along."""
    # The jumps between lines have lengths too, but get no points, because every target lies inside a line.
    along = np.zeros(len(points))
    np.cumsum(_hypot(np.diff(points, axis=0)), out=along[1:])
    begin, end = along[starts[:-1]], along[starts[1:] - 1]
    pieces = np.maximum(np.rint((end - begin) / step).astype(np.intp), 1)
    new_starts = starts_of(pieces + 1)
    line = np.repeat(np.arange(len(pieces)), pieces + 1)
    target = begin[line] + (np.arange(new_starts[-1]) - new_starts[line]) * ((end - begin) / pieces)[line]
    columns = [np.interp(target, along, points[:, k]) for k in range(points.shape[1])]
    return np.stack(columns, 1).astype(np.float32), new_starts


def centre(points: Floats, starts: Indices, channel: Indices, scores: NDArray[np.uint8]) -> Floats:
    """Moves every point to the middle of its class's profile across the line.

    `scores` (4, Y, X) are read at `channel` (P,). The profile is cut at the first valley on either side, so a
    neighbouring parallel line does not pull.
    """
    normal = _normals(points, starts)
    offsets = np.arange(-_REACH, _REACH + 1, dtype=np.float32)
    col = points[:, :1] + offsets * normal[:, :1]  # P K
    row = points[:, 1:] + offsets * normal[:, 1:]
    profile = sample(scores, col, row, channel[:, None]).astype(np.float32)
    _clear_outside(profile, col, row, points, scores)
    for side in (profile[:, _REACH:], profile[:, _REACH::-1]):
        np.minimum.accumulate(side, 1, out=side)
    peak = np.maximum(profile[:, _REACH], 1)
    # What is left at a quarter of the peak is blur or noise, and far from the middle it would pull hardest.
    weight = np.maximum(profile - 0.25 * peak[:, None], 0)
    shift = np.clip((weight @ offsets) / np.maximum(weight.sum(1), 1e-3), -2, 2)
    return points + shift[:, None] * normal


def sample(scores: NDArray[np.uint8], col: Floats, row: Floats, channel: Indices) -> NDArray[Any]:
    """`scores` (4, Y, X) of a class at positions (P, K) between cells; `channel` broadcasts against them."""
    height, width = scores.shape[1:]
    # The channels lie one below the other in memory, so one look-up serves all classes.
    stacked_row = np.clip(row, 0, height - 1) + (channel * height).astype(np.float32)
    return cv2.remap(
        scores.reshape(-1, width), col, stacked_row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _clear_outside(profile: Floats, col: Floats, row: Floats, points: Floats, scores: NDArray[np.uint8]) -> None:
    """Sets what lies outside the grid to zero; only the points near the border need the look."""
    size = np.array(scores.shape[:0:-1])
    rim = np.flatnonzero(((points < _REACH) | (points > size - 1 - _REACH)).any(1))
    c, r = col[rim], row[rim]
    profile[rim] *= (c > -0.5) & (c < size[0] - 0.5) & (r > -0.5) & (r < size[1] - 0.5)


def headings(lines: Lines) -> Floats:
    """Unit vectors (2L, 2) leading out of both ends of every line, in the order of `Lines.tips`."""
    first, last = lines.starts[:-1], lines.starts[1:] - 1
    inner = np.concatenate([np.minimum(first + _HEADING_POINTS, last), np.maximum(last - _HEADING_POINTS, first)])
    out = lines.points[lines.tips] - lines.points[inner]
    return out / np.maximum(_hypot(out), 1e-6)[:, None]


def straighten_ends(points: Floats, starts: Indices) -> Floats:
    """Puts the last two points at each end in line with those before: skeletons end in corners and junctions."""
    first, last = starts[:-1], starts[1:] - 1
    long = last - first >= _END_POINTS + _HEADING_POINTS
    straight = points.copy()
    for tip, inward in ((first[long], 1), (last[long], -1)):
        base = tip + inward * _END_POINTS
        out = points[base] - points[base + inward * _HEADING_POINTS]
        out /= np.maximum(_hypot(out), 1e-6)[:, None]
        for k in range(_END_POINTS):
            moved = tip + inward * k
            straight[moved] = points[base] + ((points[moved] - points[base]) * out).sum(1, keepdims=True) * out
    return straight


def split_at_corners(lines: Lines, class_index: int) -> Lines:
    """Cuts the lines of one class at their sharp corners: edges of crossings are straight."""
    points, starts = lines.points, lines.starts
    index = np.arange(len(points))
    first, last = _first_and_last(starts)
    # Over three points each way, smoothing has rounded a corner off but not hidden it.
    before, after = np.maximum(index - 3, first), np.minimum(index + 3, last)
    z = points[:, 0] + 1j * points[:, 1]
    turn = np.abs(np.angle((z[after] - z) * (z - z[before]).conj()))
    turn[(lines.point_classes != class_index) | (before == index) | (after == index)] = 0
    sharpest = (turn >= np.roll(turn, 1)) & (turn > np.roll(turn, -1)) & (turn > _CORNER)
    cut = np.union1d(starts, index[sharpest])
    return Lines(points, cut, lines.classes[np.searchsorted(starts, cut[:-1], "right") - 1], lines.widths)


def end_points(lines: Lines, evidence: Evidence, border_inset: float, max_gap: float) -> Floats:
    """Where each line really ends: straight ahead to where its class ends, less half the line's width.

    A line drawn with a round pen reaches half its width beyond its last vertex. What hides the line is crossed if the
    line shows again behind it, within `max_gap` cells. A line that leaves the grid ends `border_inset` cells before
    the border. Returns (2L, 2) in the order of `Lines.tips`.
    """
    tips, out = lines.points[lines.tips], headings(lines)
    ahead = np.arange(0, max(max_gap, 12) + 0.1, 0.5, dtype=np.float32)
    col = tips[:, :1] + ahead * out[:, :1]  # E S
    row = tips[:, 1:] + ahead * out[:, 1:]
    height, width = evidence.label.shape
    inside = (col > -0.5) & (col < width - 0.5) & (row > -0.5) & (row < height - 0.5)
    cell = np.clip(np.rint(row).astype(np.intp), 0, height - 1), np.clip(np.rint(col).astype(np.intp), 0, width - 1)
    own = inside & (evidence.label[cell] == np.tile(lines.classes, 2)[:, None])
    lost = ~own & (~inside | (evidence.covered[cell] == 0))
    lost[:, -1] = True
    own &= ~np.logical_or.accumulate(lost, 1)
    own[:, 0] = True
    leaves = len(ahead) - np.argmax(own[:, ::-1], 1)  # the sample after the last one on the line
    leaves = np.minimum(leaves, len(ahead) - 1)
    to_border = ~inside[np.arange(len(leaves)), leaves]
    reach = ahead[leaves] - 0.25 - np.where(to_border, border_inset, lines.widths[lines.tips] / 2)
    # A crossing's edge runs from curb to curb; labels clear it near the curb, so it is continued to a boundary ahead.
    curb = inside & (evidence.label[cell] == BOUNDARY) & (ahead < (ahead[leaves] + _CURB_CELLS)[:, None])
    curb &= (np.tile(lines.classes, 2) == CROSSING)[:, None]
    reach = np.where(curb.any(1), ahead[np.argmax(curb, 1)] + PEN_CELLS / 2, reach)
    return tips + np.maximum(reach, 0)[:, None] * out


def _normals(points: Floats, starts: Indices) -> Floats:
    """Unit vectors to the left of the way at every point, from the points two before and two after it."""
    index = np.arange(len(points))
    first, last = _first_and_last(starts)
    chord = points[np.minimum(index + 2, last)] - points[np.maximum(index - 2, first)]
    return np.stack([-chord[:, 1], chord[:, 0]], 1) / np.maximum(_hypot(chord), 1e-6)[:, None]


def _hypot(vectors: Floats) -> Floats:
    return np.sqrt(vectors[:, 0] ** 2 + vectors[:, 1] ** 2)
