"""The side of the boundaries on which the vehicle is: what a map says of where one can drive. Ours."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along, points_at
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

FREE, BOUNDARY, UNKNOWN = 0, 100, -1
"""Values of nav_msgs/OccupancyGrid."""
BOUNDARY_CELLS = 3
"""Cells across a boundary: no way leads through it at a corner of cells."""
TO_EDGE_M, SMOOTH = 3.0, 6
"""How far from the edge of the grid a line may end; points at its end that tell its direction."""
BEGIN_M = 1.0
"""The vehicle stands on what is so near to the frame's origin."""


def drivable_side(
    elements: Sequence[MapElement], grid: BevGrid, seen: NDArray[np.bool_] | None = None
) -> NDArray[np.int8]:
    """(Y, X): BOUNDARY on boundaries; FREE on the vehicle's side of the nearest one, where a way leads; else UNKNOWN.

    `seen` (Y, X) is False in cells of which the cameras know nothing. Without a boundary everything is UNKNOWN.
    """
    cells = np.full(grid.shape, UNKNOWN, np.int8)
    lines = [_dense(element.points_m, grid.cell_m / 2) for element in elements if element.label == "boundary"]
    lines = [line for line in lines if len(line) > 1]
    drawn = _drawn(lines, grid)
    if not drawn.any():
        return cells
    free = _reached(_drawn([_to_edge(line, grid) for line in lines], grid), grid) & _on_own_side(lines, grid)
    if seen is not None:
        free &= seen
    cells[free] = FREE
    cells[drawn > 0] = BOUNDARY
    return cells


def _drawn(lines: Sequence[NDArray[np.float64]], grid: BevGrid) -> NDArray[np.uint8]:
    drawn = np.zeros(grid.shape, np.uint8)
    for line in lines:
        pixels = np.floor(grid.cells_from_metres(line)).astype(np.int32)
        cv2.polylines(drawn, [pixels], False, 1, BOUNDARY_CELLS)
    return drawn


def _to_edge(line: NDArray[np.float64], grid: BevGrid) -> NDArray[np.float64]:
    """Ends go straight on where that leads out of the grid: it cuts lines off, no way leads around them."""
    ends = []
    for at, inner in ((line[0], line[min(len(line) - 1, SMOOTH)]), (line[-1], line[-1 - min(len(line) - 1, SMOOTH)])):
        outward = at - inner
        length = np.linalg.norm(outward)
        beyond = at + TO_EDGE_M * outward / length if length > 0 else at
        ends.append(at if grid.contains(beyond) else beyond)
    return np.concatenate([ends[:1], line, ends[1:]])


def _dense(points_m: NDArray[np.floating], step_m: float) -> NDArray[np.float64]:
    line = np.asarray(points_m, np.float64)[:, :2]
    length = distances_along(line)[-1]
    return points_at(line, np.linspace(0, length, 1 + int(np.ceil(length / step_m))))


def _reached(walls: NDArray[np.uint8], grid: BevGrid) -> NDArray[np.bool_]:
    """Cells to which a way leads from the vehicle that crosses no wall."""
    _, areas = cv2.connectedComponents(1 - walls, connectivity=4)
    near = np.linalg.norm(grid.cell_centres_m(), axis=-1) <= BEGIN_M
    own = np.unique(areas[near & (walls == 0)])
    return np.isin(areas, own) & (walls == 0)


def _on_own_side(lines: Sequence[NDArray[np.float64]], grid: BevGrid) -> NDArray[np.bool_]:
    """Cells on the vehicle's side of the line that is nearest to them."""
    points, along, own_left = [], [], []
    for line in lines:
        tangents = np.gradient(line, axis=0)
        nearest = np.argmin(np.linalg.norm(line, axis=1))
        own = _left(tangents[nearest], -line[nearest])
        inside = grid.contains(line)
        points.append(line[inside])
        along.append(tangents[inside])
        own_left.append(np.full(inside.sum(), own))
    at, tangent, own_side = np.concatenate(points), np.concatenate(along), np.concatenate(own_left)
    if not len(at):
        return np.zeros(grid.shape, bool)
    col, row = np.floor(grid.cells_from_metres(at)).astype(int).T
    empty = np.ones(grid.shape, np.uint8)
    empty[row, col] = 0
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros(labels.max() + 1, np.int64)
    of_label[labels[row, col]] = np.arange(len(at))
    nearest_of = of_label[labels]                                                       # Y X
    return _left(tangent[nearest_of], grid.cell_centres_m() - at[nearest_of]) == own_side[nearest_of]


def _left(tangent: NDArray[np.float64], towards: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether vectors (..., 2) point to the left of tangents (..., 2)."""
    return np.asarray(tangent[..., 0] * towards[..., 1] - tangent[..., 1] * towards[..., 0] > 0)
