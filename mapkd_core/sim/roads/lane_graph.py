"""The lanes of a procedural map as surfaces and centre lines, and which lane continues which."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from shapely.geometry import Polygon

from mapkd_core.geometry import distances_along
from mapkd_core.sim.roads.junctions import Arm, arms_of, connections
from mapkd_core.sim.roads.polyline import Line, headings, hermite, length_m, part
from mapkd_core.sim.roads.road_network import Network
from mapkd_core.sim.roads.road_strip import BACKWARD, FORWARD, Lane, RoadStrip

MERGE_M = 25.0
"""Length over which a merging vehicle moves over."""


def lane_graph(
    network: Network, strips: list[RoadStrip]
) -> tuple[list[Polygon], list[Line], list[tuple[int, ...]]]:
    """Lane surfaces, centre lines (lanes first, then the ways across junctions and ramps), and successors."""
    lanes: list[tuple[int, Lane]] = [
        (road, lane)
        for road, strip in enumerate(strips)
        if strip.length_m - strip.clear_start_m - strip.clear_end_m >= 4
        for lane in strip.lanes()
    ]
    centres = [lane.centre_m for _, lane in lanes]
    successors: list[list[int]] = [[] for _ in centres]

    def add_way(before: int, way: Line, after: list[int]) -> None:
        successors[before].append(len(centres))
        centres.append(way)
        successors.append(after)

    for _, arms in sorted(arms_of(network).items()):
        incoming: list[tuple[int, int, Line, int]] = []
        outgoing: list[tuple[int, int, Line, int]] = []
        for arm in arms:
            towards = FORWARD if arm.at_end else BACKWARD
            for index, (road, lane) in enumerate(lanes):
                if road == arm.road and _reaches(strips[road], arm, lane.centre_m, lane.side == towards):
                    (incoming if lane.side == towards else outgoing).append((index, road, lane.centre_m, lane.index))
        for before, after, way in connections(incoming, outgoing):
            add_way(before, way, [after])
    for ramp, joining in enumerate(network.roads):
        own = next((k for k, (at, _) in enumerate(lanes) if at == ramp), None)
        if joining.joins is None or own is None:
            continue
        for index, (at, lane) in enumerate(lanes):
            if at != joining.joins or lane.index != strips[at].lanes_on(lane.side):
                continue
            if (onto := _straight_on(centres[own], lane.centre_m)) is not None:
                add_way(own, onto, [index])
                _move_over(lanes, index, successors, add_way)
            elif (off := _straight_on(lane.centre_m, centres[own])) is not None:
                add_way(index, off, [own])
    return [lane.area for _, lane in lanes], centres, [tuple(s) for s in successors]


def _reaches(strip: RoadStrip, arm: Arm, centre_m: Line, towards: bool) -> bool:
    """Whether a lane's near end is at this arm (a turning lane stops short of the other end)."""
    s = strip.length_m - strip.clear_end_m if arm.at_end else strip.clear_start_m
    place = part(strip.reference_m, s - 0.5, s + 0.5)[0]
    near = centre_m[-1] if towards else centre_m[0]
    return bool(np.linalg.norm(near - place) < strip.section.width_m)


def _straight_on(before_m: Line, after_m: Line) -> Line | None:
    """The way from one lane's end to another's start, if that lies just ahead."""
    gap = after_m[0] - before_m[-1]
    heading, then = headings(before_m)[-1], headings(after_m)[0]
    ahead = gap @ np.array([np.cos(heading), np.sin(heading)])
    if not 0.5 < ahead < 40 or np.linalg.norm(gap) > 1.15 * ahead or np.cos(then - heading) < 0.85:
        return None
    return hermite(before_m[-1], heading, after_m[0], then)


def _move_over(
    lanes: list[tuple[int, Lane]],
    index: int,
    successors: list[list[int]],
    add_way: Callable[[int, Line, list[int]], None],
) -> None:
    """Leads from the end of a ramp's lane to the lane beside it, and along that to its end."""
    road, own = lanes[index]
    for other, (at, lane) in enumerate(lanes):
        if at != road or lane.side != own.side or lane.index != own.index - 1:
            continue
        line = lane.centre_m
        nearest = int(np.argmin(np.linalg.norm(line - own.centre_m[-1], axis=1)))
        start = int(np.searchsorted(distances_along(line), distances_along(line)[nearest] + MERGE_M))
        if start < len(line) - 2 and length_m(line[start:]) > 2:
            over = hermite(own.centre_m[-1], headings(own.centre_m)[-1], line[start], headings(line)[start])
            add_way(index, np.concatenate([over, line[start + 1 :]]), list(successors[other]))
