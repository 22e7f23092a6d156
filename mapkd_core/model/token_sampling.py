"""Attention that looks at few places of a map: weighted sums of tokens, by tables of which tokens and how much.

A table depends on queries alone, not on the tokens that are gathered; where the queries do not change from image to
image it is computed once. An embedding bag is a weighted gather in one pass, with gradients to tokens and weights.

Legend: B batch, K tokens of a map, C channels, H heads, Q queries, S samples of a head, P points.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def gathered(tokens: Tensor, index: Tensor, weight: Tensor, heads: int) -> Tensor:
    """B K C tokens by tables B QH S (into K * H, heads run fastest) -> B Q C."""
    batch, count, channels = tokens.shape
    first = torch.arange(batch, device=tokens.device).reshape(-1, 1, 1) * (count * heads)
    table = (index + first).flatten(0, 1)                                               # BQH S
    rows = tokens.reshape(batch * count * heads, channels // heads)
    weights = weight.to(rows.dtype).expand(batch, -1, -1).flatten(0, 1)
    summed = functional.embedding_bag(table, rows, mode="sum", per_sample_weights=weights)
    return summed.reshape(batch, -1, channels)


def gathered_plainly(tokens: Tensor, index: Tensor, weight: Tensor, heads: int) -> Tensor:
    """The same of a batch of one, sample after sample: B K C by B QH S -> B Q C."""
    rows = tokens[0].unflatten(-1, (heads, -1)).flatten(0, 1)                           # KH C/H
    read = sum(functional.embedding(index[0, :, s], rows) * weight[0, :, s : s + 1] for s in range(index.shape[-1]))
    return torch.as_tensor(read).reshape(1, -1, tokens.shape[-1])


def bilinear_table(place: Tensor, weight: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Tables of a bilinear reading with zeros around the map: B Q H P 2 places, B Q H P weights -> B QH 4P each.

    Places are (column, row) in 0..1 from edge to edge of a map of `size` (rows, columns).
    """
    rows, cols = size
    heads = place.shape[2]
    col, row = place[..., 0] * cols - 0.5, place[..., 1] * rows - 0.5
    col0, row0 = col.detach().floor(), row.detach().floor()
    right, below = col - col0, row - row0
    head = torch.arange(heads, device=place.device).reshape(-1, 1)
    indices, weights = [], []
    for down in (0, 1):
        for aside in (0, 1):
            c, r = col0 + aside, row0 + down
            inside = (c >= 0) & (c < cols) & (r >= 0) & (r < rows)
            cell = r.clamp(0, rows - 1).long() * cols + c.clamp(0, cols - 1).long()     # B Q H P
            share = (right if aside else 1 - right) * (below if down else 1 - below) * inside
            indices.append(cell * heads + head)
            weights.append(weight * share)
    return torch.cat(indices, -1).flatten(1, 2), torch.cat(weights, -1).flatten(1, 2)


def points_around(heads: int, points: int) -> Tensor:
    """H P 2 offsets in cells from which places are learnt: heads look in all directions, point after point farther."""
    angle = torch.arange(heads) * (2 * torch.pi / heads)
    around = torch.stack([angle.cos(), angle.sin()], -1)
    around = around / around.abs().amax(-1, keepdim=True)                               # H 2, on a square
    return around[:, None] * torch.arange(1, points + 1)[:, None]


class PointAttention(nn.Module):
    """Deformable attention (Zhu et al. 2021): each head of a query reads a map at places round the query's own.

    `parts` softmaxes of `points` places share a head (MapTR's self-attention of the BEV has two, for two moments).
    """

    def __init__(self, width: int, queries: int, heads: int, points: int, parts: int = 1, dropout: float = 0.0) -> None:
        """`queries` are the channels of what offsets and weights are read from."""
        super().__init__()
        self.heads, self.points, self.parts = heads, points, parts
        self.plain = False
        """Whether tokens are gathered by operators that graphs have, slower than an embedding bag."""
        self.offsets = nn.Linear(queries, heads * parts * points * 2)
        self.weights = nn.Linear(queries, heads * parts * points)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        with torch.no_grad():
            self.offsets.bias.copy_(points_around(heads, points)[:, None].expand(-1, parts, -1, -1).flatten())

    def table(self, query: Tensor, place: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """B Q C' queries at places B Q 2 (0..1) of a map of `size` (rows, columns) -> tables B QH S."""
        batch, count = query.shape[:2]
        offset = self.offsets(query).reshape(batch, count, self.heads, self.parts * self.points, 2)
        weight = self.weights(query).reshape(batch, count, self.heads, self.parts, self.points)
        cells = torch.tensor([size[1], size[0]], dtype=place.dtype, device=place.device)
        at = place[:, :, None, None] + offset / cells                                   # B Q H P 2
        return bilinear_table(at, weight.softmax(-1).flatten(3) / self.parts, size)

    def forward(self, tokens: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """B K C -> B Q C, without the residual."""
        read = gathered_plainly if self.plain else gathered
        return self.dropout(self.out(read(self.value(tokens), *table, self.heads)))


class FeedForward(nn.Module):
    """Two linear layers beside a shortcut."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """B Q C -> B Q C."""
        return x + self.layers(x)
