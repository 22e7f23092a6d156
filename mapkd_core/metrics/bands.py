"""Cuts maps into rings of distance from the vehicle, to see how far a network sees."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Point

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.crossings import closed_line, in_side_form
from mapkd_core.types import MapElement

_SHORTEST_M = 0.5
"""Shorter pieces at a ring's edge are no lines of their own."""


@dataclass(frozen=True)
class Band:
    """All places from `near_m` up to `far_m` from the vehicle's origin."""

    near_m: float
    far_m: float

    @property
    def name(self) -> str:
        """Such as `10-20 m`."""
        return f"{self.near_m:g}-{self.far_m:g} m"

    def cells(self, grid: BevGrid) -> NDArray[np.bool_]:
        """(rows, cols) which cell centres lie in the band."""
        distance = np.linalg.norm(grid.cell_centres_m(), axis=-1)
        return np.asarray((distance >= self.near_m) & (distance < self.far_m))

    def cut(self, elements: Iterable[MapElement]) -> list[MapElement]:
        """The pieces of elements inside the band, each with its line's score; closed crossings as their long sides."""
        area = Point(0, 0).buffer(self.far_m, 64).difference(Point(0, 0).buffer(self.near_m, 64))
        pieces = []
        for element in in_side_form(elements):
            inside = shapely.line_merge(shapely.intersection(LineString(closed_line(element)), area))
            for part in shapely.get_parts(inside):
                if part.geom_type == "LineString" and part.length >= _SHORTEST_M:
                    pieces.append(replace(element, points_m=np.asarray(part.coords, np.float32), closed=False))
        return pieces


def bands_of(grid: BevGrid, width_m: float = 10.0) -> tuple[Band, ...]:
    """Rings of `width_m` from the vehicle on; the last one reaches to the farthest corner."""
    half = max(abs(v) for v in (*grid.x_range_m, *grid.y_range_m))
    corner = float(np.hypot(max(map(abs, grid.x_range_m)), max(map(abs, grid.y_range_m))))
    edges = [*np.arange(0, half, width_m), float(np.ceil(corner))]
    return tuple(Band(float(a), float(b)) for a, b in pairwise(edges))
