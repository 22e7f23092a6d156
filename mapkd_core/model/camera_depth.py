"""MapTRv2's view transform: feature pixels spread over their rays, by depths that image and camera tell.

Source: MapTRv2 (arXiv 2308.05736), whose depth network is BEVDepth's (arXiv 2206.10092). What calibration alone
decides, the cells that pixels fall into and how a camera weighs its channels, is a look-up, computed once.

Legend: B batch, N cameras, D depths, h w feature map, C channels, K cells, Y X the BEV's rows and columns.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mapkd_core.model.bev_plane import BevPlane
from mapkd_core.model.layers import ResidualBlock, conv_bn_relu
from mapkd_core.model.precision import full_precision
from mapkd_core.model.ray_points import PUBLISHED_IMAGE_SIZE, ray_points

DEPTHS_M = (1.0, 35.0, 0.5)
"""First, end, step along the optical axis."""
CAMERA_NUMBERS = 22
"""Intrinsics 4, resizing 6, mounting 12."""
_DILATIONS = (6, 12, 18)
_MIDDLE = 96
"""Channels of each of the pyramid's branches."""
_FINER = 2
"""Pixels are summed on cells so many times smaller than the BEV's."""
_LOWEST_M, _HIGHEST_M = -30.0, 10.0
"""In the plane's frame; the released code cuts towards zero, so that its only layer, from -10 m on, reaches lower."""


class DepthLookup(NamedTuple):
    """What calibrations decide."""

    cell: Tensor
    """B N D h w int64 in 0..K; K for what lies outside."""
    context: Tensor
    """B N C in 0..1: by how much a camera weighs each channel of what it sees."""
    depth: Tensor
    """The same of what tells depth."""


