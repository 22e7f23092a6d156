"""The plane that a vector student's BEV lies in: cells, heights above them, and the way to `base_link`."""
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.geometry import transform, transform_from_yaw, yaw_of
from mapkd_core.grid import BevGrid

NUSCENES_LIDAR = transform(
    (0.943713, 0.0, 1.84023), (0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817)
)
"""(4, 4) `base_from_lidar` of one of nuScenes' vehicles; x right, y ahead, leaning forward by 1.4 degrees."""


class BevPlane(nn.Module):
    """Columns run along its x, rows along its y: forward and left in `base_link`, right and ahead of a LiDAR."""

    def __init__(self, grid: BevGrid, cell_m: float, heights_m: tuple[float, ...], frame: str) -> None:
        super().__init__()
        x_range, y_range, pose = grid.x_range_m, grid.y_range_m, np.eye(4)
        if frame == "nuscenes_lidar":
            x_range, y_range, pose = (-grid.y_range_m[1], -grid.y_range_m[0]), grid.x_range_m, NUSCENES_LIDAR
        inner = BevGrid(x_range, y_range, cell_m)
        self.size = inner.shape
        centres = inner.cell_centres_m().reshape(-1, 1, 2).repeat(len(heights_m), 1)    # K Z 2
        z = np.broadcast_to(np.array(heights_m)[:, None], (*centres.shape[:2], 1))
        self._constant("points_m", np.concatenate([centres, z], -1))                    # K Z 3
        self._constant("base_from_plane", pose)
        self._constant("low_m", np.array([x_range[0], y_range[0]]))
        self._constant("span_m", np.array([x_range[1] - x_range[0], y_range[1] - y_range[0]]))
        # Labels are flat: of a LiDAR that leans, position and heading count alone.
        self._constant("base_from_flat", transform_from_yaw(pose[0, 3], pose[1, 3], yaw_of(pose)))
        self.points_m: Tensor
        self.base_from_plane: Tensor
        self.low_m: Tensor
        self.span_m: Tensor
        self.base_from_flat: Tensor

    def _constant(self, name: str, values: NDArray[np.float64]) -> None:
        self.register_buffer(name, torch.from_numpy(values.astype(np.float32)), persistent=False)

    def metres(self, place: Tensor) -> Tensor:
        """(... 2) places in 0..1 (column, row) -> metres in `base_link`, x forward and y left."""
        inner = place.float() * self.span_m + self.low_m
        return inner @ self.base_from_flat[:2, :2].T + self.base_from_flat[:2, 3]
