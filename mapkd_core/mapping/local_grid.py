"""The drivable side of a street map about the vehicle as a grid: what lies beyond what was seen stays unknown."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.polylines import Range
from mapkd_core.drivable_side import drivable_side
from mapkd_core.geometry import apply, flattened, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.mapping.street_map import StreetElement

LOCAL_GRID = BevGrid((-40.0, 40.0), (-40.0, 40.0), 0.25)
BESIDE_M = 15.0
"""So far beside its way the vehicle has seen the ground: the narrower half of the shipped students' view."""


def local_grid(
    elements: Sequence[StreetElement], map_from_base: NDArray[np.float64], path_m: Sequence[NDArray[np.float64]],
    view: Range, grid: BevGrid = LOCAL_GRID,
) -> NDArray[np.int8]:  # fmt: skip
    """(Y, X) cells about the vehicle as in drivable_side.py; `path_m` (3,) each are the places it has come from.

    Known is the ground in `view` now, and beside the way of the last 100 m.
    """
    base_from_map = inverse(flattened(map_from_base))
    local = [
        replace(element.map_element, points_m=apply(base_from_map, element.points_m * [1, 1, 0]).astype(np.float32))
        for element in elements
    ]
    seen = np.zeros(grid.shape, np.uint8)
    corners = grid.cells_from_metres(view.corners())
    cv2.fillPoly(seen, [np.round(corners).astype(np.int32)], 1)
    way = [place for place in path_m if np.linalg.norm(place[:2] - map_from_base[:2, 3]) < 100]
    if way:
        places = np.round(grid.cells_from_metres(apply(base_from_map, np.array(way))[:, :2])).astype(int)
        for place in places.tolist():
            cv2.circle(seen, place, round(BESIDE_M / grid.cell_m), 1, -1)
    return drivable_side(local, grid, seen > 0)
