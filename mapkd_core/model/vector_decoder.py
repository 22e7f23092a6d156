"""MapTR's decoder: queries of elements and their vertices that read the BEV, and move their vertices layer by layer.

Source: MapTR (arXiv 2208.14437): hierarchical queries, deformable attention, iterative refinement. What the first layer
does before it reads the BEV does not depend on images: `start` computes it, once in use and in every step of training.

Legend: B batch, L layers, V elements, P vertices, Q = V * P queries, C channels, K cells.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mapkd_core.model.drive_memory import Carried, chosen
from mapkd_core.model.grid_reading import GridAttention
from mapkd_core.model.token_sampling import FeedForward, PointAttention
from mapkd_core.model.vector_config import VectorConfig
from mapkd_core.types import CLASSES

_EPS = 1e-5
_MOVE = 0.05
"""Share of the map's side by which an output of 1 moves a vertex: a training step moves lines by a metre at most."""
_OCTAVES = 6
"""Of the waves that tell a place; the shortest is a sixteenth of the map's side, four metres by two."""


class DecoderStart(NamedTuple):
    """The queries as they first read the BEV."""

    query: Tensor
    """1 Q C."""
    token: Tensor
    """1 QH S, see `token_sampling.gathered`."""
    weight: Tensor
    """1 QH S."""


class Decoded(NamedTuple):
    """What layers give: all of them, or the last alone."""

    logits: Tensor
    """L B V 3."""
    places: Tensor
    """L B V P 2 in 0..1 (column, row)."""
    query: Tensor
    """B Q C of the last layer."""


