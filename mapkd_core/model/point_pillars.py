"""PointPillars as HDMapNet and P-MapNet use it: LiDAR points -> BEV features.

Source: Lang et al. 2019 as configured in HDMapNet (arXiv 2107.06307). Built right where the released code is not:
padded points and points off the grid take no part in batch statistics or in any cell's mean. `PublishedPillars` repeats
the released code for its weights.

Legend: B batch, P points, F features a point, V valid points, Y X grid.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.grid import BevGrid
from mapkd_core.model.layers import conv_bn_relu
from mapkd_core.model.precision import full_precision


class PointPillars(nn.Module):
    """Every point is described by itself and its cell, cells take the mean, and three scales of convolutions follow."""

    def __init__(
        self, grid: BevGrid, channels_out: int = 128, width: int = 64, layers: tuple[int, ...] = (2, 3, 3),
        stride: int = 1,
    ) -> None:
        """`stride` makes the features that many times coarser than the grid of the pillars (ours; 1 in the papers)."""
        super().__init__()
        self.grid = grid
        self.point_net = nn.Sequential(nn.Linear(15, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True))
        self.blocks, self.branches = nn.ModuleList(), nn.ModuleList()
        channels = width
        for level, count in enumerate(layers):
            wide = width * 2**level
            stage = [conv_bn_relu(channels, wide, 3, stride if level == 0 else 2)]
            stage += [conv_bn_relu(wide, wide) for _ in range(count - 1)]
            self.blocks.append(nn.Sequential(*stage))
            self.branches.append(conv_bn_relu(wide, wide))
            channels = wide
        joined = sum(width * 2**level for level in range(len(layers)))
        self.out = nn.Sequential(
            conv_bn_relu(joined, 2 * channels_out), conv_bn_relu(2 * channels_out, channels_out),
            nn.Conv2d(channels_out, channels_out, 1),
        )

    def forward(self, points: Tensor, mask: Tensor) -> Tensor:
        """B P 5 (x, y, z, intensity, age) with B P mask -> B C Y/stride X/stride."""
        with full_precision(points.device):
            x = self._pillars(points, mask)
        levels: list[Tensor] = []
        for at, (block, branch) in enumerate(zip(self.blocks, self.branches, strict=True)):
            x = block(x)
            grown = x
            if at:
                grown = functional.interpolate(x, size=levels[0].shape[-2:], mode="bilinear", align_corners=True)
            levels.append(branch(grown))
        return self.out(torch.cat(levels, 1))

    def _pillars(self, points: Tensor, mask: Tensor) -> Tensor:
        grid, batch = self.grid, points.shape[0]
        col = ((points[..., 0] - grid.x_range_m[0]) / grid.cell_m).floor().long()
        row = ((points[..., 1] - grid.y_range_m[0]) / grid.cell_m).floor().long()
        valid = (mask > 0) & (col >= 0) & (col < grid.cols) & (row >= 0) & (row < grid.rows)
        which = torch.arange(batch, device=points.device)[:, None].expand_as(col)
        cell = ((which * grid.rows + row) * grid.cols + col)[valid]                     # V
        inside, cells = points[valid], batch * grid.rows * grid.cols                    # V 5
        count = inside.new_zeros(cells).index_add_(0, cell, torch.ones_like(inside[:, 0]))
        mean = inside.new_zeros(cells, 3).index_add_(0, cell, inside[:, :3]) / count.clamp(min=1)[:, None]
        centre = torch.stack(
            [
                (col[valid] + 0.5) * grid.cell_m + grid.x_range_m[0],
                (row[valid] + 0.5) * grid.cell_m + grid.y_range_m[0],
                torch.zeros_like(inside[:, 0]),
            ], -1
        )
        described = _described(inside, count[cell], mean[cell], centre)                 # V 15
        features = self.point_net(described)
        pooled = features.new_zeros(cells, features.shape[1]).index_add(0, cell, features)
        pooled = pooled / count.clamp(min=1).to(pooled.dtype)[:, None]
        return pooled.reshape(batch, grid.rows, grid.cols, -1).permute(0, 3, 1, 2)      # B F Y X


class PublishedPillars(PointPillars):
    """The same with the cells of the released code, for weights that were trained with them.

    Numbers of cells are cut towards zero, so that points up to a cell before the grid count as inside. Padded points
    and those off the grid are put into cell 0: they do not raise its count and give it no feature, but they enter its
    mean position and the number that its features are divided by.
    """

    z_range_m = (-10.0, 10.0)

    def _pillars(self, points: Tensor, mask: Tensor) -> Tensor:
        grid, batch = self.grid, points.shape[0]
        (x_low, _), (y_low, _), (z_low, z_high) = grid.x_range_m, grid.y_range_m, self.z_range_m
        low = points.new_tensor([x_low, y_low, z_low])
        size = points.new_tensor([grid.cell_m, grid.cell_m, z_high - z_low])
        place = ((points[..., :3] - low) / size).trunc()                                # B P 3
        cells = points.new_tensor([grid.cols, grid.rows, 1])
        valid = (mask > 0) & (place >= 0).all(-1) & (place < cells).all(-1)             # B P
        col, row = place[..., 0].long(), place[..., 1].long()
        first = torch.arange(batch, device=points.device)[:, None] * (grid.rows * grid.cols)
        cell = (first + torch.where(valid, row * grid.cols + col, 0)).flatten()         # BP
        flat, kept = points.flatten(0, 1), valid.flatten().to(points.dtype)             # BP 5, BP
        total = batch * grid.rows * grid.cols
        count = kept.new_zeros(total).index_add_(0, cell, kept)
        entered = kept.new_zeros(total).index_add_(0, cell, torch.ones_like(kept)).clamp(min=1)[:, None]
        mean = flat.new_zeros(total, 3).index_add_(0, cell, flat[:, :3]) / entered
        centre = ((place + 0.5) * size + low).flatten(0, 1)
        features = self.point_net(_described(flat, count[cell], mean[cell], centre)) * kept[:, None]
        pooled = features.new_zeros(total, features.shape[1]).index_add(0, cell, features) / entered.to(features.dtype)
        return pooled.reshape(batch, grid.rows, grid.cols, -1).permute(0, 3, 1, 2)      # B F Y X


def _described(points: Tensor, count: Tensor, mean: Tensor, centre: Tensor) -> Tensor:
    """V 5 points, and of their cells V points, V 3 mean position, V 3 centre -> V 15 what the point network reads."""
    return torch.cat([points, count[:, None], points[:, :3] - mean, mean, points[:, :3] - centre], -1)
