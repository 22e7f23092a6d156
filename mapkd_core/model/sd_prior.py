"""P-MapNet's standard-definition prior: BEV features attend to a rasterised road map.

Source: P-MapNet (arXiv 2403.10521), section 3.2. The published network has no way round its 8-fold bottleneck, which
blurs thin lines; `skip` adds one (ours). On larger cells than the paper's, fewer halvings keep the bottleneck's small.

Legend: B batch, C channels, Y X grid, T tokens, s how many times larger the bottleneck's cells are (8 in the paper).
"""
from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn


def shrink(*channels: int) -> nn.Sequential:
    """4x4 convolutions of stride 2 from each number of channels to the next, the last with a batch norm."""
    return _changed_size(nn.Conv2d, channels)


def grow(channels_in: int, channels: int, doublings: int = 3) -> nn.Sequential:
    """Transposed 4x4 convolutions of stride 2, the last with a batch norm."""
    return _changed_size(nn.ConvTranspose2d, (channels_in, *doublings * (channels,)))


def _changed_size(kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels[:-1]):
        layers += [kind(before, after, 4, 2, 1), nn.ReLU(inplace=True)]
    layers += [kind(channels[-2], channels[-1], 4, 2, 1, bias=False), nn.BatchNorm2d(channels[-1])]
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def sine_position(rows: int, cols: int, channels: int, device: torch.device) -> Tensor:
    """1 T C position code: half the channels for y, half for x, scaled to 2 pi, temperature 10000 (DETR's)."""
    half = channels // 2
    period = 10000 ** (2 * (torch.arange(half, device=device) // 2) / half)
    codes = []
    for count in (rows, cols):
        place = torch.arange(1, count + 1, device=device) / (count + 1e-6) * 2 * math.pi
        angle = place[:, None] / period
        codes.append(torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], 2).flatten(1))
    y, x = codes
    both = torch.cat([y[:, None].expand(-1, cols, -1), x[None].expand(rows, -1, -1)], -1)
    return both.reshape(1, rows * cols, channels)


class PriorLayer(nn.Module):
    """Self-attention, cross-attention to the road map, feed-forward; post-norm, positions on queries and keys."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.cross = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, road: Tensor, position: Tensor) -> Tensor:
        """B T D tokens, B T D road tokens."""
        query = x + position
        x = self.norms[0](x + self.dropout(self.own(query, query, x, need_weights=False)[0]))
        attended = self.cross(x + position, road + position, road, need_weights=False)[0]
        x = self.norms[1](x + self.dropout(attended))
        return self.norms[2](x + self.dropout(self.feed(x)))


class SdPrior(nn.Module):
    """BEV features and an SD raster -> BEV features of the same shape that know the roads."""

    def __init__(
        self, channels: int, dim: int = 64, heads: int = 8, hidden: int = 192, layers: int = 2, skip: bool = False,
        halvings: int = 3, dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.shrink = shrink(*(halvings + 1) * (channels,))
        self.road = shrink(1, *((dim // 2, dim, dim)[3 - halvings :]))
        self.project = nn.Conv2d(channels, dim, 1)
        self.layers = nn.ModuleList(PriorLayer(dim, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.grow = grow(dim, channels, halvings)
        self.skip = skip

    def forward(self, bev: Tensor, sd_map: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """B C Y X and B 1 Y X -> B C Y X with taps `bev_small` B C Y/s X/s and `bev_sd` B D Y/s X/s."""
        small = self.shrink(bev)
        grown, attended = self.attend(small, sd_map)
        # A grid whose side is no multiple of s comes back a little smaller.
        if grown.shape[-2:] != bev.shape[-2:]:
            grown = nn.functional.interpolate(grown, size=bev.shape[-2:], mode="bilinear", align_corners=False)
        return (grown + bev if self.skip else grown), {"bev_small": small, "bev_sd": attended}

    def attend(self, small: Tensor, sd_map: Tensor) -> tuple[Tensor, Tensor]:
        """B C Y/s X/s and B 1 Y X -> features that know the roads, B C Y X and B D Y/s X/s."""
        road = self.road(sd_map)
        rows, cols = small.shape[-2:]
        tokens = self.project(small).flatten(2).transpose(1, 2)                         # B T D
        road_tokens = road.flatten(2).transpose(1, 2)
        position = sine_position(rows, cols, tokens.shape[-1], tokens.device).to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, road_tokens, position)
        attended = self.norm(tokens).transpose(1, 2).unflatten(2, (rows, cols))         # B D Y/s X/s
        return self.grow(attended), attended