class CameraGate(nn.Module):
    """Numbers of a camera -> weights of channels (squeeze and excitation, with a camera in the image's place)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read = nn.Sequential(
            nn.Linear(CAMERA_NUMBERS, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels),
            nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels),
        )

    def forward(self, numbers: Tensor) -> Tensor:
        """... 22 -> ... C."""
        return self.read(numbers).sigmoid()


class Pyramid(nn.Module):
    """Convolutions that look near, farther and at the whole map, side by side (ASPP, arXiv 1706.05587)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = conv_bn_relu(channels, _MIDDLE, 1)
        self.far = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, _MIDDLE, 3, padding=reach, dilation=reach, bias=False), nn.BatchNorm2d(_MIDDLE),
                nn.ReLU(inplace=True),
            )
            for reach in _DILATIONS
        )
        self.whole = conv_bn_relu(channels, _MIDDLE, 1)
        self.join = conv_bn_relu((2 + len(_DILATIONS)) * _MIDDLE, channels, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """M C h w -> M C h w."""
        whole = self.whole(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return self.dropout(self.join(torch.cat([self.near(x), *(branch(x) for branch in self.far), whole], 1)))


class CameraDepth(nn.Module):
    """Image features at a thirty-second and calibration -> BEV features on a plane."""

    def __init__(self, plane: BevPlane, channels: int) -> None:
        super().__init__()
        self.plane = plane
        self.fine = (_FINER * plane.size[0], _FINER * plane.size[1])
        depths = torch.arange(*DEPTHS_M)
        self.register_buffer("depths_m", depths, persistent=False)
        self.depths_m: Tensor
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.numbers = nn.BatchNorm1d(CAMERA_NUMBERS)
        self.context_gate, self.depth_gate = CameraGate(channels), CameraGate(channels)
        self.context = nn.Conv2d(channels, channels, 1)
        self.depth = nn.Sequential(
            *(ResidualBlock(channels, channels) for _ in range(3)), Pyramid(channels),
            nn.Conv2d(channels, len(depths), 1),
        )
        self.shrink = nn.Sequential(
            conv_bn_relu(channels, channels), conv_bn_relu(channels, channels, 3, _FINER),
            conv_bn_relu(channels, channels),
        )

    def lookup(
        self, intrinsics: Tensor, base_from_camera: Tensor, base_from_plane: Tensor, padded: tuple[int, int],
        feature_size: tuple[int, int], scale: tuple[float, float], visible: Tensor | None = None,
    ) -> DepthLookup:
        """For intrinsics B N 3 3 (at the network's size), mountings B N 4 4 and the plane's pose B 4 4.

        Images and feature maps are (width, height), `scale` is their size as a share of PUBLISHED_IMAGE_SIZE. What a
        camera that shows nothing at all, by `visible` B N H W bool, sees falls nowhere.
        """
        points = ray_points(intrinsics, base_from_camera, padded, feature_size, self.depths_m, align_corners=True)
        with full_precision(points.device):
            rotation, offset = base_from_plane[:, :3, :3], base_from_plane[:, :3, 3]
            points = torch.einsum("bji,bndhwj->bndhwi", rotation, points - offset[:, None, None, None, None])
        rows, cols = self.fine
        low, span = self.plane.low_m, self.plane.span_m
        col = ((points[..., 0] - low[0]) / (span[0] / cols)).trunc().long()
        row = ((points[..., 1] - low[1]) / (span[1] / rows)).trunc().long()
        inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
        inside &= (points[..., 2] > _LOWEST_M) & (points[..., 2] < _HIGHEST_M)
        if visible is not None:
            inside &= visible.flatten(2).any(-1)[..., None, None, None]
        cell = torch.where(inside, row * cols + col, rows * cols)
        numbers = camera_numbers(intrinsics, base_from_camera, scale)
        numbers = self.numbers(numbers.flatten(0, 1)).unflatten(0, numbers.shape[:2])
        return DepthLookup(cell, self.context_gate(numbers), self.depth_gate(numbers))

    def forward(self, features: Tensor, lookup: DepthLookup) -> Tensor:
        """B N C h w -> B C Y X."""
        batch, _, channels = features.shape[:3]
        x = self.reduce(features.flatten(0, 1))
        context = self.context(x * lookup.context.flatten(0, 1)[..., None, None].to(x.dtype))
        depth = self.depth(x * lookup.depth.flatten(0, 1)[..., None, None].to(x.dtype)).softmax(1)
        rows, cols = self.fine
        first = torch.arange(batch, device=x.device).reshape(-1, 1, 1, 1, 1) * (rows * cols + 1)
        cell = (lookup.cell + first).flatten(0, 1)                                      # BN D h w
        bev = x.new_zeros(batch * (rows * cols + 1), channels)
        for seen, share, where in zip(context, depth, cell, strict=True):  # a camera at a time, for memory's sake
            lifted = share[..., None] * seen.permute(1, 2, 0)                           # D h w C
            bev = bev.index_add(0, where.flatten(), lifted.reshape(-1, channels))
        bev = bev.reshape(batch, rows * cols + 1, channels)[:, :-1].transpose(1, 2)
        return self.shrink(bev.reshape(batch, channels, rows, cols))


def camera_numbers(intrinsics: Tensor, base_from_camera: Tensor, scale: tuple[float, float]) -> Tensor:
    """B N 22: focal lengths and centre in pixels of PUBLISHED_IMAGE_SIZE, how images are resized, the mounting."""
    across, down = scale
    resized = intrinsics.new_tensor([across, 0, 0, 0, down, 0]).expand(*intrinsics.shape[:2], -1)
    pixels = torch.stack([
        intrinsics[..., 0, 0] / across, intrinsics[..., 1, 1] / down, intrinsics[..., 0, 2] / across,
        intrinsics[..., 1, 2] / down,
    ], -1)
    return torch.cat([pixels, resized, base_from_camera[..., :3, :].flatten(2)], -1)


def published_scale(image_size: tuple[int, int]) -> tuple[float, float]:
    """(width, height) as shares of PUBLISHED_IMAGE_SIZE."""
    return image_size[0] / PUBLISHED_IMAGE_SIZE[0], image_size[1] / PUBLISHED_IMAGE_SIZE[1]
