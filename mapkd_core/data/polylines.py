"""Many polylines clipped to a rectangle at once: the fast geometry under map labels and SD maps.

Legend: M vertices of all lines one after the other, S segments between them.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import flattened

Points = NDArray[np.float64]

_CHUNK = 32  # segments per entry of the search tree: fewer are slower to query, more are slower to clip


@dataclass(frozen=True)
class Range:
    """A rectangle of the flat `base_link` plane, metres."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]

    def shrunk(self, margin_m: float) -> Range:
        """The rectangle without a margin on each side."""
        (x0, x1), (y0, y1) = self.x_m, self.y_m
        return Range((x0 + margin_m, x1 - margin_m), (y0 + margin_m, y1 - margin_m))

    def limits(self) -> tuple[Points, Points]:
        """Lowest and highest (x, y)."""
        return np.array([self.x_m[0], self.y_m[0]]), np.array([self.x_m[1], self.y_m[1]])

    def corners(self) -> Points:
        """(4, 2) counter-clockwise from (x_min, y_min)."""
        (x0, x1), (y0, y1) = self.x_m, self.y_m
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a line that lies inside the rectangle."""

    line: int
    """Which of the lines it belongs to."""
    points_m: Points
    """(N >= 2, 2), in the line's own direction."""

    @property
    def closed(self) -> bool:
        """Whether it is a ring that lies inside wholly."""
        return is_ring(self.points_m)


class PolylineIndex:
    """Polylines of a whole map, searchable by place. Rings are lines whose last vertex equals the first."""

    def __init__(self, lines: Sequence[NDArray[np.floating]]):
        cleaned = [without_repeats(np.asarray(line, np.float64)[:, :2]) for line in lines]
        counts = np.array([len(line) if len(line) >= 2 else 0 for line in cleaned], np.int64)
        kept = [line for line in cleaned if len(line) >= 2]
        points = np.concatenate(kept) if kept else np.zeros((0, 2))
        line_of_point = np.repeat(np.arange(len(counts)), counts)
        inside = line_of_point[1:] == line_of_point[:-1]
        first = np.flatnonzero(inside)
        self.starts, self.ends = points[first], points[first + 1]  # S 2
        self.line = line_of_point[first]  # S
        self.rings = np.array([is_ring(line) for line in cleaned], bool)
        # A chunk never runs over the end of a line, so that its box stays small.
        new_line = np.diff(self.line, prepend=-1) != 0
        at_line_start = np.maximum.accumulate(np.where(new_line, np.arange(len(first)), 0)) if len(first) else first
        self.chunk_starts = np.flatnonzero((np.arange(len(first)) - at_line_start) % _CHUNK == 0)
        self.chunk_ends = np.append(self.chunk_starts[1:], len(first))
        if len(first):
            low = np.minimum.reduceat(np.minimum(self.starts, self.ends), self.chunk_starts)
            high = np.maximum.reduceat(np.maximum(self.starts, self.ends), self.chunk_starts)
            self.tree = shapely.STRtree(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))

    def clipped(self, window: Range, map_from_base: NDArray[np.floating] | None = None) -> list[Piece]:
        """The parts of all lines inside `window`, ordered by line.

        With a pose, the lines are in the `map` frame and `window` and the result in the pose's flattened frame.
        """
        if not len(self.starts):
            return []
        pose = np.eye(4) if map_from_base is None else flattened(map_from_base)
        rotation, origin = pose[:2, :2], pose[:2, 3]
        corners = window.corners() @ rotation.T + origin
        chunks = np.sort(self.tree.query(shapely.box(*corners.min(0), *corners.max(0))))
        segments = _ranges(self.chunk_starts[chunks], self.chunk_ends[chunks])
        starts, ends = (self.starts[segments] - origin) @ rotation, (self.ends[segments] - origin) @ rotation
        return _clip(segments, starts, ends, self.line[segments], self.rings, window)


