"""Ramps: one-lane roads that run into a lane of their own beside a road (merge) or leave it (diverge)."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
from shapely.geometry.base import BaseGeometry

from mapkd_core.sim.roads.polyline import Line, headings, hermite, resampled
from mapkd_core.sim.roads.road_network import Network, Road
from mapkd_core.sim.roads.road_strip import BACKWARD, FORWARD, CrossSection, RoadStrip, Widening

ROOM_M = 28.0
"""Free length that a ramp's lane leaves to the junctions at either end of its road."""
JOINT_M = 16.0
"""Unmarked end of a ramp where it meets the road."""


def with_ramps(network: Network, rng: np.random.Generator) -> Network:
    """The network with ramps added to some of its longer roads, where nothing is in their way."""
    roads = list(network.roads)
    outlines: list[BaseGeometry] = [RoadStrip(r.reference_m, r.section, r.widenings).outline(4.0) for r in roads]
    for index in range(len(network.roads)):
        if rng.random() > network.style.ramps:
            continue
        found = _ramp(roads[index], index, rng)
        if found is None:
            continue
        road, ramp = found
        surface = RoadStrip(ramp.reference_m, ramp.section).outline(1.0)
        if any(surface.intersects(other) for k, other in enumerate(outlines) if k != index):
            continue
        roads[index] = road
        outlines[index] = RoadStrip(road.reference_m, road.section, road.widenings).outline(4.0)
        roads.append(ramp)
        outlines.append(RoadStrip(ramp.reference_m, ramp.section).outline(4.0))
    return replace(network, roads=tuple(roads))


def _ramp(road: Road, index: int, rng: np.random.Generator) -> tuple[Road, Road] | None:
    """The road with a lane for the ramp, and the ramp; None where the road is too short or that side is taken."""
    strip = RoadStrip(road.reference_m, road.section)
    side = FORWARD if road.section.lanes_backward == 0 or rng.random() < 0.5 else BACKWARD
    merges = rng.random() < 0.6
    beside, taper, lane_m = rng.uniform(35, 60), rng.uniform(18, 30), road.section.lane_m
    low = ROOM_M + rng.uniform(0, 15)
    high = low + beside + taper
    if high > strip.length_m - ROOM_M or road.section.bike_m or strip.lanes_on(side) == 0:
        return None
    # Along the reference line, traffic on the forward side meets a merge's open end first.
    opens_at_start = merges == (side == FORWARD)
    lane = Widening(
        side, low, high, lane_m, taper, "ramp", open_start=opens_at_start, open_end=not opens_at_start
    )
    if any(w.side == side and w.start_m < high + 10 and w.end_m > low - 10 for w in road.widenings):
        return None
    joint_m = low if opens_at_start else high
    centre = strip.line(strip.edge_m(side, strip.lanes_on(side)) + side * lane_m / 2, 0.0, strip.length_m)
    place = round(joint_m / strip.length_m * (len(centre) - 1))
    line = _ramp_line(centre, place, side, opens_at_start, rng)
    # Drawn from the joint outwards; on a merge traffic comes the other way.
    ramp_line = line[::-1] if merges else line
    section = CrossSection(
        lanes_forward=1, lanes_backward=0, lane_m=lane_m, gutter_m=road.section.gutter_m,
        edge_paint=road.section.edge_paint, edge_color=road.section.edge_color, wear=road.section.wear,
    )
    return replace(road, widenings=(*road.widenings, lane)), Road(
        None, None, ramp_line, section, clear_m=(0.0, JOINT_M) if merges else (JOINT_M, 0.0), joins=index
    )


def _ramp_line(centre: Line, place: int, side: float, towards_start: bool, rng: np.random.Generator) -> Line:
    """From a few metres inside the ramp's lane, along it to the joint, and away from the road in a curve."""
    heading = headings(centre)[place] + (np.pi if towards_start else 0.0)
    inside = centre[place : place + 7] if towards_start else centre[max(place - 6, 0) : place + 1][::-1]
    along = np.array([np.cos(heading), np.sin(heading)])
    # Seen along `along`, the ramp lies on the road's outer side.
    outward = side * np.array([-np.sin(heading), np.cos(heading)]) * (-1 if towards_start else 1)
    turn = rng.uniform(0.25, 0.75)
    bend = float(np.sign(along[0] * outward[1] - along[1] * outward[0])) * turn
    reach = rng.uniform(45, 70)
    far = centre[place] + reach * along + reach * 0.42 * turn * outward
    curve = hermite(centre[place], heading, far, heading + bend)
    tail = far + np.outer(np.linspace(1, 35, 35), [np.cos(heading + bend), np.sin(heading + bend)])
    return resampled(np.concatenate([inside[::-1][:-1], curve, tail]), 1.0)
