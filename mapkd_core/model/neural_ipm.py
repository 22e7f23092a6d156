"""HDMapNet's view transform: an MLP per camera turns its features into that camera's ground map, then a homography.

Source: HDMapNet (arXiv 2107.06307), section 3.2. The MLPs learn the intrinsics, so the weights belong to one rig. Built
right where the released code is not: positions and mounting are in the same unit on every grid (the code mixes metres
with half metres at 60 x 30 m).

Legend: B batch, N cameras, C channels, h w feature map, r c a camera's ground map, Y X grid.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.grid import BevGrid
from mapkd_core.model.precision import full_precision


class ViewMlps(nn.Module):
    """Per camera: the h * w positions of a feature map become r * c positions of its ground map, channels shared."""

    def __init__(self, cameras: int, feature_size: tuple[int, int], ground_size: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.ground_size = ground_size
        positions = feature_size[0] * feature_size[1]
        cells = ground_size[0] * ground_size[1]
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(positions, hidden), nn.ReLU(), nn.Linear(hidden, cells), nn.ReLU())
            for _ in range(cameras)
        )

    def forward(self, features: Tensor) -> Tensor:
        """B N C h w -> B N C r c."""
        flat = features.flatten(3)                                                      # B N C hw
        ground = torch.stack([mlp(flat[:, n]) for n, mlp in enumerate(self.mlps)], 1)
        return ground.unflatten(3, self.ground_size)


class GroundWarp(nn.Module):
    """Pastes the cameras' ground maps into the BEV by their mounting; where several see a cell the maximum stays."""

    def __init__(self, grid: BevGrid, ground_size: tuple[int, int]) -> None:
        super().__init__()
        self.rows, self.cols = grid.rows // 2, grid.cols // 2
        self.ground_size = ground_size
        # The papers' plane: 60 units ahead on any grid; a ground map spans 80 units ahead from unit 10, and 40 across.
        self.unit_m = grid.x_range_m[1] / 60.0
        self.first_unit, self.units = 10.0, (80.0, 40.0)
        x = torch.linspace(*grid.x_range_m, self.cols)
        y = torch.linspace(*grid.y_range_m, self.rows)
        plane = torch.stack([x.expand(self.rows, -1), y[:, None].expand(-1, self.cols)], -1)
        points = torch.cat([plane, torch.zeros_like(plane[..., :1])], -1)               # Y X 3
        self.register_buffer("points_m", points.reshape(-1, 3), persistent=False)
        self.points_m: Tensor

    def forward(self, ground: Tensor, base_from_camera: Tensor) -> Tensor:
        """B N C r c and mountings B N 4 4 -> B C 2Y 2X."""
        batch, cameras, channels = ground.shape[:3]
        rotation = base_from_camera[..., :3, :3].transpose(-1, -2)
        with full_precision(ground.device):
            q = rotation @ (self.points_m.T - base_from_camera[..., :3, 3:]) / self.unit_m  # B N 3 K
        col = (q[..., 2, :] - self.first_unit) * (self.ground_size[1] / self.units[0])
        row = (q[..., 0, :] + self.units[1] / 2) * (self.ground_size[0] / self.units[1])
        place = torch.stack(
            [2 * col / (self.ground_size[1] - 1) - 1, 2 * row / (self.ground_size[0] - 1) - 1], -1
        )                                                                               # B N K 2
        warped = functional.grid_sample(
            ground.flatten(0, 1).to(place.dtype), place.flatten(0, 1)[:, :, None], align_corners=True,
            padding_mode="zeros",
        )                                                                               # BN C K 1
        warped = warped.reshape(batch, cameras, channels, self.rows, self.cols).amax(1)
        return functional.interpolate(warped, scale_factor=2, mode="bilinear", align_corners=True)
