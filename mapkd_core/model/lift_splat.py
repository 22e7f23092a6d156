"""Lift-splat: images lifted to 3-D by a depth distribution and summed into cells; the coach's simulated LiDAR.

Source: Philion and Fidler 2020; as the coach's branch in MapKD (arXiv 2508.15653): 41 depths from 4 m, 64 channels.

Legend: B batch, N cameras, D depths, h w feature map, C channels, Y X grid.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mapkd_core.grid import BevGrid
from mapkd_core.model.ray_points import published_intrinsics, ray_points


class LiftSplat(nn.Module):
    """Image features at a sixteenth and calibration -> BEV features."""

    def __init__(
        self, grid: BevGrid, features: nn.Module, channels_in: int, channels: int = 64, channels_out: int = 128,
        depths_m: tuple[float, float, float] = (4.0, 45.0, 1.0), published: bool = False,
    ) -> None:
        """`published` puts points where the released code does, for its weights: see ray_points.py; numbers of cells
        are cut towards zero, so that what lies up to a cell before the grid counts as inside."""
        super().__init__()
        self.grid, self.features, self.channels, self.published = grid, features, channels, published
        depths = torch.arange(*depths_m)
        self.register_buffer("depths_m", depths, persistent=False)
        self.depths_m: Tensor
        self.head = nn.Conv2d(channels_in, len(depths) + channels, 1)
        self.expand = nn.Conv2d(channels, channels_out, 1)

    def forward(self, images: Tensor, intrinsics: Tensor, base_from_camera: Tensor) -> Tensor:
        """B N 3 H W with calibration of this size -> B C Y X."""
        features = self.features(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        return self.lift(features, (images.shape[-1], images.shape[-2]), intrinsics, base_from_camera)

    def lift(
        self, features: Tensor, image_size: tuple[int, int], intrinsics: Tensor, base_from_camera: Tensor
    ) -> Tensor:
        """B N C h w features of images of (width, height) -> B C' Y X."""
        batch, cameras = features.shape[:2]
        x = self.head(features.flatten(0, 1))                                           # BN D+C h w
        depths = len(self.depths_m)
        depth, context = x[:, :depths].softmax(1), x[:, depths:]
        lifted = depth[:, None] * context[:, :, None]                                   # BN C D h w
        if self.published:
            intrinsics = published_intrinsics(intrinsics, image_size)
        points = ray_points(
            intrinsics, base_from_camera, image_size, (x.shape[-1], x.shape[-2]), self.depths_m, self.published
        )
        grid = self.grid
        whole = torch.trunc if self.published else torch.floor
        col = whole((points[..., 0] - grid.x_range_m[0]) / grid.cell_m).long()          # B N D h w
        row = whole((points[..., 1] - grid.y_range_m[0]) / grid.cell_m).long()
        z, lowest_m = points[..., 2], -30.0 if self.published else -10.0
        inside = (col >= 0) & (col < grid.cols) & (row >= 0) & (row < grid.rows) & (z > lowest_m) & (z < 10)
        which = torch.arange(batch, device=x.device).reshape(-1, 1, 1, 1, 1)
        cell = ((which * grid.rows + row) * grid.cols + col)[inside]
        values = lifted.unflatten(0, (batch, cameras)).permute(0, 1, 3, 4, 5, 2)[inside]  # V C
        bev = values.new_zeros(batch * grid.rows * grid.cols, self.channels).index_add(0, cell, values)
        return self.expand(bev.reshape(batch, grid.rows, grid.cols, -1).permute(0, 3, 1, 2))
