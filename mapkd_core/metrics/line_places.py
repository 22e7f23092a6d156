"""Lines as places along them, each standing for a short piece of line, and how far those lie from other lines."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along, points_at
from mapkd_core.metrics.crossings import closed_line
from mapkd_core.types import MapElement

LINE_THRESHOLDS_M = (0.5, 1.0, 1.5)
"""How far a place of a line may lie from the other side's lines and still count."""
STEP_M = 0.25
"""Longest piece of a line that is looked at as one place, its middle."""


@dataclass(frozen=True, eq=False)
class LinePlaces:
    """Lines of one class as places along them, each standing for the piece of line around it."""

    points_m: NDArray[np.float64]
    """(P, 2)."""
    length_m: NDArray[np.float64]
    """(P,) of the pieces."""

    @classmethod
    def of(cls, elements: Iterable[MapElement], label: str) -> LinePlaces:
        """The middles of equal pieces of at most STEP_M; rings with the edge that closes them."""
        points: list[NDArray[np.float64]] = [np.zeros((0, 2))]
        lengths: list[NDArray[np.float64]] = [np.zeros(0)]
        for element in elements:
            if element.label != label:
                continue
            line = closed_line(element)
            whole = float(distances_along(line)[-1])
            pieces = max(1, int(np.ceil(whole / STEP_M - 1e-9)))
            points.append(points_at(line, (np.arange(pieces) + 0.5) * whole / pieces))
            lengths.append(np.full(pieces, whole / pieces))
        return cls(np.concatenate(points), np.concatenate(lengths))


def distances_m(points_m: NDArray[np.float64], elements: Iterable[MapElement], label: str) -> NDArray[np.float64]:
    """Exact distance (P,) of every point (P, 2) to the nearest line of a class; infinite where there is none."""
    lines = [shapely.LineString(closed_line(e)) for e in elements if e.label == label]
    result = np.full(len(points_m), np.inf)
    if lines and len(points_m):
        (places, _), distance = shapely.STRtree(lines).query_nearest(
            shapely.points(points_m), return_distance=True, all_matches=False
        )
        result[places] = distance
    return result
