"""True map elements as a vector network's targets: each line in every order of vertices that means the same line.

Source: MapTR (arXiv 2208.14437), section 3.1, permutation-equivalent modelling.

Legend: G elements, O orders, P vertices.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.geometry import evenly_spaced
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASS_IDS, Batch, MapElement


@dataclass(frozen=True, eq=False)
class VectorTargets:
    """One sample's elements."""

    labels: Tensor
    """G int64, places in CLASSES."""
    places: Tensor
    """G O P 2, vertices in shares of the grid's sides (forward, left), 0..1. A line with fewer orders repeats them."""


def vector_targets(
    elements: Sequence[MapElement], grid: BevGrid, vertices: int, device: torch.device | str = "cpu"
) -> VectorTargets:
    """The targets of elements in `base_link`; a closed one has 2 (P - 1) orders, an open one 2."""
    most = 2 * (vertices - 1) if any(element.closed for element in elements) else 2
    places = np.zeros((len(elements), most, vertices, 2))
    low = np.array([grid.x_range_m[0], grid.y_range_m[0]])
    for row, element in zip(places, elements, strict=True):
        points = evenly_spaced(np.asarray(element.points_m[:, :2], np.float64), vertices)
        known = orders_of((points - low) / spans_m(grid), element.closed)
        row[:] = known[np.arange(most) % len(known)]
    return VectorTargets(
        torch.tensor([CLASS_IDS[element.label] - 1 for element in elements], dtype=torch.long, device=device),
        torch.from_numpy(places.astype(np.float32)).to(device),
    )


def spans_m(grid: BevGrid) -> NDArray[np.float64]:
    """The grid's sides in metres: forward, left."""
    return np.array([grid.x_range_m[1] - grid.x_range_m[0], grid.y_range_m[1] - grid.y_range_m[0]])


def orders_of(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """(O, P, 2): vertices (P, 2) both ways; of a closed line, whose last vertex repeats the first, from each one."""
    ways = [points, points[::-1]]
    if closed:
        starts = range(len(points) - 1)
        rings = [np.roll(way[:-1], -start, 0) for way in ways for start in starts]
        ways = [np.concatenate([ring, ring[:1]]) for ring in rings]
    return np.stack(ways)


def batch_targets(batch: Batch, grid: BevGrid, vertices: int) -> list[VectorTargets | None]:
    """The targets of every sample, crossings as outlines; None where labels are not known.

    Raises ValueError for a batch without vectors.
    """
    if batch.elements is None or batch.outlines is None:
        raise ValueError("the batch holds no crossings as outlines, which a vector network learns from")
    known = [True] * len(batch.elements) if batch.labelled is None else batch.labelled.tolist()
    lines = ([e for e in elements if e.label != "ped_crossing"] for elements in batch.elements)
    return [
        vector_targets([*open_lines, *outlines], grid, vertices, batch.images.device) if labelled else None
        for open_lines, outlines, labelled in zip(lines, batch.outlines, known, strict=True)
    ]
