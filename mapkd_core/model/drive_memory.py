"""What a vector student keeps of the frame before: its BEV features and its best elements, moved as the vehicle moved.

Sources: after StreamMapNet (arXiv 2308.12570): features are warped and fused by a gated recurrent unit, the
queries of the best elements pass an MLP that knows the motion, their vertices move with it. MapTracker (arXiv
2403.15951) keeps both kinds as well. Neither text nor code was at hand when it was written: it is what the papers
describe, not their exact form. Ours: the unit and the MLP begin as what changes nothing,
so that a network of single frames may be the start; and where nothing is remembered a frame is what it is alone.

Legend: B batch, F features, Y X rows and columns of the BEV, M remembered elements, V elements, P vertices, C channels.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.bev_plane import BevPlane

_PRESENT = 2.0
"""Bias of the gate before training: of a mixed cell, 0.88 is the present."""
_MOTION = 4
_LEAST_VERTICES = 2
"""Of an element that must still lie on the map for it to be carried on."""


class DriveMemory(NamedTuple):
    """What a frame leaves for the next one of its drive."""

    bev: Tensor
    """B F Y X."""
    query: Tensor
    """B M P C, the best elements' queries, best first."""
    points_m: Tensor
    """B M P 2, their vertices in `base_link` of that frame."""


class Carried(NamedTuple):
    """Remembered elements, seen from the present frame."""

    query: Tensor
    """B M P C."""
    place: Tensor
    """B M P 2, 0..1 (column, row); what left the map lies on its edge."""
    here: Tensor
    """B M bool, False for an element that is not to be used."""


class MemoryFusion(nn.Module):
    """Joins what is remembered with the present."""

    def __init__(self, plane: BevPlane, features: int, width: int, elements: int) -> None:
        """`features` of the BEV, `width` of queries; the best `elements` are kept."""
        super().__init__()
        self.plane, self.elements = plane, elements
        self.gates = nn.Conv2d(2 * features, 2 * features, 1)
        self.change = nn.Conv2d(features, features, 1, bias=False)
        self.moved = nn.Sequential(
            nn.Linear(width + _MOTION, width), nn.ReLU(inplace=True), nn.Linear(width, width)
        )
        with torch.no_grad():
            self.gates.bias[:features] = _PRESENT  # type: ignore[index]
        last: nn.Linear = self.moved[-1]  # type: ignore[assignment]
        for parameter in (self.change.weight, last.weight, last.bias):
            nn.init.zeros_(parameter)

    def fused(self, present: Tensor, memory: DriveMemory, current_from_previous: Tensor, follows: Tensor) -> Tensor:
        """B F Y X of the present with what is remembered; the present alone off the old map, and unless it `follows`.

        `current_from_previous` B 4 4 moves points of the frame before; `follows` B bool.
        """
        old, seen = warped(memory.bev, current_from_previous, self.plane)
        old = old.to(present.dtype)
        update, reset = self.gates(torch.cat([present, old], 1)).sigmoid().chunk(2, 1)
        # Bounded: however long a drive, features stay within 1 of the largest that a frame has had.
        wanted = present + self.change(reset * old).tanh()
        mixed = update * wanted + (1 - update) * old
        return torch.where((seen & follows[:, None, None])[:, None], mixed, present)

    def carried(self, memory: DriveMemory, current_from_previous: Tensor, follows: Tensor) -> Carried:
        """The remembered elements where the vehicle is now; arguments as of `fused`."""
        turn, way = _planar(current_from_previous)
        points = memory.points_m.float() @ turn[:, None].transpose(-1, -2) + way[:, None, None]     # B M P 2
        place = self.plane.places(points)
        inside = ((place >= 0) & (place <= 1)).all(-1).sum(-1) >= _LEAST_VERTICES       # B M
        motion = torch.stack([*(way / self.plane.span_m).unbind(-1), turn[:, 0, 0] - 1, turn[:, 1, 0]], -1)
        shape = (*memory.query.shape[:3], _MOTION)
        told = motion[:, None, None].expand(shape).to(memory.query.dtype)
        query = memory.query + self.moved(torch.cat([memory.query, told], -1))
        return Carried(query, place.clamp(0, 1).detach(), inside & follows[:, None])

    def kept(self, bev: Tensor, query: Tensor, logits: Tensor, points_m: Tensor) -> DriveMemory:
        """What a frame leaves: its fused BEV B F Y X, and the best of its elements.

        They are chosen by logits B V 3 from queries B VP C and vertices B V P 2.
        """
        best = logits.amax(-1).topk(self.elements, 1).indices                           # B M
        queries = query.unflatten(1, (logits.shape[1], -1))                             # B V P C
        return DriveMemory(bev, chosen(queries, best), chosen(points_m.detach(), best))


def warped(bev: Tensor, current_from_previous: Tensor, plane: BevPlane) -> tuple[Tensor, Tensor]:
    """B F Y X of the frame before, on the cells of the present one, and B Y X bool: which of these the old map had.

    Between the centers of the old cells bilinear; half a cell at the map's edge has the edge's features.
    """
    turn, way = _planar(current_from_previous)
    cells = plane.points_m[:, 0, :2]                                                    # K 2
    before = (cells - way[:, None]) @ turn                                              # B K 2, by the inverse
    at = (2 * plane.places(before) - 1).unflatten(1, plane.size)                        # B Y X 2
    read = functional.grid_sample(bev, at.to(bev.dtype), "bilinear", "border", align_corners=False)
    return read, (at.abs() <= 1).all(-1)


def chosen(values: Tensor, which: Tensor) -> Tensor:
    """B V P C of which B M rows each -> B M P C."""
    return values.gather(1, which[..., None, None].expand(-1, -1, *values.shape[2:]))


def _planar(dst_from_src: Tensor) -> tuple[Tensor, Tensor]:
    """Turn B 2 2 and way B 2 in metres of a motion in the plane, B 4 4."""
    motion = dst_from_src.float()
    return motion[:, :2, :2], motion[:, :2, 3]
