"""Geometry-guided kernel attention: every BEV cell attends to the few feature pixels round its projections.

Source: GKT (arXiv 2206.04584) as in MapTR: each head is a height; a cell's kernels in all cameras that see it are
averaged. Which pixels, and how much of each, depends on calibration and queries, not on images: one look-up.

Legend: B batch, N cameras, K cells, Z heights (= heads), T samples in all, h w feature map, C channels.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.precision import full_precision

_LEAST_DEPTH_M = 1e-5


class KernelLookup(NamedTuple):
    """A ragged table: a cell seen by two cameras has twice the samples of one seen by one."""

    pixel: Tensor
    """T int64 into the B * N * h * w * Z parts of feature pixels."""
    weight: Tensor
    """T."""
    start: Tensor
    """B * K * Z, where each cell's and height's samples begin."""


class KernelAttention(nn.Module):
    """Image features -> BEV, without the residual."""

    def __init__(self, width: int, heights: int, kernel: tuple[int, int], dropout: float = 0.0) -> None:
        """`kernel` is (rows, columns)."""
        super().__init__()
        self.heights = heights
        rows, cols = kernel
        self.weights = nn.Linear(width, heights * rows * cols)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        offsets = [(col - cols // 2, row - rows // 2) for col in range(cols) for row in range(rows)]
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)        # rows * cols 2
        self.offsets: Tensor

    def lookup(self, query: Tensor, pixels: Tensor, seen: Tensor, size: tuple[int, int]) -> KernelLookup:
        """B K C queries, B N K Z 2 where they project (0..1), B N K who sees them; feature maps of `size` (h, w)."""
        height, width = size
        cameras = pixels.shape[1]
        last = torch.tensor([width, height], device=pixels.device)
        at = (pixels * last).clamp(-1e6, 1e6).round().long()                            # B N K Z 2
        weight = self.weights(query).unflatten(2, (self.heights, -1)).softmax(-1)       # B K Z S
        weight = weight / seen.sum(1).clamp(min=1)[:, :, None, None]
        each = seen.transpose(1, 2)[:, :, None].expand(-1, -1, self.heights, -1)        # B K Z N
        b, k, z, n = each.nonzero(as_tuple=True)
        kernel = (at[b, n, k, z][:, None] + self.offsets).clamp(min=0)                  # . S 2
        kernel = torch.minimum(kernel, last - 1)
        pixel = ((b * cameras + n) * (height * width))[:, None] + kernel[..., 1] * width + kernel[..., 0]
        pixel = pixel * self.heights + z[:, None]
        count = each.sum(-1).flatten() * len(self.offsets)
        start = torch.cat([count.new_zeros(1), count.cumsum(0)[:-1]])
        return KernelLookup(pixel.flatten(), weight[b, k, z].flatten(), start)

    def forward(self, features: Tensor, lookup: KernelLookup) -> Tensor:
        """B N hw C -> B K C."""
        batch, channels = features.shape[0], features.shape[-1]
        parts = self.value(features).reshape(-1, channels // self.heights)
        summed = functional.embedding_bag(
            lookup.pixel, parts, lookup.start, mode="sum", per_sample_weights=lookup.weight.to(parts.dtype)
        )
        return self.dropout(self.out(summed.reshape(batch, -1, channels)))


def projected(
    points_m: Tensor, intrinsics: Tensor, base_from_camera: Tensor, base_from_plane: Tensor, image_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Where points K Z 3 of a plane fall, B N K Z 2 in 0..1 of images of `image_size` (w, h), and who sees them.

    A camera sees a cell (B N K) if one of its heights is in front and inside the image. Calibrations B N 3 3, B N 4 4,
    and B 4 4.
    """
    with full_precision(points_m.device):
        rotation = base_from_camera[..., :3, :3].transpose(-1, -2)
        camera_from_base = torch.cat([rotation, -rotation @ base_from_camera[..., :3, 3:]], -1)     # B N 3 4
        matrix = intrinsics @ camera_from_base @ base_from_plane[:, None]                           # B N 3 4
        flat = points_m.reshape(-1, 3)
        image = flat @ matrix[..., :3].transpose(-1, -2) + matrix[..., None, :, 3]                  # B N KZ 3
        depth = image[..., 2:]
        size = torch.tensor(image_size, dtype=image.dtype, device=image.device)
        place = image[..., :2] / depth.clamp(min=_LEAST_DEPTH_M) / size
        inside = (depth[..., 0] > _LEAST_DEPTH_M) & (place > 0).all(-1) & (place < 1).all(-1)
    shape = (*place.shape[:2], *points_m.shape[:2])
    return place.reshape(*shape, 2), inside.reshape(shape).any(-1)
