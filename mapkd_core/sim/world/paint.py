"""Road paint drawn to sub-cell accuracy: lines, dashes, crossings, stop lines and arrows as oriented strips."""
from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along, points_at
from mapkd_core.sim.roads.polyline import shifted
from mapkd_core.sim.world.ground_raster import cells_near

LINE_WIDTH_M = 0.13
DOUBLE_GAP_M = 0.13
STOP_WIDTH_M = 0.4
DASH_M, DASH_GAP_M = 3.0, 6.0
STRIPS_AT_ONCE = 256
"""Painted in one go; so their cells take some megabytes."""


class PaintCanvas:
    """Coverage of the ground by paint, and how yellow it is, on a square raster around the world's origin."""

    def __init__(self, size: int, cell_m: float) -> None:
        """`size` cells a side."""
        self.size, self.cell_m = size, cell_m
        self._coverage = np.zeros((size, size), np.uint8)
        self._yellow = np.zeros((size, size), np.uint8)
        self._axis = ((np.arange(size) + 0.5 - size / 2) * cell_m).astype(np.float32)
        self._waiting: list[tuple[NDArray, NDArray, float, float, bool]] = []

    def layers(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """All paint so far and its yellow part, (size, size) each, rows along y; 255 is full cover by fresh paint."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            counts = [len(strips[0]) for strips in waiting]
            start, end = (np.concatenate([strips[side] for strips in waiting]) for side in (0, 1))
            width, strength, yellow = (np.repeat([strips[k] for strips in waiting], counts) for k in (2, 3, 4))
            for first in range(0, len(start), STRIPS_AT_ONCE):
                some = slice(first, first + STRIPS_AT_ONCE)
                self._paint(start[some], end[some], width[some], strength[some], yellow[some])
        return self._coverage, self._yellow

    def strip(self, start: NDArray, end: NDArray, width_m: float, strength: float = 1.0, yellow: bool = False) -> None:
        """Paints the rectangle of `width_m` around the segment; a cell gets the share of it that is covered."""
        self.strips(np.asarray(start)[None], np.asarray(end)[None], width_m, strength, yellow)

    def strips(self, start: NDArray, end: NDArray, width_m: float, strength: float = 1.0, yellow: bool = False) -> None:
        """The same for segments from (N, 2) to (N, 2)."""
        self._waiting.append((start, end, width_m, strength, yellow))  # thousands at a time cost as much as a few

    def _paint(self, start: NDArray, end: NDArray, width_m: NDArray, strength: NDArray, yellow: NDArray) -> None:
        """Paints N strips.

        The share is taken from the distance of the cell's centre to the edge, which is exact for straight edges
        and, unlike a polygon filler's anti-aliasing, does not widen the strip.
        """
        strip, row, column = cells_near(start, end, width_m / 2 + self.cell_m, self.size, self.cell_m)
        along = end - start
        length = np.hypot(along[:, 0], along[:, 1])
        middle = ((start + end) / 2).astype(np.float32)
        unit = (along / np.maximum(length, 1e-9)[:, None]).astype(np.float32)
        dx, dy = self._axis[column] - middle[strip, 0], self._axis[row] - middle[strip, 1]
        cos, sin = unit[strip].T
        u = (length / 2).astype(np.float32)[strip] - np.abs(dx * cos + dy * sin)
        v = (width_m / 2).astype(np.float32)[strip] - np.abs(dy * cos - dx * sin)
        cell = np.float32(self.cell_m)
        cover = np.clip(u / cell + np.float32(0.5), 0, 1) * np.clip(v / cell + np.float32(0.5), 0, 1)
        cover[length[strip] < 1e-6] = 0
        value = (cover * (255 * strength).astype(np.float32)[strip]).astype(np.uint8)
        painted = np.nonzero(value)[0]
        at, value = row[painted] * self.size + column[painted], value[painted]
        np.maximum.at(self._coverage.reshape(-1), at, value)
        golden = yellow[strip[painted]]
        np.maximum.at(self._yellow.reshape(-1), at[golden], value[golden])

    def polyline(self, points: NDArray, width_m: float, strength: float = 1.0, yellow: bool = False) -> None:
        """Paints a solid line through (N, 2) points."""
        start, along = points[:-1], points[1:] - points[:-1]
        length = np.hypot(along[:, 0], along[:, 1])
        real = length >= 1e-6
        start, along, length = start[real], along[real], length[real]
        # Pieces overlap a little so that bends have no gaps; short pieces keep the touched windows small.
        overlap = along / length[:, None] * min(0.3 * width_m, 0.04)
        pieces = np.maximum(np.ceil(length / 3).astype(int), 1)
        segment = np.repeat(np.arange(len(start)), pieces)
        k = np.arange(len(segment)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        low, high = k * (1.0 / pieces[segment]), (k + 1) * (1.0 / pieces[segment])
        high[k + 1 == pieces[segment]] = 1.0
        start, along, overlap = start[segment], along[segment], overlap[segment]
        begin, stop = start + low[:, None] * along - overlap, start + high[:, None] * along + overlap
        self.strips(begin, stop, width_m, strength, yellow)

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
        step = np.arange(0.0, 1.3, self.cell_m)[:, None]  # the triangle as thin strips of growing width
        at, half = head + (1.3 - step) * forward, 0.42 * step * across
        self.strips(at - half, at + half, self.cell_m * 1.5, strength)

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
