"""Many polylines clipped to a rectangle at once: the fast geometry under map labels and SD maps.

Legend: M vertices of all lines one after the other, S segments between them.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import flattened

Points = NDArray[np.float64]

_CHUNK = 32
"""Segments of an entry of the search tree: fewer are slower to query, more are slower to clip."""
_SAME_M = 1e-9
"""Vertices nearer to each other than this are one: what rounding leaves of a line that touches an edge."""


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
    """Polylines of a whole map, searchable by place. Rings are lines whose last vertex equals the first.

    Raises ValueError for a vertex that is not finite.
    """

    def __init__(self, lines: Sequence[NDArray[np.floating]]):
        cleaned = [without_repeats(np.asarray(line, np.float64)[:, :2]) for line in lines]
        counts = np.array([len(line) if len(line) >= 2 else 0 for line in cleaned], np.int64)
        kept = [line for line in cleaned if len(line) >= 2]
        self.points = np.concatenate(kept) if kept else np.zeros((0, 2))                                        # M 2
        _check_finite(self.points)
        line_of_point = np.repeat(np.arange(len(counts)), counts)
        # A segment is known by the place of its first vertex.
        first = np.flatnonzero(line_of_point[1:] == line_of_point[:-1])
        self.rings = np.array([is_ring(line) for line in cleaned], bool)
        # A chunk never runs over the end of a line, so that its box stays small.
        line = line_of_point[first]                                                                          # S
        new_line = np.diff(line, prepend=-1) != 0
        at_line_start = np.maximum.accumulate(np.where(new_line, np.arange(len(first)), 0)) if len(first) else first
        begins = np.flatnonzero((np.arange(len(first)) - at_line_start) % _CHUNK == 0)
        self.chunk_line = line[begins]
        self.chunk_begin = first[begins]
        """First vertex of each chunk."""
        self.chunk_end = first[np.append(begins[1:], len(first)) - 1] + 1 if len(first) else first
        """Last vertex of each chunk, the first one of the next in the same line."""
        if len(first):
            starts, ends = self.points[first], self.points[first + 1]
            low = np.minimum.reduceat(np.minimum(starts, ends), begins)
            high = np.maximum.reduceat(np.maximum(starts, ends), begins)
            self.tree = shapely.STRtree(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))

    def clipped(self, window: Range, map_from_base: NDArray[np.floating] | None = None) -> list[Piece]:
        """The parts of all lines inside `window`, ordered by line.

        With a pose, the lines are in the `map` frame and `window` and the result in the pose's flattened frame.
        """
        if not len(self.points):
            return []
        pose = np.eye(4) if map_from_base is None else flattened(map_from_base)
        rotation, origin = pose[:2, :2], pose[:2, 3]
        corners = window.corners() @ rotation.T + origin
        chunks = np.sort(self.tree.query(shapely.box(*corners.min(0), *corners.max(0))))
        if not len(chunks):
            return []
        begin, end, line = self.chunk_begin[chunks], self.chunk_end[chunks], self.chunk_line[chunks]
        # Chunks that follow each other in a line are clipped in one go.
        goes_on = (begin[1:] == end[:-1]) & (line[1:] == line[:-1])
        begin, line = (np.concatenate([values[:1], values[1:][~goes_on]]) for values in (begin, line))
        end = np.concatenate([end[:-1][~goes_on], end[-1:]])
        counts = end - begin + 1
        points = (self.points[_ranges(begin, end + 1)] - origin) @ rotation
        return _clip(points, counts, line, self.rings, window)


def clip_polylines(lines: Sequence[NDArray[np.floating]], window: Range) -> list[Piece]:
    """The parts of a few lines (N, 2) inside a rectangle of their own frame; a single vertex is no line.

    Raises ValueError for a vertex that is not finite.
    """
    if not lines:
        return []
    points = np.concatenate(lines).astype(np.float64, copy=False)
    low, high = window.limits()
    if np.all(points >= low) and np.all(points <= high):
        return [Piece(number, np.asarray(line, np.float64)) for number, line in enumerate(lines)]
    _check_finite(points)
    counts = np.array([len(line) for line in lines])
    long = counts >= 2
    rings = np.array([is_ring(line) for line in lines])
    return _clip(points[np.repeat(long, counts)], counts[long], np.flatnonzero(long), rings, window)


def is_ring(points: NDArray[np.floating]) -> bool:
    """Whether a line's last vertex equals its first."""
    return len(points) > 3 and bool(points[0, 0] == points[-1, 0] and points[0, 1] == points[-1, 1])


def without_repeats(points: Points) -> Points:
    """The line without vertices that equal the one before."""
    if len(points) < 2:
        return points
    return points[np.concatenate([[True], np.any(points[1:] != points[:-1], axis=1)])]


def _check_finite(points: Points) -> None:
    if not np.isfinite(points).all():
        bad = points[~np.isfinite(points).all(1)][0]
        raise ValueError(f"a polyline has the vertex ({bad[0]:g}, {bad[1]:g}); expected finite metres")


def _ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[0] .. ends[0] - 1, starts[1] .. ends[1] - 1, ... in one array."""
    lengths = ends - starts
    offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.arange(lengths.sum()) + offsets


def _clip(
    points: Points, counts: NDArray[np.int64], line: NDArray[np.int64], rings: NDArray[np.bool_], window: Range
) -> list[Piece]:
    """The parts inside `window` of stretches of `counts` vertices each, one after the other in `points`.

    `line` says which line a stretch is of, `rings` which lines are rings; stretches and parts are in order of both.
    """
    low, high = window.limits()
    # GEOS drops what runs along the rectangle's own edge: to it the rectangle is a hair larger.
    (x0, y0), (x1, y1) = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    stretches = shapely.linestrings(points, indices=np.repeat(np.arange(len(counts)), counts))
    inside, stretch = shapely.get_parts(shapely.clip_by_rect(stretches, x0, y0, x1, y1), return_index=True)
    vertices, part = shapely.get_coordinates(inside, return_index=True)
    vertices = np.clip(vertices, low, high)
    new = np.abs(np.diff(vertices, axis=0)).max(1, initial=0) > _SAME_M
    new |= part[1:] != part[:-1]
    kept = np.concatenate([np.ones(min(len(vertices), 1), bool), new])
    vertices, lengths = vertices[kept], np.bincount(part[kept], minlength=len(inside))
    ends = np.cumsum(lengths)
    pieces = [
        Piece(int(line[stretch[number]]), vertices[ends[number] - lengths[number] : ends[number]])
        for number in np.flatnonzero(lengths >= 2)
    ]
    firsts, whose = np.unique(line, return_index=True)
    begins = dict(zip(firsts.tolist(), points[(np.cumsum(counts) - counts)[whose]], strict=True))
    grouped = ((number, list(group)) for number, group in groupby(pieces, lambda piece: piece.line))
    return [p for number, group in grouped for p in (_joined(group, begins[number]) if rings[number] else group)]


def _joined(pieces: list[Piece], begin: Points) -> list[Piece]:
    """The pieces of a ring: the last continues in the first where both meet at `begin`, the ring's first vertex."""
    first, last = pieces[0].points_m, pieces[-1].points_m
    if len(pieces) < 2 or np.abs([first[0] - begin, last[-1] - begin]).max() > _SAME_M:
        return pieces
    return [Piece(pieces[0].line, np.concatenate([last, first[1:]])), *pieces[1:-1]]
