"""One stretch of road: a reference line and a cross-section become curbs, lanes and painted lines.

Lateral offsets are metres to the left of the reference line. Traffic keeps right (a world that keeps left is mirrored
as a whole, see roads.py): lanes in the line's direction lie right of the centre, oncoming lanes left of it.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from mapkd_core.geometry import distances_along
from mapkd_core.sim.roads.polyline import Line, at_known_arc, evenly, shifted, smooth_step
from mapkd_core.vector_map import MapLine

FORWARD, BACKWARD = -1.0, 1.0
"""Sides of a road, as the sign of their lateral offset."""


@dataclass(frozen=True)
class CrossSection:
    """What a road looks like cut across; widths in metres."""

    lanes_forward: int = 1
    lanes_backward: int = 1
    """0 for a one-way road."""
    lane_m: float = 3.4
    median_m: float = 0.0
    """Width of the raised median between the directions; 0 where only paint divides them."""
    gutter_m: float = 0.4
    """From the outermost lane to the curb."""
    bike_m: float = 0.0
    """Width of a bicycle lane beside the curb, 0 for none."""
    centre_paint: str = "double"
    centre_color: str = "yellow"
    lane_paint: str = "dashed"
    edge_paint: str = "none"
    """Line along the curb; it is a road mark, not a divider."""
    edge_color: str = "white"
    wear: float = 0.1

    @property
    def width_m(self) -> float:
        """Curb to curb, without widenings."""
        inner = self.median_m + 0.4 if self.median_m else 0.0
        sides = 1 if self.lanes_backward == 0 else 2
        lanes = (self.lanes_forward + self.lanes_backward) * self.lane_m
        return lanes + inner + sides * self.bike_m + 2 * self.gutter_m


@dataclass(frozen=True)
class Widening:
    """A stretch where one side is wider: a turning lane, a bay for buses or parked cars."""

    side: float
    """FORWARD or BACKWARD."""
    start_m: float
    end_m: float
    depth_m: float
    taper_m: float
    kind: str
    """`lane` (for turning), `ramp` (a lane that a ramp joins or leaves) or `bay`."""
    open_start: bool = False
    """True where it begins (along the reference line) at full depth instead of with a taper."""
    open_end: bool = False

    def depth_at(self, s_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Additional width at distances along the reference line."""
        rise = np.ones_like(s_m) if self.open_start else smooth_step((s_m - self.start_m) / self.taper_m)
        fall = np.ones_like(s_m) if self.open_end else smooth_step((self.end_m - s_m) / self.taper_m)
        inside = (s_m >= self.start_m) & (s_m <= self.end_m)
        return self.depth_m * np.minimum(rise, fall) * inside


@dataclass(frozen=True)
class Lane:
    """One lane of a strip: its centre in driving direction and its surface."""

    centre_m: Line
    area: Polygon
    side: float
    index: int
    """0 is the lane nearest to the middle of the road."""


