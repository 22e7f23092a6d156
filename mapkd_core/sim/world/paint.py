"""Road paint drawn to sub-cell accuracy: lines, dashes, crossings, stop lines and arrows as oriented strips."""
from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along, points_at
from mapkd_core.sim.roads.polyline import shifted

LINE_WIDTH_M = 0.13
DOUBLE_GAP_M = 0.13
STOP_WIDTH_M = 0.4
DASH_M, DASH_GAP_M = 3.0, 6.0


@dataclass
class PaintCanvas:
    """Coverage of the ground by paint, and how yellow it is, on a square raster around the world's origin."""

    size: int
    cell_m: float
    coverage: NDArray[np.uint8] = field(init=False)
    """(size, size), rows along y; 255 is full cover by fresh paint."""
    yellow: NDArray[np.uint8] = field(init=False)
    """The same, only for yellow paint."""

    def __post_init__(self) -> None:
        self.coverage = np.zeros((self.size, self.size), np.uint8)
        self.yellow = np.zeros((self.size, self.size), np.uint8)
        self._axis = ((np.arange(self.size) + 0.5 - self.size / 2) * self.cell_m).astype(np.float32)

    def strip(self, start: NDArray, end: NDArray, width_m: float, strength: float = 1.0, yellow: bool = False) -> None:
        """Paints the rectangle of `width_m` around the segment; a cell gets the share of it that is covered.

        The share is taken from the distance of the cell's centre to the edge, which is exact for straight edges
        and, unlike a polygon filler's anti-aliasing, does not widen the strip.
        """
        middle, along = (start + end) / 2, end - start
        length = float(np.hypot(*along))
        if length < 1e-6:
            return
        cos, sin = (along / length).astype(np.float32)
        half_length, half_width = length / 2, width_m / 2
        reach = np.abs([cos, sin]) * half_length + np.abs([sin, cos]) * half_width + self.cell_m
        low = np.floor((middle - reach) / self.cell_m + self.size / 2).astype(int)
        high = np.ceil((middle + reach) / self.cell_m + self.size / 2).astype(int) + 1
        (c0, r0), (c1, r1) = np.maximum(low, 0), np.minimum(high, self.size)
        if c0 >= c1 or r0 >= r1:
            return
        dx, dy = self._axis[c0:c1] - np.float32(middle[0]), (self._axis[r0:r1] - np.float32(middle[1]))[:, None]
        u = half_length - np.abs(dx * cos + dy * sin)
        v = half_width - np.abs(dy * cos - dx * sin)
        cover = np.clip(u / self.cell_m + 0.5, 0, 1) * np.clip(v / self.cell_m + 0.5, 0, 1)
        value = (cover * np.float32(255 * strength)).astype(np.uint8)
        for layer in (self.coverage, self.yellow) if yellow else (self.coverage,):
            window = layer[r0:r1, c0:c1]
            np.maximum(window, value, out=window)

    def polyline(self, points: NDArray, width_m: float, strength: float = 1.0, yellow: bool = False) -> None:
        """Paints a solid line through (N, 2) points."""
        for start, end in pairwise(points):
            length = np.hypot(*(end - start))
            if length < 1e-6:
                continue
            # Pieces overlap a little so that bends have no gaps; short pieces keep the touched windows small.
            overlap = (end - start) / length * min(0.3 * width_m, 0.04)
            stops = np.linspace(0, 1, max(int(np.ceil(length / 3)), 1) + 1)[:, None]
            for a, b in pairwise(start + stops * (end - start)):
                self.strip(a - overlap, b + overlap, width_m, strength, yellow)

    def dashes(self, points: NDArray, width_m: float, strength: float, yellow: bool, phase_m: float) -> None:
        """Paints a dashed line through (N, 2) points."""
        along = distances_along(points)
        for first in np.arange(-phase_m, along[-1], DASH_M + DASH_GAP_M):
            start, end = max(first, 0.0), min(first + DASH_M, along[-1])
            if end - start < 0.2:
                continue
            inner = along[(along > start) & (along < end)]
            dash = points_at(points, np.array([start, *inner, end]))
            self.polyline(dash, width_m, strength, yellow)

    def arrow(self, tail: NDArray, direction: NDArray, turn: int, strength: float = 1.0) -> None:
        """Paints a lane arrow 4 m long; `turn` is -1 right, 0 straight on, 1 left."""
        side = np.array([-direction[1], direction[0]])
        head = tail + 2.6 * direction
        self.strip(tail, head, 0.16, strength)
        forward, across = (direction, side) if turn == 0 else (turn * side, direction)
        for step in np.arange(0.0, 1.3, self.cell_m):  # the triangle as thin strips of growing width
            at, half = head + (1.3 - step) * forward, 0.42 * step * across
            self.strip(at - half, at + half, self.cell_m * 1.5, strength)

    def line(self, points: NDArray, paint: str, color: str, strength: float, phase_m: float) -> None:
        """Paints a divider in the style of `MapLine.paint`; `none` leaves nothing."""
        yellow = color == "yellow"
        if paint == "solid":
            self.polyline(points, LINE_WIDTH_M, strength, yellow)
        elif paint == "dashed":
            self.dashes(points, LINE_WIDTH_M, strength, yellow, phase_m)
        elif paint == "double":
            for side in (-1, 1):
                apart = shifted(points, side * (LINE_WIDTH_M + DOUBLE_GAP_M) / 2)
                self.polyline(apart, LINE_WIDTH_M, strength, yellow)

    def crossing(self, polygon: shapely.Polygon, traffic: NDArray | None, style: str, strength: float) -> None:
        """Paints a pedestrian crossing as `zebra` bars, two `lines`, or both (`ladder`), all within its polygon.

        `traffic` is the direction of the cars there, along which the bars lie; None takes the polygon's short side.
        """
        centre, axes, sizes = long_and_short_axes(polygon)
        if traffic is not None and abs(axes[0] @ traffic) > 0.87 and sizes[0] < 2.5 * sizes[1]:
            axes, sizes = axes[::-1], sizes[::-1]
        (walk, bar), (length, width) = axes, sizes
        if style in ("zebra", "ladder"):
            period, thickness = (0.95, 0.45) if style == "zebra" else (1.25, 0.4)
            count = max(int(length // period), 1)
            for step in (np.arange(count) - (count - 1) / 2) * period:
                self._strip_inside(polygon, centre + step * walk, bar, width, thickness, strength)
        if style in ("lines", "ladder"):
            for side in (-1, 1):
                self._strip_inside(polygon, centre + side * (width / 2 - 0.15) * bar, walk, length, 0.3, strength)

    def _strip_inside(
        self, polygon: shapely.Polygon, at: NDArray, direction: NDArray, length: float, width: float, strength: float
    ) -> None:
        """The part of a centre line that lies in the polygon, painted as a strip."""
        line = shapely.LineString([at - direction * length, at + direction * length]).intersection(polygon)
        for piece in getattr(line, "geoms", [line]):
            if isinstance(piece, shapely.LineString) and piece.length > 0.2:
                ends = np.asarray(piece.coords)
                self.strip(ends[0], ends[-1], width, strength)


def long_and_short_axes(polygon: shapely.Polygon) -> tuple[NDArray, list[NDArray], list[float]]:
    """Centre, unit axes and side lengths of a polygon's smallest rectangle, the long side first."""
    rectangle = polygon.minimum_rotated_rectangle
    assert isinstance(rectangle, shapely.Polygon)
    box = np.asarray(rectangle.exterior.coords)[:4]
    edges = (box[1] - box[0], box[2] - box[1])
    lengths = [float(np.hypot(*edge)) for edge in edges]
    order = (0, 1) if lengths[0] >= lengths[1] else (1, 0)
    return box.mean(0), [edges[i] / lengths[i] for i in order], [lengths[i] for i in order]
