"""The lines of all of a file's roads put together: each once, and with common ends where they go on."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely.geometry import LineString

from mapkd_core.map_formats.report import Report

Points = NDArray[np.float64]
Line = tuple[Points, dict[str, str]]
"""(N, 3) and what is known of it."""
SAME_M = 0.1
"""Stretches of lines that are no farther apart are one: roads of a junction lie on each other where they part."""
MEET_M = 0.01
"""Ends that are no farther apart are one place, with the noise of numbers."""
_SHORTEST_M = 0.5


def each_once(lines: Sequence[Line], first: int, report: Report) -> list[Line]:
    """The lines, those from the place `first` on without the stretches that run along an earlier one.

    Lines before it are of single roads, which may lie above each other.
    """
    shapes = [LineString(points[:, :2]) for points, _ in lines]
    tree = shapely.STRtree(shapes)
    found = list(lines[:first])
    for place, (points, attributes) in enumerate(lines[first:], first):
        near = [shapes[k] for k in tree.query(shapes[place], predicate="dwithin", distance=SAME_M) if k < place]
        copied = _along(points[:, :2], near)
        if not copied.any():
            found.append((points, attributes))
            continue
        report.add("line along another one: once")
        edges = np.flatnonzero(np.diff(np.concatenate([[True], copied, [True]]).astype(int)))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            part = points[begin : end + 1]
            if np.linalg.norm(np.diff(part[:, :2], axis=0), axis=1).sum() > _SHORTEST_M:
                found.append((part, attributes))
    return found


def _along(points: Points, others: Sequence[LineString]) -> NDArray[np.bool_]:
    """(N - 1,) whether both ends of a segment and its middle lie on the others; lines that meet or cross do not."""
    if not others:
        return np.zeros(len(points) - 1, bool)
    other = shapely.union_all(list(others))
    places = points, (points[1:] + points[:-1]) / 2
    here, middle = (np.asarray(shapely.distance(other, shapely.points(place))) < SAME_M for place in places)
    return np.asarray(here[1:] & here[:-1] & middle)


def meeting(lines: Sequence[Line]) -> list[Line]:
    """The same, ends within `MEET_M` of each other moved to one place; what is short keeps its ends."""
    ends = [(k, end) for k, (points, _) in enumerate(lines) for end in (0, -1)
            if np.ptp(points, axis=0).max() > 10 * MEET_M and not np.array_equal(points[0], points[-1])]  # fmt: skip
    if not ends:
        return list(lines)
    places = np.array([lines[k][0][end] for k, end in ends])
    moved = [points.copy() for points, _ in lines]
    done = np.zeros(len(ends), bool)
    for place, near in enumerate(cKDTree(places).query_ball_point(places, MEET_M)):
        if done[place]:
            continue
        for other in near:
            if not done[other]:
                line, end = ends[other]
                moved[line][end], done[other] = places[place], True
    return [(points, attributes) for points, (_, attributes) in zip(moved, lines, strict=True)]
