"""Deformable attention that reads a feature map by bilinear sampling, and projects only what it has read (ours).

`token_sampling.PointAttention` projects every token of a map before a few are gathered. On a fine BEV that is most of a
decoder's work: here each head gathers the plain features at its places, and its part of the value projection comes
after. Places and weights depend on queries alone. Source of the attention: Deformable DETR (Zhu et al. 2021).

Legend: B batch, Q queries, C channels of queries, F of the map, H heads, P points, Y X the map's rows and columns.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.token_sampling import points_around


class GridAttention(nn.Module):
    """Each head of a query reads a map F Y X at `points` places round the query's own."""

    def __init__(self, features: int, width: int, heads: int, points: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.points = heads, points
        self.offsets = nn.Linear(width, heads * points * 2)
        self.weights = nn.Linear(width, heads * points)
        self.value = nn.Parameter(torch.empty(heads, features, width // heads))
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        bound = (6 / (features + width)) ** 0.5
        nn.init.uniform_(self.value, -bound, bound)
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.offsets.bias.copy_(points_around(heads, points).flatten())

    def table(self, query: Tensor, place: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """B Q C queries at places B Q 2 (column, row; 0..1) of a map of `size` (rows, columns) -> where heads look.

        That is B QH P 2 in grid_sample's -1..1, and how much they take of it, B QH P.
        """
        offset = self.offsets(query).unflatten(-1, (self.heads, self.points, 2))
        cells = torch.tensor([size[1], size[0]], dtype=place.dtype, device=place.device)
        at = 2 * (place[:, :, None, None] + offset / cells) - 1                         # B Q H P 2
        weight = self.weights(query).unflatten(-1, (self.heads, self.points)).softmax(-1)
        return at.flatten(1, 2), weight.flatten(1, 2)

    def forward(self, features: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """B F Y X -> B Q C, without the residual; zeros lie around the map."""
        at, weight = table
        batch = len(features)
        at = at.to(features.dtype).expand(batch, -1, -1, -1)
        read = functional.grid_sample(features, at, "bilinear", "zeros", align_corners=False)   # B F QH P
        read = (read * weight.to(read.dtype)[:, None]).sum(-1).unflatten(2, (-1, self.heads))   # B F Q H
        heads = read.permute(3, 0, 2, 1).flatten(1, 2) @ self.value                             # H BQ C/H
        return self.dropout(self.out(heads.unflatten(1, (batch, -1)).permute(1, 2, 0, 3).flatten(2)))
