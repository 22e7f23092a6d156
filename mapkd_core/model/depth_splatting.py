"""View transform by splatting: every feature pixel spreads over its ray by a depth distribution.

Source: lift-splat (Philion and Fidler 2020). The student's alternative to `pillar_sampling.py`, behind the same two
calls: which cell a pixel at a depth falls into depends on the calibration alone and is computed once.

Legend: B batch, N cameras, D depths, h w feature map, C channels, Y X grid, K rows * cols cells.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.grid import BevGrid
from mapkd_core.model.ray_points import ray_points


class SplatLookup(NamedTuple):
    """For each feature pixel at each depth, the cell it falls into."""

    cell: Tensor
    """B N D h w int64 in 0..K; K for what lies outside the grid."""
    seen: Tensor
    """B 1 Y X, 1 where some pixel falls into the cell."""


class DepthSplatting(nn.Module):
    """Weighs features by a softmax over depths and sums them into the cells."""

    def __init__(
        self, grid: BevGrid, channels: int, depths_m: tuple[float, float, float] = (1.5, 34.5, 1.0),
        height_m: tuple[float, float] = (-3.0, 5.0),
    ) -> None:
        """`depths_m` first, end, step along the optical axis; what lies outside `height_m` is dropped."""
        super().__init__()
        self.grid, self.height_m = grid, height_m
        depths = torch.arange(*depths_m)
        self.register_buffer("depths_m", depths, persistent=False)
        self.depths_m: Tensor
        self.depth = nn.Conv2d(channels, len(depths), 1)

    @torch.no_grad()
    def lookup(
        self,
        intrinsics: Tensor,
        base_from_camera: Tensor,
        image_size: tuple[int, int],
        feature_size: tuple[int, int],
        visible: Tensor | None = None,
    ) -> SplatLookup:
        """Where each pixel falls: intrinsics B N 3 3 of images of `image_size` (w, h), feature maps (w, h).

        Feature pixels of which most is not `visible` (B N H W bool, of the images) fall nowhere.
        """
        grid = self.grid
        points = ray_points(intrinsics, base_from_camera, image_size, feature_size, self.depths_m)  # B N D h w 3
        col = ((points[..., 0] - grid.x_range_m[0]) / grid.cell_m).floor().long()
        row = ((points[..., 1] - grid.y_range_m[0]) / grid.cell_m).floor().long()
        inside = (col >= 0) & (col < grid.cols) & (row >= 0) & (row < grid.rows)
        inside &= (points[..., 2] > self.height_m[0]) & (points[..., 2] < self.height_m[1])
        if visible is not None:
            share = functional.adaptive_avg_pool2d(visible.float(), feature_size[::-1])             # B N h w
            inside &= (share > 0.5)[:, :, None]
        cell = torch.where(inside, row * grid.cols + col, grid.rows * grid.cols)        # B N D h w
        seen = torch.zeros(len(cell), grid.rows * grid.cols + 1, device=cell.device)
        seen.scatter_(1, cell.flatten(1), 1.0)
        return SplatLookup(cell, seen[:, :-1].reshape(-1, 1, *grid.shape))

    def forward(self, features: Tensor, lookup: SplatLookup) -> tuple[Tensor, Tensor]:
        """B N C h w -> B C Y X, and which cells are seen, B 1 Y X."""
        batch, _, channels = features.shape[:3]
        weight = self.depth(features.flatten(0, 1)).softmax(1).unflatten(0, features.shape[:2])    # B N D h w
        lifted = weight[..., None] * features.movedim(2, -1)[:, :, None]                # B N D h w C
        cells = self.grid.rows * self.grid.cols
        first = torch.arange(batch, device=features.device).reshape(-1, 1, 1, 1, 1) * (cells + 1)
        index = (lookup.cell + first).flatten()
        bev = lifted.new_zeros(batch * (cells + 1), channels).index_add(0, index, lifted.reshape(-1, channels))
        bev = bev.reshape(batch, cells + 1, channels)[:, :-1].transpose(1, 2)
        return bev.reshape(batch, channels, *self.grid.shape), lookup.seen.to(bev.dtype)
