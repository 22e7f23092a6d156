"""HDMapNet's view transform: an MLP per camera turns its features into that camera's ground map, then a homography.

Source: HDMapNet (arXiv 2107.06307), section 3.2. The MLPs learn the intrinsics, so the weights belong to one rig. Built
right where the released code is not: positions and mounting are in the same unit on every grid (the code mixes metres
with half metres at 60 x 30 m). Published weights have learnt the mix, so `published` repeats it.

Legend: B batch, N cameras, C channels, h w feature map, r c a camera's ground map, Y X grid, K Y/2 * X/2 places.
"""
from __future__ import annotations

from typing import NamedTuple

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


class WarpLookup(NamedTuple):
    """For each place of the plane, where it lies in each camera's ground map."""

    place: Tensor
    """B N K 2 column and row, in -1..1 from the first cell's centre to the last one's."""
    inside: Tensor
    """B N K, 1 where the camera has a say: elsewhere 0 takes the place of what lies in its map."""


class GroundWarp(nn.Module):
    """Pastes the cameras' ground maps into the BEV by their mounting; where several see a cell the maximum stays.

    `published` repeats the released code: the plane spans 60 x 30 units on any grid while mountings are in metres, and
    what lies outside a ground map by however little is 0, where it fades out over one cell otherwise.
    """

    def __init__(self, grid: BevGrid, ground_size: tuple[int, int], published: bool = False) -> None:
        super().__init__()
        self.rows, self.cols = grid.rows // 2, grid.cols // 2
        self.ground_size, self.published = ground_size, published
        # The papers' plane: 60 units ahead on any grid; a ground map spans 80 units ahead from unit 10, and 40 across.
        self.unit_m = 1.0 if published else grid.x_range_m[1] / 60.0
        self.first_unit, self.units = 10.0, (80.0, 40.0)
        x_range, y_range = ((-60.0, 60.0), (-30.0, 30.0)) if published else (grid.x_range_m, grid.y_range_m)
        x = torch.linspace(*x_range, self.cols)
        y = torch.linspace(*y_range, self.rows)
        plane = torch.stack([x.expand(self.rows, -1), y[:, None].expand(-1, self.cols)], -1)
        points = torch.cat([plane, torch.zeros_like(plane[..., :1])], -1)               # Y X 3
        self.register_buffer("points_m", points.reshape(-1, 3), persistent=False)
        self.points_m: Tensor

    def lookup(self, base_from_camera: Tensor, visible: Tensor | None = None) -> WarpLookup:
        """Where the places fall for mountings B N 4 4; compute it once for each.

        A camera that shows nothing at all, by `visible` B N H W bool, has no say.
        """
        rotation = base_from_camera[..., :3, :3].transpose(-1, -2)
        with full_precision(base_from_camera.device):
            q = rotation @ (self.points_m.T - base_from_camera[..., :3, 3:]) / self.unit_m  # B N 3 K
        col = (q[..., 2, :] - self.first_unit) * (self.ground_size[1] / self.units[0])
        row = (q[..., 0, :] + self.units[1] / 2) * (self.ground_size[0] / self.units[1])
        last_row, last_col = self.ground_size[0] - 1, self.ground_size[1] - 1
        inside = torch.ones_like(col, dtype=torch.bool)                                 # B N K
        if self.published:
            inside = (col >= 0) & (col <= last_col) & (row >= 0) & (row <= last_row)
        if visible is not None:
            inside = inside & visible.flatten(2).any(-1, keepdim=True)
        return WarpLookup(torch.stack([2 * col / last_col - 1, 2 * row / last_row - 1], -1), inside.to(col.dtype))

    def forward(self, ground: Tensor, lookup: WarpLookup) -> Tensor:
        """B N C r c -> B C 2Y 2X."""
        bev = self.pasted(ground, lookup)
        grown = functional.interpolate(bev, scale_factor=2, mode="bilinear", align_corners=True)
        return grown.to(ground.dtype)

    def pasted(self, ground: Tensor, lookup: WarpLookup) -> Tensor:
        """B N C r c -> B C Y X on cells of twice the size, in float32."""
        batch, cameras, channels = ground.shape[:3]
        warped = functional.grid_sample(  # a place in half precision would be off by cells
            ground.flatten(0, 1).to(lookup.place.dtype), lookup.place.flatten(0, 1)[:, :, None], align_corners=True,
            padding_mode="zeros",
        )                                                                               # BN C K 1
        warped = warped.reshape(batch, cameras, channels, self.rows, self.cols)
        warped = warped * lookup.inside.reshape(batch, cameras, 1, self.rows, self.cols)
        return warped.amax(1)