class DecoderLayer(nn.Module):
    """Self-attention of the queries, reading of the BEV, feed-forward; norms after each."""

    def __init__(self, config: VectorConfig, features: int | None = None) -> None:
        super().__init__()
        width = config.width
        self.points = config.points
        self.own = nn.MultiheadAttention(width, config.heads, config.dropout, batch_first=True)
        self.inner: nn.MultiheadAttention | None = None
        if config.attention == "decoupled":
            self.inner = nn.MultiheadAttention(width, config.heads, config.dropout, batch_first=True)
            self.inner_norm = nn.LayerNorm(width)
        sizes = (config.sampling_heads, config.sampling_points)
        self.read: PointAttention | GridAttention
        if features is None:
            self.read = PointAttention(width, width, *sizes, dropout=config.dropout)
        else:
            self.read = GridAttention(features, width, *sizes, config.dropout)
        self.feed = FeedForward(width, config.hidden, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def related(self, x: Tensor, position: Tensor) -> Tensor:
        """B Q C queries that have attended to each other."""
        query = x + position
        if self.inner is None:
            return self.norms[0](x + self._attended(self.own, query, x))
        batch = len(x)

        def across(tokens: Tensor) -> Tensor:                                           # B Q C -> BP V C
            return tokens.unflatten(1, (-1, self.points)).transpose(1, 2).flatten(0, 1)

        others = self._attended(self.own, across(query), across(x)).unflatten(0, (batch, -1)).transpose(1, 2)
        x = self.norms[0](x + others.flatten(1, 2))
        query = (x + position).unflatten(1, (-1, self.points)).flatten(0, 1)            # BV P C
        inner = self._attended(self.inner, query, x.unflatten(1, (-1, self.points)).flatten(0, 1))
        return self.inner_norm(x + inner.unflatten(0, (batch, -1)).flatten(1, 2))

    def _attended(self, attention: nn.MultiheadAttention, query: Tensor, value: Tensor) -> Tensor:
        return self.dropout(attention(query, query, value, need_weights=False)[0])

    def forward(self, x: Tensor, bev: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """B Q C related queries and B K C, or B F Y X -> B Q C."""
        x = self.norms[1](x + self.read(bev, table))
        return self.norms[2](self.feed(x))


class VectorDecoder(nn.Module):
    """BEV tokens -> class logits and vertices of each layer."""

    def __init__(self, config: VectorConfig, size: tuple[int, int], features: int | None = None) -> None:
        """`size` of the BEV, (rows, columns): tokens of the config's width, or a map of so many `features`."""
        super().__init__()
        width = config.width
        self.size, self.vectors, self.points = size, config.vectors, config.points
        self.element = nn.Embedding(config.vectors, 2 * width)
        self.further = nn.Embedding(config.many, 2 * width) if config.many else None
        self.vertex = nn.Embedding(config.points, 2 * width)
        self.anchored = config.anchors
        self.shapes: Tensor
        if config.anchors:
            self.anchor = nn.Parameter(_logit(anchors(config.vectors + config.many, config.points)))    # V P 2
        else:
            self.reference = nn.Linear(width, 2)
        self.locate = nn.Linear(4 * _OCTAVES, width) if config.placed else None
        self.layers = nn.ModuleList(DecoderLayer(config, features) for _ in range(config.layers))
        for number in range(config.layers if config.reach else 0):
            with torch.no_grad():
                self._layer(number).read.offsets.bias.mul_(config.reach[min(number, len(config.reach) - 1)])
        self.classify = nn.ModuleList(_classifier(width) for _ in range(config.layers))
        self.move = nn.ModuleList(_mover(width) for _ in range(config.layers))
        self.bend: nn.ModuleList | None = None
        if config.bends:
            self.bend = nn.ModuleList(nn.Linear(width, 2 * config.bends) for _ in range(config.layers))
            self.register_buffer("shapes", _polynomials(config.points, config.bends), persistent=False)
            for last in (*self.bend, *(branch[-1] for branch in self.move)):  # type: ignore[index]
                nn.init.zeros_(last.weight)  # type: ignore[arg-type]
                nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        for branch in self.classify:
            nn.init.constant_(branch[-1].bias, -4.6)  # type: ignore[index, arg-type] # focal loss: a hundredth

    def start(self, many: bool = False) -> DecoderStart:
        """The first layer up to where it reads the BEV; of the further elements if `many`."""
        position, content, place = self._queries(many)
        position = self._located(position, place)
        layer = self._layer(0)
        query = layer.related(content, position)
        return DecoderStart(query, *layer.read.table(query + position, place, self.size))

    def forward(
        self, bev: Tensor, start: DecoderStart, deep: bool = True, many: bool = False
    ) -> tuple[Tensor, Tensor]:
        """B K C -> logits L B V 3, vertices L B V P 2 in 0..1 (column, row); of the last layer alone unless `deep`."""
        return self.decoded(bev, start, deep, many)[:2]

    def decoded(
        self, bev: Tensor, start: DecoderStart, deep: bool = True, many: bool = False, carried: Carried | None = None
    ) -> Decoded:
        """The same with the queries. From the second layer on, `carried` elements stand in the place of the worst."""
        position, _, place = self._queries(many)
        x = start.query.expand(len(bev), -1, -1).to(bev.dtype)
        table = (start.token, start.weight)
        logits, vertices = [], []
        for number in range(len(self.layers)):
            layer = self._layer(number)
            if number:
                here = self._located(position, place)
                x = layer.related(x, here)
                table = layer.read.table(x + here, place, self.size)
            x = layer(x, bev, table)
            moved = self._moved(number, x, place)
            if deep or number + 1 == len(self.layers):
                logits.append(self.classify[number](x.unflatten(1, (-1, self.points)).mean(2)))
                vertices.append(moved.unflatten(1, (-1, self.points)))
            place = moved.detach()
            if carried is not None and not number:
                x, position, place = self._replaced(x, position, place, carried)
        return Decoded(torch.stack(logits), torch.stack(vertices), x)

    def _replaced(
        self, x: Tensor, position: Tensor, place: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, positions and places of the first layer, the worst elements replaced by those that are here.

        Samples without any keep theirs in their order.
        """
        queries = x.unflatten(1, (-1, self.points))                                     # B V P C
        order = self.classify[0](queries.mean(2)).detach().amax(-1).argsort(dim=1, descending=True, stable=True)
        order = torch.where(carried.here.any(1, keepdim=True), order, torch.arange(order.shape[1], device=x.device))
        kept = self.vectors - carried.here.shape[1]
        # A carried element has no place of its own among the queries, only each of its vertices has.
        vertex = self.vertex.weight[:, : x.shape[-1]].expand(*carried.here.shape, -1, -1)
        joined = []
        for own, new in ((x, carried.query), (position.expand_as(x), vertex), (place, carried.place)):
            ranked = chosen(own.unflatten(1, (-1, self.points)), order)
            worst = torch.where(carried.here[..., None, None], new.to(own.dtype), ranked[:, kept:])
            joined.append(torch.cat([ranked[:, :kept], worst], 1).flatten(1, 2))
        return joined[0], joined[1], joined[2]

    def _queries(self, many: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """1 Q C positions, 1 Q C contents, 1 Q 2 first places."""
        elements = self.further if many else self.element
        assert elements is not None
        both = (elements.weight[:, None] + self.vertex.weight[None]).flatten(0, 1)[None]
        position, content = both.chunk(2, -1)
        if self.anchored:
            first = self.anchor[self.vectors :] if many else self.anchor[: self.vectors]
            return position, content, first.flatten(0, 1)[None].sigmoid()
        return position, content, self.reference(position).sigmoid()

    def _moved(self, number: int, x: Tensor, place: Tensor) -> Tensor:
        """B Q C queries and places B Q 2 -> places B Q 2."""
        step = self.move[number](x)
        if self.bend is None:
            return (step + _logit(place)).sigmoid()
        whole = x.unflatten(1, (-1, self.points)).mean(2)                               # B V C
        shares = self.bend[number](whole).unflatten(-1, (-1, 2))                        # B V K 2
        return place + _MOVE * (step + (self.shapes @ shares).flatten(1, 2))

    def _located(self, position: Tensor, place: Tensor) -> Tensor:
        """Positions 1 Q C with what waves of the places B Q 2 add to them."""
        if self.locate is None:
            return position
        waves = torch.pi * 2.0 ** torch.arange(_OCTAVES, device=place.device)
        angle = (place[..., None] * waves).flatten(2)                                   # B Q 2 octaves
        return position + self.locate(torch.cat([angle.sin(), angle.cos()], -1))

    def _layer(self, number: int) -> DecoderLayer:
        return self.layers[number]  # type: ignore[return-value]


def _polynomials(points: int, count: int) -> Tensor:
    """P K: Legendre's polynomials along a line, from the constant on: shift, stretch or turn, bend, ..."""
    along = np.linspace(-1, 1, points)
    return torch.from_numpy(np.polynomial.legendre.legvander(along, count - 1)).float()


def anchors(vectors: int, points: int) -> Tensor:
    """V P 2 places (column, row; 0..1) of the lines from which elements start, as maps have them (ours).

    In turn two lines along the road, one across it and a ring, spread evenly over the map.
    """
    turn = torch.linspace(0, 2 * torch.pi, points)
    ring = torch.stack([turn.cos() / 24, turn.sin() / 6], -1)
    along = torch.stack([torch.linspace(-0.45, 0.45, points), torch.zeros(points)], -1)
    across = torch.stack([torch.zeros(points), torch.linspace(-0.3, 0.3, points)], -1)
    shapes = (along, along / 2, across, ring)
    lines = []
    for number in range(vectors):
        # Multiples of the golden ratio's and the square root's fractions cover a square evenly at every count.
        center = torch.tensor([(0.5 + number * 0.7548777) % 1, (0.5 + number * 0.5698403) % 1])
        lines.append((center + shapes[number % len(shapes)]).clamp(0.01, 0.99))
    return torch.stack(lines)


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
