"""Map elements drawn onto the grid: semantic, instance and direction targets with HDMapNet's drawing rules.

A vertex falls into the cell that holds it (truncation), lines are `THICKNESS` cells wide, a line's instance id
counts over all classes, and a later class wipes the earlier ones within `OVERLAP_THICKNESS` of its lines
(HDMapNet, arXiv 2107.06307, `data/rasterize.py`). Y X are the grid's rows and columns.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.labels import grid_range
from mapkd_core.data.polylines import clip_polylines
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement

THICKNESS = 5
OVERLAP_THICKNESS = THICKNESS + 4
DIRECTION_BINS = 36
"""Bins of 10 degrees; bin 1 is centred on +x (growing column), bin 10 on +y (growing row), 0 is no line."""


@dataclass(frozen=True, eq=False)
class LabelRasters:
    """The dense targets of one frame."""

    semantic: NDArray[np.uint8]
    """(4, Y, X), 0 or 1; channel 0 is background, then CLASSES."""
    instance: NDArray[np.int16]
    """(Y, X), 0 is background, ids 1, 2, ... over all classes."""
    direction: NDArray[np.uint8] | None
    """(2, Y, X): bin of travel along the line, and along it backwards; 0 is background."""


def rasterize(
    elements: Sequence[MapElement], grid: BevGrid, with_direction: bool = True, thickness: int = THICKNESS
) -> LabelRasters:
    """Draws elements, class by class in the order of CLASSES and within a class in the order given.

    A line that leaves the grid is drawn in its parts, all with one id. A part inside one cell draws nothing.
    """
    instance = np.zeros((len(CLASSES), *grid.shape), np.int16)  # C Y X
    direction = np.zeros((2, len(CLASSES), *grid.shape), np.uint8) if with_direction else None  # 2 C Y X
    number = 0
    for c, label in enumerate(CLASSES):
        near = np.zeros(grid.shape, np.uint8)
        for element in elements:
            if element.label != label:
                continue
            lines = _cell_lines(element, grid)
            if not lines:
                continue
            number += 1
            cv2.polylines(instance[c], lines, False, number, thickness)  # type: ignore[call-overload]
            if c:
                cv2.polylines(near, lines, False, 1, thickness + OVERLAP_THICKNESS - THICKNESS)  # type: ignore
            if direction is not None:
                for line in lines:
                    _draw_direction(direction[0, c], line, thickness)
                    _draw_direction(direction[1, c], line[::-1], thickness)
        if c:
            wiped = near.astype(bool)
            instance[:c, wiped] = 0
            if direction is not None:
                direction[:, :c, wiped] = 0
    semantic = np.empty((len(CLASSES) + 1, *grid.shape), np.uint8)
    np.not_equal(instance, 0, out=semantic[1:].view(bool))
    # No two classes are left in one cell: the wiped band is wider than the line that wipes.
    ids = instance[0] | instance[1] | instance[2]
    np.equal(ids, 0, out=semantic[0].view(bool))
    bins = None if direction is None else np.bitwise_or.reduce(direction, axis=1)
    return LabelRasters(semantic, ids, bins)


def direction_bins(steps: NDArray[np.integer]) -> NDArray[np.intp]:
    """Bin 1..36 of steps (..., 2) = (columns, rows): the nearest multiple of 10 degrees."""
    degrees = np.mod(np.degrees(np.arctan2(steps[..., 1], steps[..., 0])), 360)
    return (degrees * (DIRECTION_BINS / 360) + 0.5).astype(np.intp) % DIRECTION_BINS + 1


def _cell_lines(element: MapElement, grid: BevGrid) -> list[NDArray[np.int32]]:
    """(N, 2) cells (col, row) of the element's parts on the grid."""
    points = element.points_m[:, :2]
    low, high = points.min(0), points.max(0)
    (x0, x1), (y0, y1) = grid.x_range_m, grid.y_range_m
    inside = low[0] >= x0 and low[1] >= y0 and high[0] <= x1 and high[1] <= y1
    parts = [points] if inside else [piece.points_m for piece in clip_polylines([points], grid_range(grid))]
    lines = []
    for part in parts:
        cells = grid.cells_from_metres(part).astype(np.int32)
        moved = np.any(cells[1:] != cells[:-1], axis=1)
        if moved.any():
            lines.append(cells[np.concatenate([[True], moved])])
    return lines


def _draw_direction(canvas: NDArray[np.uint8], line: NDArray[np.int32], thickness: int) -> None:
    """Paints each segment with its bin, later ones over earlier ones; runs of one bin in one call."""
    bins = direction_bins(np.diff(line, axis=0))
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(bins)), strict=True):
        cv2.polylines(canvas, [line[start : end + 1]], False, int(bins[start]), thickness)
