"""What masks of the images show on the ground around the vehicle: paint, the road's edge, and where nothing is known.

The ground is taken as flat, as our students take it, and only near the vehicle: on slopes and far away that is wrong.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_masks import SURFACES, UNKNOWN, ImageMask
from mapkd_core.distance import distance_cells
from mapkd_core.geometry import apply, inverse, project
from mapkd_core.grid import BevGrid
from mapkd_core.types import CameraView

CELL_M = 0.1
NEAR_M = 15.0
"""How far the flat ground is trusted."""
_LEAST_DEPTH_M = 0.3
_BESIDE_EDGE_M = 0.5
"""Paint nearer than this to the road's edge is the edge's own line (TwinLiteNet marks bare curbs, too)."""
_ROAD, _OTHER, _WALL, _OBJECT = (SURFACES.index(name) for name in ("road", "other", "wall", "object"))


@dataclass(frozen=True, eq=False)
class SeenGround:
    """Rasters (rows, cols) over a square of NEAR_M to every side of the vehicle, cells of CELL_M."""

    known: NDArray[np.bool_]
    """Where a camera sees something, and no vehicle or other object stands before it."""
    paint: NDArray[np.bool_]
    """Lane paint that is not the line along the road's edge."""
    edge: NDArray[np.bool_]
    """Outermost cells of the road."""

    @staticmethod
    def grid() -> BevGrid:
        """The rasters' grid."""
        return BevGrid((-NEAR_M, NEAR_M), (-NEAR_M, NEAR_M), CELL_M)


def seen_ground(views: Sequence[CameraView], masks: Sequence[ImageMask]) -> SeenGround:
    """The ground that the masks of a frame's views show; cells beyond NEAR_M are unknown.

    A cell is paint or edge if it is in any camera. Road ends at a cell of sidewalk or terrain beside it, and at one of
    wall, building or bush that lies farther from the camera (what stands upright hides what is behind it, so that its
    far side means nothing); an object ends nothing. Source: ours.
    """
    grid = SeenGround.grid()
    centres = grid.cell_centres_m()
    points = np.concatenate([centres, np.zeros((*grid.shape, 1))], -1)                  # Y X 3
    near = np.linalg.norm(centres, axis=-1) < NEAR_M
    known, paint, edge = (np.zeros(grid.shape, bool) for _ in range(3))
    for view, mask in zip(views, masks, strict=True):
        surface, painted = _looked_up(view, mask, points)
        surface[~near] = UNKNOWN
        away = np.linalg.norm(centres - view.base_from_camera[:2, 3], axis=-1)
        flat = ~np.isin(surface, (_ROAD, _OTHER, _WALL, _OBJECT, UNKNOWN))
        upright = np.isin(surface, (_OTHER, _WALL))
        road = surface == _ROAD
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            farther = _shifted(away, axis, step, np.inf) > away
            edge |= road & (_shifted(flat, axis, step, False) | (_shifted(upright, axis, step, False) & farther))
        known |= ~np.isin(surface, (_OBJECT, UNKNOWN))
        paint |= painted & ~np.isin(surface, (_OBJECT, UNKNOWN))
    return SeenGround(known, paint & (distance_to_m(edge) > _BESIDE_EDGE_M), edge)


def _looked_up(
    view: CameraView, mask: ImageMask, points: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Surface and paint of the pixels in which points (Y, X, 3) are; UNKNOWN and none beyond the image."""
    pixels, depth = project(apply(inverse(view.base_from_camera), points), view.intrinsics)
    height, width = mask.surface.shape
    at = ((pixels + 0.5) * (width / view.size[0], height / view.size[1])).clip(-1, 1e6)
    col, row = np.floor(at[..., 0]).astype(np.intp), np.floor(at[..., 1]).astype(np.intp)
    inside = (depth > _LEAST_DEPTH_M) & (col >= 0) & (col < width) & (row >= 0) & (row < height)
    col, row = np.where(inside, col, 0), np.where(inside, row, 0)
    return np.where(inside, mask.surface[row, col], UNKNOWN).astype(np.uint8), inside & (mask.paint[row, col] > 127)


def _shifted(values: NDArray, axis: int, step: int, fill: float) -> NDArray:
    """Every cell's neighbour."""
    result = np.full_like(values, fill)
    there, here = [slice(None)] * 2, [slice(None)] * 2
    there[axis], here[axis] = (slice(1, None), slice(-1)) if step > 0 else (slice(-1), slice(1, None))
    result[tuple(here)] = values[tuple(there)]
    return result


def distance_to_m(cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Metres from the centre of every cell (rows, cols) to that of the nearest marked one; infinite without any."""
    return distance_cells((~cells).astype(np.uint8)).astype(np.float64) * CELL_M
