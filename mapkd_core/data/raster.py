"""Map elements drawn onto the grid: semantic, instance and direction targets with HDMapNet's drawing rules.

A vertex falls into the cell that holds it (truncation), lines are drawn with OpenCV's thickness LINE_THICKNESS (which
covers LINE_CELLS across a line along an axis), a line's instance id counts over all classes, and a later class wipes
the earlier ones along its lines drawn with OVERLAP_THICKNESS (HDMapNet, arXiv 2107.06307, `data/rasterize.py`).
Y X are the grid's rows and columns.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.labels import grid_range
from mapkd_core.data.polylines import clip_polylines
from mapkd_core.grid import LINE_THICKNESS, OVERLAP_THICKNESS, BevGrid
from mapkd_core.types import CLASS_IDS, CLASSES, DIRECTION_BINS, MapElement


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
    elements: Sequence[MapElement], grid: BevGrid, with_direction: bool = True
) -> LabelRasters:
    """Draws elements, class by class in the order of CLASSES and within a class in the order given.

    A line that leaves the grid is drawn in its parts, all with one id. A part inside one cell draws nothing.
    """
    lines = _cell_lines(elements, grid)
    # One canvas serves all classes: a class first wipes the earlier ones along its lines, then draws itself. Bytes
    # are drawn twice as fast as wider cells, and more than 255 lines on one grid are rare.
    wide = lines[-1].number > 255 if lines else False
    ids: NDArray[np.integer] = np.zeros(grid.shape, np.int16 if wide else np.uint8)  # Y X
    direction = np.zeros((2, *grid.shape), np.uint8) if with_direction else None  # 2 Y X
    class_of_id = np.zeros(lines[-1].number + 1 if lines else 1, np.uint8)
    for class_id in CLASS_IDS.values():
        mine = [line for line in lines if line.class_id == class_id]
        if class_id > 1 and mine:
            for canvas in (ids, *(direction if direction is not None else ())):
                cv2.polylines(canvas, [line.cells for line in mine], False, (0,), OVERLAP_THICKNESS)
        for line in mine:
            class_of_id[line.number] = class_id
            cv2.polylines(ids, [line.cells], False, (line.number,), LINE_THICKNESS)
            if direction is not None:
                _draw_bins(direction[0], line.cells, direction_bins(line.steps))
                _draw_bins(direction[1], line.cells[::-1], direction_bins(-line.steps[::-1]))
    channel = class_of_id[ids]
    semantic = (channel[None] == np.arange(len(CLASSES) + 1, dtype=np.uint8)[:, None, None]).view(np.uint8)
    return LabelRasters(semantic, ids.astype(np.int16, copy=False), direction)


def direction_bins(steps: NDArray[np.integer]) -> NDArray[np.intp]:
    """Bin 1..36 of steps (..., 2) = (columns, rows): the nearest multiple of 10 degrees."""
    degrees = np.mod(np.degrees(np.arctan2(steps[..., 1], steps[..., 0])), 360)
    return (degrees * (DIRECTION_BINS / 360) + 0.5).astype(np.intp) % DIRECTION_BINS + 1


@dataclass(frozen=True, eq=False)
class _CellLine:
    """A line in cells (N, 2) as (col, row), without repeats, and the steps (N - 1, 2) between them."""

    class_id: int
    number: int
    cells: NDArray[np.int32]
    steps: NDArray[np.int32]


def _cell_lines(elements: Sequence[MapElement], grid: BevGrid) -> list[_CellLine]:
    """The parts of all elements on the grid, numbered 1, 2, ... by element, ordered by class."""
    ordered = [element for label in CLASSES for element in elements if element.label == label]
    pieces = clip_polylines([element.points_m[:, :2] for element in ordered], grid_range(grid))
    if not pieces:
        return []
    cells = grid.cells_from_metres(np.concatenate([piece.points_m for piece in pieces])).astype(np.int32)
    lines: list[_CellLine] = []
    start, number, last_element = 0, 0, -1
    for piece in pieces:
        own = cells[start : start + len(piece.points_m)]
        start += len(own)
        steps = own[1:] - own[:-1]
        moved = steps.any(axis=1)
        if not moved.all():
            if not moved.any():
                continue
            own, steps = own[np.concatenate([[True], moved])], steps[moved]
        number += piece.line != last_element
        last_element = piece.line
        lines.append(_CellLine(CLASS_IDS[ordered[piece.line].label], number, own, steps))
    return lines


def _draw_bins(canvas: NDArray[np.uint8], cells: NDArray[np.int32], bins: NDArray[np.intp]) -> None:
    """Paints each segment with its bin, later ones over earlier ones; neighbours with one bin in one call."""
    start = 0
    for end in (*(np.flatnonzero(bins[1:] != bins[:-1]) + 1), len(bins)):
        cv2.polylines(canvas, [cells[start : end + 1]], False, (int(bins[start]),), LINE_THICKNESS)
        start = end
