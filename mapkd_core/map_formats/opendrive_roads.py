"""The roadways of a street map as roads of OpenDRIVE: reference curves, lanes with widths, links."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.polylines import without_repeats
from mapkd_core.map_formats.lane_map import Lane, Lanes, Piece
from mapkd_core.map_formats.opendrive_curve import Curve, curve_through
from mapkd_core.mapping.street_map import StreetElement

Points = NDArray[np.float64]
Table = list[tuple[float, float, float]]
"""Rows (s from the road's begin, value, slope), each until the next."""
LEAST_WIDTH_M = 0.2
_SHORTEST_M = 0.5
_GAP_M = 0.002


@dataclass(eq=False)
class Road:
    """A stretch of a reference line with lanes beside it."""

    key: int
    curve: Curve
    elevation: Points
    """(N,) z at the curve's vertices."""
    begin_m: float
    end_m: float
    center: StreetElement
    left: list[tuple[StreetElement, Table]] = field(default_factory=list)
    """Of each lane from the reference line outwards: its outer line, and its width."""
    right: list[tuple[StreetElement, Table]] = field(default_factory=list)
    successor: Road | None = None
    predecessor: Road | None = None

    @property
    def length_m(self) -> float:
        """Along the reference line."""
        return self.end_m - self.begin_m

    @property
    def signature(self) -> tuple[object, ...]:
        """What a road that follows this one must have in common with it for lanes to go on."""
        lines = [tuple(element.id for element, _ in side) for side in (self.left, self.right)]
        return (id(self.curve), *lines)


def roads_of(lanes: Lanes, left_hand: bool) -> list[Road]:
    """The roads of all lanes; those of one reference line that go on with the same lanes are linked."""
    maker = _Maker(lanes, left_hand)
    roads = [road for roadway in lanes.roadways for road in maker.roads(roadway)]
    by_begin = {(road.signature, round(road.begin_m, 6)): road for road in roads}
    for road in roads:
        after = by_begin.get((road.signature, round(road.end_m, 6)))
        if after is not None and after is not road and _meet(road, after):
            road.successor, after.predecessor = after, road
    return roads


def _meet(road: Road, after: Road) -> bool:
    """Whether the lanes of two roads are equally wide where they meet: else they are two roads, without a link."""
    for mine, theirs in ((road.left, after.left), (road.right, after.right)):
        for (_, ending), (_, beginning) in zip(mine, theirs, strict=True):
            s, width, slope = ending[-1]
            if abs(width + slope * (road.length_m - s) - beginning[0][1]) > _GAP_M:
                return False
    return True


class _Maker:
    def __init__(self, lanes: Lanes, left_hand: bool) -> None:
        self.lanes, self.left_hand = lanes, left_hand
        self.curves: dict[tuple[int, bool], tuple[Curve, Points]] = {}
        self.beside: dict[tuple[int, int, bool], tuple[Points, Points]] = {}
        self.count = 0

    def roads(self, roadway: Sequence[int]) -> list[Road]:
        """One road where traffic parts in two, each keeping to its side; else a road a lane."""
        lanes = [self.lanes.lanes[k] for k in roadway]
        ordered = self._ordered(lanes)
        if ordered is not None:
            across, ways = ordered
            against = sum(way < 0 for way in ways) if not self.left_hand else sum(way > 0 for way in ways)
            sides = [-1] * against + [1] * (len(ways) - against)
            if ways == ([-w for w in sides] if self.left_hand else sides):
                road = self._road(across, against)
                return [road] if road is not None else []
        alone = (self._road([(lane.left, lane.left_reversed), (lane.right, lane.right_reversed)], 0) for lane in lanes)
        return [road for road in alone if road is not None]

    def _ordered(self, lanes: Sequence[Lane]) -> tuple[list[tuple[int, bool]], list[int]] | None:
        """Lines from left to right along one direction, each with whether it runs against it, and the lanes' ways."""
        first = lanes[0]
        for turned in (False, True):
            start = first.turned() if turned else first
            across = [(start.left, start.left_reversed), (start.right, start.right_reversed)]
            ways = [-1 if turned else 1]
            for lane in lanes[1:]:
                for one, way in ((lane, 1), (lane.turned(), -1)):
                    if (one.left, one.left_reversed) == across[-1]:
                        across.append((one.right, one.right_reversed))
                        ways.append(way)
                        break
                else:
                    break
            if len(ways) == len(lanes):
                return across, ways
        return None

    def _curve(self, piece: Piece, turned: bool) -> tuple[Curve, Points]:
        key = (piece.element.id, turned)
        if key not in self.curves:
            line = piece.element.points_m[::-1] if turned else piece.element.points_m
            kept = np.concatenate([[True], np.any(line[1:, :2] != line[:-1, :2], axis=1)])
            self.curves[key] = curve_through(line[kept, :2]), line[kept, 2]
        return self.curves[key]

    def _road(self, across: list[tuple[int, bool]], middle: int) -> Road | None:
        """The road of lines from left to right, of which `middle` is the reference line."""
        number, turned = across[middle]
        piece = self.lanes.pieces[number]
        curve, elevation = self._curve(piece, turned)
        points = piece.points_m[::-1] if turned else piece.points_m
        begin, end = (self._station(curve, points, k) for k in (0, -1))
        if end - begin < _SHORTEST_M:
            return None
        self.count += 1
        road = Road(self.count, curve, elevation, begin, end, piece.element)
        for step, side in ((-1, road.left), (1, road.right)):
            inner: tuple[Points, Points] = (np.array([begin, end]), np.zeros(2))
            k = middle + step
            while 0 <= k < len(across):
                line = self.lanes.pieces[across[k][0]]
                outer = self._offsets(piece.element.id, turned, curve, across[k][0])
                side.append((line.element, _difference(inner, outer, begin, end)))
                inner, k = outer, k + step
        return road

    def _station(self, curve: Curve, points: Points, end: int) -> float:
        """Where on the curve a piece of its own line begins or ends."""
        there = np.flatnonzero(np.abs(curve.points_m - points[end, :2]).max(1) < 1e-9)
        if len(there):
            return float(curve.stations_m[there[0] if end == 0 else there[-1]])
        return float(curve.project(points[[end], :2])[0][0])

    def _offsets(self, center: int, turned: bool, curve: Curve, number: int) -> tuple[Points, Points]:
        """How far to the left of the curve a piece of a line is, by s, and a little of the pieces before and after it.

        Where the road ends, both roads that meet there see the same vertices.
        """
        key = (center, number, turned)
        if key not in self.beside:
            pieces, own = self.lanes.pieces, self.lanes.pieces[number]
            near = [pieces[k] for k in (number - 1, number + 1) if 0 <= k < len(pieces)]
            before = [p.points_m[-3:-1, :2] for p in near if p.element is own.element and p.number < own.number]
            after = [p.points_m[1:3, :2] for p in near if p.element is own.element and p.number > own.number]
            vertices = without_repeats(np.concatenate([*before, own.points_m[:, :2], *after]))
            s, t = curve.project(vertices)
            s, first = np.unique(s, return_index=True)
            self.beside[key] = s, t[first]
        return self.beside[key]


def _difference(inner: tuple[Points, Points], outer: tuple[Points, Points], begin: float, end: float) -> Table:
    at = np.unique(np.round(np.concatenate([[begin, end], inner[0], outer[0]]), 6))
    at = at[(at > begin + 1e-3) & (at < end - 1e-3)]
    at = np.concatenate([[begin], at, [end]])
    width = np.maximum(np.abs(np.interp(at, *outer) - np.interp(at, *inner)), LEAST_WIDTH_M)
    return table(at - begin, width)


def table(at: Points, values: Points) -> Table:
    """Straight pieces between values, none that goes on as the one before."""
    rows: Table = []
    for s, a, after, ahead in zip(at[:-1], values[:-1], at[1:], values[1:], strict=True):
        slope = (ahead - a) / (after - s)
        if rows and abs(rows[-1][2] - slope) < 1e-6 and abs(rows[-1][1] + rows[-1][2] * (s - rows[-1][0]) - a) < 1e-6:
            continue
        rows.append((float(s), float(a), float(slope)))
    return rows
