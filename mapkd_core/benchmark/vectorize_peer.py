"""HDMapNet's own vectorizer, run from a checkout of its public code, behind this project's types.

Legend: Y X grid rows and columns, E embedding size. It takes three heads. This project's networks have only the first,
so the other two are made here: from the labels, as perfect heads would give them, or from the semantic map itself.
"""
from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.benchmark.peer_checkout import importable
from mapkd_core.benchmark.vectorize_inputs import Array
from mapkd_core.data.raster import rasterize
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, DIRECTION_BINS, MapElement

Vectorizer = Callable[[Array, Array, Array, BevGrid], list[MapElement]]
"""Semantic logits (4, Y, X), embedding (E, Y, X), direction logits (37, Y, X), grid -> elements."""

HEADS = ("labels", "semantic")
_EMBEDDING = 16


def hdmapnet(checkout: Path) -> Vectorizer:
    """The peer in a folder; raises FileNotFoundError if it is no checkout of HDMapNet. Runs on one thread."""
    import torch

    with importable(checkout, "postprocess/vectorize.py"):
        from postprocess.vectorize import vectorize as theirs  # type: ignore[import-not-found]
    torch.set_num_threads(1)

    def run(logits: Array, embedding: Array, direction: Array, grid: BevGrid) -> list[MapElement]:
        random.seed(0)
        heads = (torch.from_numpy(head.copy()) for head in (logits, embedding, direction))
        lines, scores, labels = theirs(*heads, DIRECTION_BINS)
        return [
            MapElement(CLASSES[label], grid.metres_from_cells(np.asarray(line) + 0.5).astype(np.float32), float(score))
            for line, score, label in zip(lines, scores, labels, strict=True)
            if len(line) >= 2
        ]

    return run


def further_heads(
    truth: list[MapElement], logits: Array, grid: BevGrid, seed: int, heads: str
) -> tuple[Array, Array]:
    """Embedding (E, Y, X) and direction logits (37, Y, X) for semantic logits (4, Y, X).

    `heads` "labels": every true line has its own embedding, also where lines touch or are invisible; "semantic":
    every connected area of a class has one, which is all that the semantic map tells. Directions are those of the
    labels either way.
    """
    if heads not in HEADS:
        raise ValueError(f"heads is {heads!r}; expected one of {HEADS}")
    labels = rasterize(truth, grid)
    assert labels.direction is not None
    rng = np.random.default_rng(seed)
    instance: NDArray[Any] = labels.instance.astype(np.intp)
    if heads == "semantic":
        instance = _areas(logits)
    centres = rng.normal(0, 1.5, (int(instance.max()) + 1, _EMBEDDING))
    centres[0] = 0
    embedding = centres[instance].transpose(2, 0, 1) + rng.normal(0, 0.1, (_EMBEDDING, *grid.shape))
    direction = rng.normal(0, 0.1, (DIRECTION_BINS + 1, *grid.shape))
    for bins, strength in zip(labels.direction, (8.0, 7.5), strict=True):
        row, col = np.nonzero(bins)
        direction[bins[row, col], row, col] += strength
    direction[0][labels.instance == 0] += 8
    return embedding.astype(np.float32), direction.astype(np.float32)


def _areas(logits: Array) -> NDArray[np.intp]:
    """(Y, X) numbers of the connected areas of the winning classes, 0 for background."""
    winner = logits.argmax(0)
    areas = np.zeros(winner.shape, np.intp)
    for channel in range(1, len(logits)):
        _, found = cv2.connectedComponents((winner == channel).astype(np.uint8))
        areas = np.where(found > 0, found + areas.max(), areas)
    return areas
