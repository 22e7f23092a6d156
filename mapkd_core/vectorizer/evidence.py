"""What the network predicted, cell by cell, and how the later steps look it up at points."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_THICKNESS, OVERLAP_THICKNESS, BevGrid
from mapkd_core.types import CLASS_IDS
from mapkd_core.vectorizer.lines import Floats, Indices, Points

BACKGROUND = 0
CROSSING, BOUNDARY = CLASS_IDS["ped_crossing"], CLASS_IDS["boundary"]

CLASS_BITS, HIDDEN, OUTSIDE = 3, 4, 8
"""The bits of `Evidence.flags`."""

_HIDING_CELLS = OVERLAP_THICKNESS - LINE_THICKNESS + 1
"""A class hides what lies under it and within two cells of it, which the label rasters clear round every line."""
_ONE_BITS = int(np.float32(1.001).view(np.uint32))
"""The largest probability, with some room for rounding, as the bits of a float32."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """The prediction in the forms that the steps read."""

    probability: NDArray[np.uint8]
    """(4, Y, X), 0..255: background and the three classes."""
    class_map: NDArray[np.uint8]
    """(Y, X) the winning class, 0 background; cells of different classes do not touch."""
    flags: NDArray[np.uint8]
    """(Y + 2, X + 2), with a rim of one cell round the grid. CLASS_BITS hold the winning class; HIDDEN says that
    another class may hide a line here; OUTSIDE marks the rim."""

    @staticmethod
    def of(probability: NDArray[np.uint8], class_map: NDArray[np.uint8]) -> Evidence:
        """Works out `flags`."""
        near = cv2.dilate(class_map, np.ones((_HIDING_CELLS, _HIDING_CELLS), np.uint8))
        _, hidden = cv2.threshold(near, 0, HIDDEN, cv2.THRESH_BINARY)
        flags = cv2.bitwise_or(class_map, hidden)
        rimmed = cv2.copyMakeBorder(flags, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=OUTSIDE)
        return Evidence(probability, class_map, rimmed)

    def flags_at(self, points: Points) -> NDArray[np.uint8]:
        """`flags` of the cells nearest to points of any shape, on the grid or not."""
        height, width = self.flags.shape
        # Truncation rounds, because the rim has moved everything by one and is as far out as an index can go.
        col = np.minimum(np.maximum(points.real + np.float32(1.5), 0), width - 1).astype(np.int32)
        row = np.minimum(np.maximum(points.imag + np.float32(1.5), 0), height - 1).astype(np.int32)
        return self.flags.ravel()[row * width + col]

    def probability_at(self, col: Floats, row: Floats, classes: Indices) -> NDArray[Any]:
        """(K, P) probabilities 0..255 of `classes`, which broadcast, at positions (K, P) in cells; bilinear.

        Positions off the grid get the value at its border.
        """
        height, width = self.class_map.shape
        # The channels lie one below the other in memory, so one look-up serves all classes.
        stacked_row = np.minimum(np.maximum(row, 0), height - 1) + (classes * height).astype(np.float32)
        stacked = self.probability.reshape(-1, width)
        return cv2.remap(stacked, col, stacked_row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def probability_bytes(semantic: NDArray[Any], grid: BevGrid) -> NDArray[np.uint8]:
    """Probabilities (4, Y, X), floats 0..1 or bytes, as bytes 0..255, after checks that a wrong tensor cannot pass.

    Raises ValueError for a shape other than the grid's, values outside 0..1, and values that are not finite.
    """
    if semantic.shape != (4, *grid.shape):
        raise ValueError(
            f"semantic has shape {semantic.shape}; expected (4, {grid.rows}, {grid.cols}): "
            "background, divider, ped_crossing, boundary on the given grid"
        )
    if semantic.dtype == np.uint8:
        return np.ascontiguousarray(semantic)
    values = np.ascontiguousarray(semantic, np.float32)
    # From 0 up floats sort as their bits do, and negative ones, infinity and NaN come after: one look finds them all.
    if values.view(np.uint32).max() > _ONE_BITS:
        _check_range(values)
    return cv2.convertScaleAbs(values.reshape(-1, grid.cols), alpha=255).reshape(values.shape)


def _check_range(values: Floats) -> None:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise ValueError("semantic has values that are not finite; check the network's weights and input")
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"semantic lies in {low:g}..{high:g}; expected probabilities 0..1: apply softmax to logits")


def winning_class(probability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The most probable class (Y, X) of every cell, 0 background; where two classes touch, the earlier gives way.

    All classes are thinned in one image, so at least one background cell must lie between them. The later class keeps
    the cell, as in the label rasters.
    """
    best, class_map = probability[0], None
    for index in range(1, len(probability)):
        # A later winner has the larger index, so the maximum keeps it.
        won = cv2.compare(probability[index], best, cv2.CMP_GT) & np.uint8(index)
        class_map = won if class_map is None else cv2.max(class_map, won)
        best = cv2.max(best, probability[index])
    largest_near = cv2.dilate(class_map, np.ones((3, 3), np.uint8))
    return cv2.bitwise_and(class_map, cv2.compare(largest_near, class_map, cv2.CMP_EQ))
