"""The plane that a vector student's BEV lies in: cells, heights above them, and the way to `base_link`."""
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.geometry import transform_from_yaw, yaw_of
from mapkd_core.grid import BevGrid
from mapkd_core.model.plane_points import plane_points


class BevPlane(nn.Module):
    """Columns run along its x, rows along its y: forward and left in `base_link`, right and ahead of a LiDAR."""

    def __init__(self, grid: BevGrid, cell_m: float, heights_m: tuple[float, ...], frame: str) -> None:
        super().__init__()
        plane = plane_points(grid, cell_m, heights_m, frame)
        self.size = plane.size
        pose = plane.base_from_plane
        self._constant("points_m", plane.points_m)                                      # K Z 3
        self._constant("base_from_plane", pose)
        self._constant("low_m", plane.low_m)
        self._constant("span_m", plane.span_m)
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

    def places(self, points_m: Tensor) -> Tensor:
        """The inverse of `metres`: (... 2) metres in `base_link` -> places, outside 0..1 off the plane."""
        inner = (points_m.float() - self.base_from_flat[:2, 3]) @ self.base_from_flat[:2, :2]
        return (inner - self.low_m) / self.span_m
