"""MapTR's decoder: queries of elements and their vertices that read the BEV, and move their vertices layer by layer.

Source: MapTR (arXiv 2208.14437): hierarchical queries, deformable attention, iterative refinement. What the first layer
does before it reads the BEV does not depend on images: `start` computes it, once in use and in every step of training.

Legend: B batch, L layers, V elements, P vertices, Q = V * P queries, C channels, K cells.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mapkd_core.model.token_sampling import FeedForward, PointAttention
from mapkd_core.model.vector_config import VectorConfig
from mapkd_core.types import CLASSES

_EPS = 1e-5


class DecoderStart(NamedTuple):
    """The queries as they first read the BEV."""

    query: Tensor
    """1 Q C."""
    token: Tensor
    """1 QH S, see `token_sampling.gathered`."""
    weight: Tensor
    """1 QH S."""


class DecoderLayer(nn.Module):
    """Self-attention of the queries, reading of the BEV, feed-forward; norms after each."""

    def __init__(self, config: VectorConfig) -> None:
        super().__init__()
        width = config.width
        self.own = nn.MultiheadAttention(width, config.heads, config.dropout, batch_first=True)
        self.read = PointAttention(
            width, width, config.sampling_heads, config.sampling_points, dropout=config.dropout
        )
        self.feed = FeedForward(width, config.hidden, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def related(self, x: Tensor, position: Tensor) -> Tensor:
        """B Q C queries that have attended to each other."""
        query = x + position
        return self.norms[0](x + self.dropout(self.own(query, query, x, need_weights=False)[0]))

    def forward(self, x: Tensor, bev: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """B Q C related queries and B K C -> B Q C."""
        x = self.norms[1](x + self.read(bev, table))
        return self.norms[2](self.feed(x))


class VectorDecoder(nn.Module):
    """BEV tokens -> class logits and vertices of each layer."""

    def __init__(self, config: VectorConfig, size: tuple[int, int]) -> None:
        """`size` of the BEV, (rows, columns)."""
        super().__init__()
        width = config.width
        self.size, self.vectors, self.points = size, config.vectors, config.points
        self.element = nn.Embedding(config.vectors, 2 * width)
        self.vertex = nn.Embedding(config.points, 2 * width)
        self.reference = nn.Linear(width, 2)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.classify = nn.ModuleList(_classifier(width) for _ in range(config.layers))
        self.move = nn.ModuleList(_mover(width) for _ in range(config.layers))
        for branch in self.classify:
            nn.init.constant_(branch[-1].bias, -4.6)  # type: ignore[index, arg-type] # focal loss: a hundredth

    def start(self) -> DecoderStart:
        """The first layer up to where it reads the BEV."""
        position, content, place = self._queries()
        layer = self._layer(0)
        query = layer.related(content, position)
        return DecoderStart(query, *layer.read.table(query + position, place, self.size))

    def forward(self, bev: Tensor, start: DecoderStart, deep: bool = True) -> tuple[Tensor, Tensor]:
        """B K C -> logits L B V 3, vertices L B V P 2 in 0..1 (column, row); of the last layer alone unless `deep`."""
        position, _, place = self._queries()
        x = start.query.expand(len(bev), -1, -1).to(bev.dtype)
        table = (start.token, start.weight)
        logits, vertices = [], []
        for number in range(len(self.layers)):
            layer = self._layer(number)
            if number:
                x = layer.related(x, position)
                table = layer.read.table(x + position, place, self.size)
            x = layer(x, bev, table)
            moved = (self.move[number](x) + _logit(place)).sigmoid()
            if deep or number + 1 == len(self.layers):
                logits.append(self.classify[number](x.unflatten(1, (self.vectors, -1)).mean(2)))
                vertices.append(moved.unflatten(1, (self.vectors, -1)))
            place = moved.detach()
        return torch.stack(logits), torch.stack(vertices)

    def _queries(self) -> tuple[Tensor, Tensor, Tensor]:
        """1 Q C positions, 1 Q C contents, 1 Q 2 first places."""
        both = (self.element.weight[:, None] + self.vertex.weight[None]).flatten(0, 1)[None]
        position, content = both.chunk(2, -1)
        return position, content, self.reference(position).sigmoid()

    def _layer(self, number: int) -> DecoderLayer:
        return self.layers[number]  # type: ignore[return-value]


def _classifier(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(inplace=True),
        nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(inplace=True), nn.Linear(width, len(CLASSES)),
    )


def _mover(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, width), nn.ReLU(inplace=True),
        nn.Linear(width, 2),
    )


def _logit(place: Tensor) -> Tensor:
    """The inverse of a sigmoid, finite at 0 and 1."""
    place = place.clamp(0, 1)
    return (place.clamp(min=_EPS) / (1 - place).clamp(min=_EPS)).log()
