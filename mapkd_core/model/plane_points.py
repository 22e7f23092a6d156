"""The plane that a vector student's BEV lies in, as arrays; without PyTorch."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

NUSCENES_LIDAR = np.array([
    [0.002033271791688551, 0.9997040585673611, 0.024241722087493377, 0.943713],
    [-0.999980529778975, 0.0021756571533340097, -0.005848639064917931, 0.0],
    [-0.0058996498863628614, -0.024229358222975842, 0.9996890178106995, 1.84023],
    [0.0, 0.0, 0.0, 1.0],
])  # fmt: skip
"""(4, 4) `base_from_lidar` of one of nuScenes' vehicles; x right, y ahead, leaning forward by 1.4 degrees."""


class PlanePoints(NamedTuple):
    """K cells in rows along y, Z heights."""

    size: tuple[int, int]
    """(rows, columns)."""
    points_m: NDArray[np.float64]
    """(K, Z, 3) in the plane's own frame."""
    base_from_plane: NDArray[np.float64]
    """(4, 4)."""
    low_m: NDArray[np.float64]
    """(2,) the least x and y."""
    span_m: NDArray[np.float64]
    """(2,) how far x and y reach."""


def plane_points(grid: BevGrid, cell_m: float, heights_m: tuple[float, ...], frame: str) -> PlanePoints:
    """Cells of `cell_m` over the grid's ground, in `base_link` or in the frame of nuScenes' LiDAR."""
    x_range, y_range, pose = grid.x_range_m, grid.y_range_m, np.eye(4)
    if frame == "nuscenes_lidar":
        x_range, y_range, pose = (-grid.y_range_m[1], -grid.y_range_m[0]), grid.x_range_m, NUSCENES_LIDAR
    inner = BevGrid(x_range, y_range, cell_m)
    centres = inner.cell_centres_m().reshape(-1, 1, 2).repeat(len(heights_m), 1)        # K Z 2
    z = np.broadcast_to(np.array(heights_m)[:, None], (*centres.shape[:2], 1))
    span = np.array([x_range[1] - x_range[0], y_range[1] - y_range[0]])
    return PlanePoints(inner.shape, np.concatenate([centres, z], -1), pose, np.array([x_range[0], y_range[0]]), span)
