"""Slip lanes: a turn past a junction's corner, which leaves a curbed island between itself and the junction."""
from __future__ import annotations

from itertools import product

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.sim.roads.junctions import Arm
from mapkd_core.sim.roads.polyline import Line, headings, hermite, shifted
from mapkd_core.sim.roads.road_strip import BACKWARD, FORWARD, RoadStrip

WIDTH_M = (4.2, 5.5)
LEAST_ISLAND_M2 = 14.0


def slip_lane(
    strips: list[RoadStrip], arms: list[Arm], junction: BaseGeometry, rng: np.random.Generator
) -> tuple[BaseGeometry, Polygon | None] | None:
    """The surface of one slip lane at a junction and perhaps a crossing over it; None where none fits."""
    before, width, crosses = rng.uniform(9, 20), rng.uniform(*WIDTH_M), rng.random() < 0.5
    pairs = [(a, b) for a, b in product(arms, arms) if a.road != b.road]
    for k in rng.permutation(len(pairs)):
        start, end = pairs[k]
        come = _curb_ray(strips[start.road], start, before, True, width)
        leave = _curb_ray(strips[end.road], end, before, False, width)
        if come is None or leave is None:
            continue
        turn = (leave[1] - come[1] + np.pi) % (2 * np.pi) - np.pi
        if not -2.2 < turn < -0.9:  # only turns to the curb's side
            continue
        line = hermite(come[0], come[1], leave[0], leave[1])
        surface = LineString(line).buffer(width / 2, cap_style="flat")
        whole = shapely.union(junction, surface)
        holes = [h for p in getattr(whole, "geoms", [whole]) for h in p.interiors]
        if any(Polygon(h).area > LEAST_ISLAND_M2 for h in holes):
            return surface, _crossing(line, width) if crosses else None
    return None


def _curb_ray(
    strip: RoadStrip, arm: Arm, before_m: float, coming: bool, width_m: float
) -> tuple[np.ndarray, float] | None:
    """A place beside the curb on one arm, inside the road by half the slip lane, and the direction of traffic."""
    side = (FORWARD if arm.at_end else BACKWARD) if coming else (BACKWARD if arm.at_end else FORWARD)
    clear = strip.clear_end_m if arm.at_end else strip.clear_start_m
    if strip.lanes_on(side) == 0 or strip.length_m < 2 * (clear + before_m) + 10:
        return None
    s = arm.distance_m(strip, clear + before_m)
    points, _ = strip.stretch(s - 1, s + 1)
    curb = float(strip.curb_m(side, np.array([s]))[0])
    heading = float(headings(points)[1]) + (0.0 if side == FORWARD else np.pi)
    return shifted(points, curb - side * (width_m / 2 + 0.1))[1], heading


def _crossing(line: Line, width_m: float) -> Polygon | None:
    middle, half = len(line) // 2, 1.6
    if len(line) < 12:
        return None
    piece = line[middle - 2 : middle + 3]
    along = (piece[-1] - piece[0]) / np.linalg.norm(piece[-1] - piece[0])
    across = np.array([-along[1], along[0]]) * width_m / 2
    near, far = piece[2] - half * along, piece[2] + half * along
    return Polygon([near - across, near + across, far + across, far - across])
