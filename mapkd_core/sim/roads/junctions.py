"""Where roads meet: how far the markings stop before it, crossings, stop lines, rounded curbs, and the ways across."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import shapely
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.sim.roads.polyline import Line, headings, hermite, shifted
from mapkd_core.sim.roads.road_network import Network, Node
from mapkd_core.sim.roads.road_strip import BACKWARD, FORWARD, RoadStrip
from mapkd_core.vector_map import MapLine

T = TypeVar("T", float, np.ndarray)
REACH_M = 55.0
"""Farthest from a node that its junction is looked for."""


@dataclass(frozen=True)
class Arm:
    """One road's end at a node."""

    road: int
    at_end: bool
    """True when the road's reference line ends here, False when it begins here."""

    def distance_m(self, strip: RoadStrip, from_node_m: T) -> T:
        """The distance along the strip of places `from_node_m` away from the node."""
        return strip.length_m - from_node_m if self.at_end else from_node_m


@dataclass(frozen=True)
class Approach:
    """What stands on one arm: the crossing, if any, and the distance from the node at which markings end."""

    clear_m: float
    crossing: Polygon | None
    stop_m: float
    has_stop_line: bool


def arms_of(network: Network) -> dict[Node, list[Arm]]:
    """The roads' ends that meet at every node."""
    arms: dict[Node, list[Arm]] = {}
    for index, road in enumerate(network.roads):
        if road.start is not None:
            arms.setdefault(road.start, []).append(Arm(index, False))
        if road.end is not None:
            arms.setdefault(road.end, []).append(Arm(index, True))
    return arms


def _curbs(strip: RoadStrip, arm: Arm, from_node_m: np.ndarray) -> tuple[Line, Line, Line]:
    """Curb points right and left of the reference, and the reference itself, at distances from the node."""
    s = arm.distance_m(strip, from_node_m)
    order = np.argsort(s)
    points, _ = strip.stretch(float(s.min()), float(s.max()))
    grid = np.linspace(s.min(), s.max(), len(points))
    right = shifted(points, strip.curb_m(FORWARD, grid))
    left = shifted(points, strip.curb_m(BACKWARD, grid))
    result = [np.empty((len(s), 2)) for _ in range(3)]
    for target, line in zip(result, (right, left, points), strict=True):
        for k in (0, 1):
            target[order, k] = np.interp(s[order], grid, line[:, k])
    return result[0], result[1], result[2]


def _clearance_m(strip: RoadStrip, arm: Arm, others: BaseGeometry) -> float:
    """Distance from the node behind which the road lies free of the other roads."""
    away = np.arange(0.0, min(REACH_M, strip.length_m * 0.45), 0.5)
    last = 0.0
    for line in _curbs(strip, arm, away):
        inside = shapely.intersects_xy(others, line[:, 0], line[:, 1])
        if inside.any():
            last = max(last, float(away[inside].max()))
    return last + 0.5


def make_approach(
    strip: RoadStrip, arm: Arm, others: BaseGeometry, curb_radius_m: float, crossing: float, rng: np.random.Generator
) -> Approach:
    """Draws the crossing (with probability `crossing`) and the stop line of one arm."""
    start = _clearance_m(strip, arm, others) + 0.75 * curb_radius_m
    gap, depth, before = rng.uniform(0.2, 1.5), rng.uniform(2.4, 4.8), rng.uniform(0.7, 2.0)
    wanted, stops = rng.random() < crossing, rng.random() < 0.8
    near, far = start + gap, start + gap + depth
    right, left, _ = _curbs(strip, arm, np.array([near, far, far + 1.0]))
    width = float(np.linalg.norm(right[0] - left[0]))
    if not wanted or width < 1.4 * depth or far + before + 6 > strip.length_m * 0.45:
        return Approach(start + gap, None, start + gap, stops and not wanted)
    # The long edges run from curb to curb.
    polygon = Polygon([right[0], left[0], left[1], right[1]])
    return Approach(start, polygon if polygon.is_valid else None, far + before, stops)


def stop_line(strip: RoadStrip, arm: Arm, stop_m: float, wear: float) -> MapLine | None:
    """The line across the lanes that come towards the node; None on a road that only leads away."""
    side = FORWARD if arm.at_end else BACKWARD
    if strip.lanes_on(side) == 0:
        return None
    s = arm.distance_m(strip, stop_m)
    points, _ = strip.stretch(s - 1, s + 1)
    middle = len(points) // 2
    outer = float(strip.curb_m(side, np.array([s]))[0]) - side * strip.section.gutter_m
    ends = [shifted(points, offset)[middle] for offset in (strip.edge_m(side, 0), outer)]
    return MapLine(np.array(ends), "stop_line", "solid", "white", wear)


def junction_area(
    outlines: list[BaseGeometry], node_m: np.ndarray, curb_radius_m: float, hub_m: float
) -> BaseGeometry:
    """The roads' common surface near a node, its inner corners rounded by the curb radius.

    A disc of radius `hub_m` hides the blunt ends of roads that stop here.
    """
    disc = Point(node_m).buffer(REACH_M)
    hub = Point(node_m).buffer(hub_m)
    local = shapely.union_all([*outlines, hub]).intersection(disc)
    closed = local.buffer(curb_radius_m, quad_segs=8).buffer(-curb_radius_m, quad_segs=8)
    # Only the neighbourhood of the node is rounded: far arms that run side by side keep the ground between them.
    return closed.intersection(Point(node_m).buffer(REACH_M * 0.8))


def connections(
    incoming: list[tuple[int, int, Line, int]], outgoing: list[tuple[int, int, Line, int]]
) -> list[tuple[int, int, Line]]:
    """Ways across a junction as (index of the lane before, index of the lane after, centre line).

    An entry is (lane index, road, centre line, position from the middle of its road). Going straight keeps the
    position; turns use the lane on the side of the turn.
    """
    ways: list[tuple[int, int, Line]] = []
    roads_out = sorted({entry[1] for entry in outgoing})
    roads_in = sorted({entry[1] for entry in incoming})
    for road_in in roads_in:
        lanes_in = sorted((e for e in incoming if e[1] == road_in), key=lambda e: e[3])
        for road_out in roads_out:
            lanes_out = sorted((e for e in outgoing if e[1] == road_out), key=lambda e: e[3])
            if road_in == road_out or not lanes_out:
                continue
            heading_in = headings(lanes_in[0][2])[-1]
            turn = (headings(lanes_out[0][2])[0] - heading_in + np.pi) % (2 * np.pi) - np.pi
            if abs(turn) < 0.7:
                pairs = [(entry, lanes_out[min(k, len(lanes_out) - 1)]) for k, entry in enumerate(lanes_in)]
            elif turn > 0:
                pairs = [(lanes_in[0], lanes_out[0])]
            else:
                pairs = [(lanes_in[-1], lanes_out[-1])]
            for (index_in, _, line_in, _), (index_out, _, line_out, _) in pairs:
                way = hermite(line_in[-1], headings(line_in)[-1], line_out[0], headings(line_out)[0])
                ways.append((index_in, index_out, way))
    return ways


def with_clearance(strip: RoadStrip, arm: Arm, clear_m: float) -> RoadStrip:
    """The strip whose markings end `clear_m` before this arm's node."""
    return replace(strip, clear_end_m=clear_m) if arm.at_end else replace(strip, clear_start_m=clear_m)