@dataclass(frozen=True, eq=False)
class RoadStrip:
    """A road between two places, with the distances at which its lanes end before a junction."""

    reference_m: Line
    section: CrossSection
    widenings: tuple[Widening, ...] = ()
    clear_start_m: float = 0.0
    clear_end_m: float = 0.0
    """Unmarked length at the start and end (inside the junctions)."""
    name: str = ""

    @cached_property
    def arcs_m(self) -> NDArray[np.float64]:
        """Distance of every vertex of the reference line along it."""
        return distances_along(self.reference_m)

    @cached_property
    def length_m(self) -> float:
        """Length of the reference line."""
        return float(self.arcs_m[-1])

    def _inner_m(self, side: float) -> float:
        """Offset of the innermost lane's inner edge."""
        c = self.section
        if c.lanes_backward == 0:
            return c.lane_m * c.lanes_forward / 2 + (c.bike_m / 2 if c.bike_m else 0.0)
        half_median = c.median_m / 2 + 0.2 if c.median_m else 0.0
        # Roads with more lanes one way than the other still lie centred on their reference line.
        return side * half_median + (c.lanes_forward - c.lanes_backward) * c.lane_m / 2

    def lanes_on(self, side: float) -> int:
        """Number of through lanes on a side."""
        return self.section.lanes_forward if side == FORWARD else self.section.lanes_backward

    def edge_m(self, side: float, index: int) -> float:
        """Offset of the line between lanes `index - 1` and `index`; 0 is the edge towards the road's middle."""
        return self._inner_m(side) + side * index * self.section.lane_m

    def curb_m(self, side: float, s_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Offset of the curb at distances along the reference line."""
        c = self.section
        if side == BACKWARD and c.lanes_backward == 0:
            base = self._inner_m(FORWARD) + c.gutter_m
        else:
            base = self.edge_m(side, self.lanes_on(side)) + side * (c.bike_m + c.gutter_m)
        extra = sum((w.depth_at(s_m) for w in self.widenings if w.side == side), np.zeros_like(s_m))
        return base + side * extra

    def stretch(self, start_m: float, end_m: float) -> tuple[Line, NDArray[np.float64]]:
        """Reference points and their distances between two places."""
        points = at_known_arc(self.reference_m, self.arcs_m, evenly(start_m, end_m))
        arcs = distances_along(points)
        return points, start_m + arcs / max(float(arcs[-1]), 1e-9) * (end_m - start_m)

    def line(self, offset_m: float, start_m: float | None = None, end_m: float | None = None) -> Line:
        """The line at a constant lateral offset, between the junctions unless given."""
        start = self.clear_start_m if start_m is None else start_m
        end = self.length_m - self.clear_end_m if end_m is None else end_m
        return shifted(self.stretch(start, end)[0], offset_m)

    def outline(self, margin_m: float = 0.0) -> Polygon:
        """The surface from curb to curb over the whole length, made wider by `margin_m` on both sides."""
        points, s = self.stretch(0.0, self.length_m)
        right = shifted(points, self.curb_m(FORWARD, s) - margin_m)
        left = shifted(points, self.curb_m(BACKWARD, s) + margin_m)
        polygon = Polygon(np.concatenate([right, left[::-1]]))
        return polygon if polygon.is_valid else polygon.buffer(0)

    def median(self, nose_start_m: float, nose_end_m: float) -> Polygon | None:
        """The raised median between two distances, with rounded noses; None where there is none."""
        width = self.section.median_m
        if not width or nose_end_m - nose_start_m < 3 * width:
            return None
        middle = (self._inner_m(FORWARD) + self._inner_m(BACKWARD)) / 2
        points, s = self.stretch(nose_start_m, nose_end_m)
        ends = np.minimum(s - nose_start_m, nose_end_m - s)
        half = width / 2
        # A circle's profile at either end.
        share = np.sqrt(np.clip(1 - (1 - np.clip(ends / half, 0, 1)) ** 2, 0.0025, 1))
        left, right = shifted(points, middle + half * share), shifted(points, middle - half * share)
        polygon = Polygon(np.concatenate([right, left[::-1]]))
        return polygon if polygon.is_valid else None

    def lanes(self) -> list[Lane]:
        """All lanes between the junctions, turning lanes included."""
        found = [self._lane(side, i) for side in (FORWARD, BACKWARD) for i in range(self.lanes_on(side))]
        start, end = self.clear_start_m, self.length_m - self.clear_end_m
        for w in self.widenings:
            if w.kind != "bay":
                low = max(start, w.start_m + (0 if w.open_start else w.taper_m))
                high = min(end, w.end_m - (0 if w.open_end else w.taper_m))
                if high - low > 8:
                    found.append(self._lane(w.side, self.lanes_on(w.side), low, high))
        return found

    def _lane(self, side: float, index: int, start_m: float | None = None, end_m: float | None = None) -> Lane:
        inner = self.line(self.edge_m(side, index), start_m, end_m)
        outer = self.line(self.edge_m(side, index + 1), start_m, end_m)
        centre = (inner + outer) / 2
        area = Polygon(np.concatenate([inner, outer[::-1]]))
        return Lane(centre if side == FORWARD else centre[::-1], area, side, index)

    def markings(self, rng: np.random.Generator) -> list[MapLine]:
        """Every painted line between the junctions: dividers, bicycle lanes, curb lines, bays."""
        c = self.section

        def wear() -> float:
            return float(np.clip(c.wear + rng.normal(0, 0.08), 0, 1))

        lines: list[MapLine] = []
        if c.lanes_backward and not c.median_m:
            centre = self._inner_m(FORWARD)
            lines.append(MapLine(self.line(centre), "road_divider", c.centre_paint, c.centre_color, wear()))
        for side in (FORWARD, BACKWARD):
            count = self.lanes_on(side)
            for index in range(1, count):
                lines += self._lane_line(side, index, wear())
            if count and c.bike_m:
                edge = self.line(self.edge_m(side, count))
                lines.append(MapLine(edge, "lane_divider", "solid", "white", wear()))
            if c.median_m and c.edge_paint != "none":
                inner = self.line(self.edge_m(side, 0) + side * 0.1)
                lines.append(MapLine(inner, "road_mark", "solid", c.centre_color, wear()))
            if c.edge_paint != "none" and (count or side == BACKWARD) and not c.bike_m:
                for points, s in (self.stretch(*piece) for piece in self._without_ramps(side)):
                    edge = shifted(points, self.curb_m(side, s) - side * 0.3)
                    lines.append(MapLine(edge, "road_mark", c.edge_paint, c.edge_color, wear()))
        for w in self.widenings:
            lines += self._widening_lines(w, wear())
        return lines

    def _without_ramps(self, side: float) -> list[tuple[float, float]]:
        """Stretches between the junctions where no ramp joins or leaves on this side."""
        start, end = self.clear_start_m, self.length_m - self.clear_end_m
        pieces = []
        for w in sorted((w for w in self.widenings if w.kind == "ramp" and w.side == side), key=lambda w: w.start_m):
            pieces.append((start, w.start_m - (25.0 if w.open_start else 0.0)))
            start = w.end_m + (25.0 if w.open_end else 0.0)
        return [(low, high) for low, high in (*pieces, (start, end)) if high - low > 5]

    def _lane_line(self, side: float, index: int, wear: float) -> list[MapLine]:
        """The line between two through lanes; it is solid for the last metres before a junction."""
        c, offset = self.section, self.edge_m(side, index)
        start, end = self.clear_start_m, self.length_m - self.clear_end_m
        solid = 22.0
        if c.lane_paint != "dashed" or end - start < 3 * solid:
            return [MapLine(self.line(offset), "lane_divider", c.lane_paint, "white", wear)]
        split = end - solid if side == FORWARD else start + solid
        pieces = ((start, split, side == BACKWARD), (split, end, side == FORWARD))
        return [
            MapLine(self.line(offset, low, high), "lane_divider", "solid" if is_solid else "dashed", "white", wear)
            for low, high, is_solid in pieces
        ]

    def _widening_lines(self, w: Widening, wear: float) -> list[MapLine]:
        start = max(self.clear_start_m, w.start_m + (0 if w.open_start else w.taper_m))
        end = min(self.length_m - self.clear_end_m, w.end_m - (0 if w.open_end else w.taper_m))
        if end - start < 6:
            return []
        c = self.section
        inner = self.edge_m(w.side, self.lanes_on(w.side))
        if w.kind != "bay":
            paint = "dashed" if w.kind == "ramp" else "solid"
            return [MapLine(self.line(inner, start, end), "lane_divider", paint, "white", wear)]
        lines = [MapLine(self.line(inner, start, end), "road_mark", "dashed", "white", wear)]
        points, s = self.stretch(start, end)
        edge, curb = shifted(points, inner), shifted(points, self.curb_m(w.side, s) - w.side * c.gutter_m)
        if w.depth_m > 2.0:
            lines += [
                MapLine(np.stack([edge[i], curb[i]]), "road_mark", "solid", "white", wear)
                for i in range(0, len(points), 6)
            ]
        return lines