def clip_polylines(lines: Sequence[NDArray[np.floating]], window: Range) -> list[Piece]:
    """The parts of a few lines (N >= 2, 2) inside a rectangle of their own frame."""
    if not lines:
        return []
    points = np.concatenate(lines).astype(np.float64, copy=False)
    low, high = window.limits()
    if np.all(points >= low) and np.all(points <= high):
        return [Piece(number, np.asarray(line, np.float64)) for number, line in enumerate(lines)]
    line_of_point = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    first = np.flatnonzero(line_of_point[1:] == line_of_point[:-1])
    rings = np.array([is_ring(line) for line in lines])
    return _clip(first, points[first], points[first + 1], line_of_point[first], rings, window)


def is_ring(points: NDArray[np.floating]) -> bool:
    """Whether a line's last vertex equals its first."""
    return len(points) > 3 and bool(points[0, 0] == points[-1, 0] and points[0, 1] == points[-1, 1])


def without_repeats(points: Points) -> Points:
    """The line without vertices that equal the one before."""
    if len(points) < 2:
        return points
    return points[np.concatenate([[True], np.any(points[1:] != points[:-1], axis=1)])]


def _ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[0] .. ends[0] - 1, starts[1] .. ends[1] - 1, ... in one array."""
    lengths = ends - starts
    offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.arange(lengths.sum()) + offsets


def _clip(
    segments: NDArray[np.int64], starts: Points, ends: Points, line: NDArray[np.int64], rings: NDArray[np.bool_],
    window: Range,
) -> list[Piece]:
    """Liang and Barsky's clipping of every segment, then segments that touch are chained again.

    `segments` are their numbers in their index: neighbours in one line have neighbouring numbers.
    """
    low, high = window.limits()
    delta = ends - starts
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low, to_high = (low - starts) / delta, (high - starts) / delta  # S 2
    between = (starts >= low) & (starts <= high)
    parallel = delta == 0
    enter = np.where(parallel, np.where(between, -np.inf, np.inf), np.minimum(to_low, to_high))
    leave = np.where(parallel, np.where(between, np.inf, -np.inf), np.maximum(to_low, to_high))
    begin, finish = np.maximum(enter.max(1, initial=-np.inf), 0), np.minimum(leave.min(1, initial=np.inf), 1)
    kept = np.flatnonzero(begin < finish)
    if not len(kept):
        return []
    t0, t1, line, delta = begin[kept], finish[kept], line[kept], delta[kept]
    first = starts[kept] + t0[:, None] * delta
    last = np.where(t1[:, None] == 1, ends[kept], starts[kept] + t1[:, None] * delta)
    # Whatever rounding says, a clipped vertex must not lie outside.
    first, last = np.clip(first, low, high), np.clip(last, low, high)
    chained = (np.diff(segments[kept]) == 1) & (line[1:] == line[:-1]) & (t1[:-1] == 1) & (t0[1:] == 0)
    cuts = np.concatenate([[0], np.flatnonzero(~chained) + 1, [len(kept)]])
    parts = [(int(line[a]), np.concatenate([first[a : a + 1], last[a:b]])) for a, b in pairwise(cuts)]
    return [Piece(number, points) for number, points in _joined_over_seams(parts, rings) if len(points) >= 2]


def _joined_over_seams(parts: list[tuple[int, Points]], rings: NDArray[np.bool_]) -> list[tuple[int, Points]]:
    """A ring's last part continues in its first where both meet at the ring's first vertex."""
    result: list[tuple[int, Points]] = []
    at = 0
    while at < len(parts):
        number = parts[at][0]
        until = at
        while until < len(parts) and parts[until][0] == number:
            until += 1
        group = [without_repeats(points) for _, points in parts[at:until]]
        if rings[number] and len(group) > 1 and np.all(group[-1][-1] == group[0][0]):
            group[0] = np.concatenate([group.pop(), group[0][1:]])
        result += [(number, points) for points in group]
        at = until
    return result
