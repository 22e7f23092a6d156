"""The two ways in which the field writes a pedestrian crossing down: as a ring, or as its two long sides.

HDMapNet and P-MapNet label a crossing with the two longest edges of its polygon, each a line of its own; MapTR labels
the closed outline. A score means something only when predictions and truth are written the same way.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mapkd_core.types import MapElement


def crossing_sides(element: MapElement) -> list[MapElement]:
    """The two longest edges of a closed crossing, each an open line with the crossing's score.

    An edge runs from corner to corner; corners are vertices where the outline turns by more than 20 degrees, so a ring
    that was re-sampled gives the same sides as its four corners do.
    """
    ring = element.points_m[:-1] if np.allclose(element.points_m[0], element.points_m[-1]) else element.points_m
    if len(ring) < 3:
        return [replace(element, closed=False)]
    corners = _corners(ring)
    if len(corners) < 2:  # a smooth blob: its vertices are all the corners it has
        corners = np.arange(len(ring))
    following = np.roll(corners, -1)
    length = np.linalg.norm(ring[following, :2] - ring[corners, :2], axis=1)
    sides = []
    for edge in np.sort(np.argsort(-length, kind="stable")[:2]):
        start, end = int(corners[edge]), int(following[edge])
        index = np.arange(start, end + 1 if end > start else end + len(ring) + 1) % len(ring)
        sides.append(replace(element, points_m=ring[index], closed=False))
    return sides


def in_side_form(elements: Iterable[MapElement]) -> list[MapElement]:
    """HDMapNet's form: closed crossings become their two long sides; everything else stays as it is."""
    result: list[MapElement] = []
    for element in elements:
        if element.label == "ped_crossing" and element.closed:
            result.extend(crossing_sides(element))
        else:
            result.append(element)
    return result


def closed_line(element: MapElement) -> np.ndarray:
    """(N, 2) float64 vertices; a ring comes with its first vertex repeated at the end."""
    points = np.asarray(element.points_m, np.float64)[:, :2]
    if element.closed and not np.array_equal(points[0], points[-1]):
        points = np.concatenate([points, points[:1]])
    return points


def _corners(ring: np.ndarray) -> np.ndarray:
    """Indices of a ring's vertices (no repeated end) where it turns by more than 20 degrees."""
    step = np.roll(ring[:, :2], -1, axis=0) - ring[:, :2]
    heading = np.arctan2(step[:, 1], step[:, 0])
    turn = np.angle(np.exp(1j * (heading - np.roll(heading, 1))))
    return np.nonzero(np.abs(turn) > np.deg2rad(20.0))[0]
