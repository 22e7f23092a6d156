"""Many polylines in flat arrays: the one form in which the lines of a map travel through the vectorizer.

A point is a complex number `col + 1j * row` in cells; integers are cell centers. A product with a conjugate then gives
dot and cross product at once, and each step handles all points of all lines in a few array operations.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex64]
"""Points in cells, `col + 1j * row`, integers being cell centers: the only type of point in this folder."""
Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

_HEADING_POINTS = 5
"""The direction of an end is taken over this many points (about 15 cells): fewer would follow ragged edges."""


@dataclass(frozen=True, eq=False)
class Lines:
    """L polylines on the grid with P points in all, one line after the other."""

    points: Points
    """(P,) in cells."""
    starts: Indices
    """(L + 1,) index at which each line begins, and at which the last one ends."""
    classes: Indices
    """(L,) 1..3, the line's class."""
    widths: Floats
    """(P,) how wide the class is drawn there, in cells."""
    closed: Flags
    """(L,) whether the line is a ring; its last point then equals its first."""

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def counts(self) -> Indices:
        """(L,) points of each line."""
        return self.starts[1:] - self.starts[:-1]

    @property
    def point_classes(self) -> Indices:
        """(P,) the class of every point's line."""
        return np.repeat(self.classes, self.counts)

    @property
    def lengths(self) -> Floats:
        """(L,) arc lengths in cells."""
        steps = np.zeros(len(self.points), np.float32)
        np.abs(self.points[1:] - self.points[:-1], out=steps[:-1])
        steps[self.starts[1:] - 1] = 0  # from the end of a line to the start of the next
        return np.add.reduceat(steps, self.starts[:-1])

    @property
    def tips(self) -> Indices:
        """(2L,) indices of the end points: the first point of every line, then the last point of every line."""
        return np.concatenate([self.starts[:-1], self.starts[1:] - 1])

    @property
    def tip_classes(self) -> Indices:
        """(2L,) the classes at `tips`."""
        return np.concatenate([self.classes, self.classes])

    def selected(self, keep: Flags) -> Lines:
        """Only the lines (L,) to keep."""
        if keep.all():
            return self
        counts = self.counts
        of_point = np.repeat(keep, counts)
        return Lines(
            self.points[of_point], starts_of(counts[keep]), self.classes[keep], self.widths[of_point],
            self.closed[keep],
        )  # fmt: skip

    def with_tips(self, tips: Points) -> Lines:
        """The same lines with other end points (2L,), in the order of `tips`."""
        points = self.points.copy()
        points[self.tips] = tips
        return replace(self, points=points)


class Polyline(NamedTuple):
    """One finished line with few vertices."""

    points: Points
    """(N,) vertices in cells."""
    score: float
    """Confidence 0..1."""
    closed: bool
    """Whether it is a ring; its last vertex then equals its first."""


def starts_of(counts: list[int] | Indices) -> Indices:
    """Where lines of so many points begin when laid one after the other, and where the last one ends."""
    starts = np.zeros(len(counts) + 1, np.intp)
    np.cumsum(counts, out=starts[1:])
    return starts


def consecutive(first: Indices, starts: Indices) -> Indices:
    """Consecutive indices from each of `first` (L,) on, as many as `starts` (L + 1,) has places for."""
    return np.arange(starts[-1]) + np.repeat(first - starts[:-1], np.diff(starts))


def first_and_last(starts: Indices) -> tuple[Indices, Indices]:
    """For every point (P,) the index of its line's first and last point."""
    counts = starts[1:] - starts[:-1]
    return np.repeat(starts[:-1], counts), np.repeat(starts[1:] - 1, counts)


def headings(lines: Lines) -> Points:
    """Unit vectors (2L,) that lead out of both ends of every line, in the order of `Lines.tips`."""
    first, last = lines.starts[:-1], lines.starts[1:] - 1
    inner = np.concatenate([np.minimum(first + _HEADING_POINTS, last), np.maximum(last - _HEADING_POINTS, first)])
    return unit(lines.points[lines.tips] - lines.points[inner])


def unit(vectors: Points) -> Points:
    """Vectors of length one; those of no length stay."""
    return vectors / np.maximum(np.abs(vectors), np.float32(1e-6))


def pairs_of(points: Points) -> Floats:
    """Points (N,) as (N, 2) float32 columns and rows, which OpenCV and the grid take; shares the memory."""
    return np.ascontiguousarray(points).view(np.float32).reshape(-1, 2)


def points_of(pairs: NDArray[Any]) -> Points:
    """Columns and rows (N, 2) as points (N,)."""
    return np.ascontiguousarray(pairs, np.float32).view(np.complex64)[:, 0]
