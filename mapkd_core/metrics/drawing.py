"""Draws vector lines as instances on the grid, the first step of HDMapNet's and P-MapNet's average precision."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, box
from shapely.geometry.base import BaseGeometry

from mapkd_core.grid import LINE_THICKNESS, BevGrid
from mapkd_core.metrics.crossings import closed_line
from mapkd_core.types import CLASSES, MapElement


@dataclass(frozen=True, eq=False)
class Drawing:
    """Instances of all classes on the grid."""

    ids: NDArray[np.integer]
    """(classes, rows, cols); 0 is nothing, ids count over all classes from 1."""
    confidence: NDArray[np.float32]
    """Confidence of each id, slot 0 unused; an id beyond its end has -1."""

    def confidence_of(self, identity: int) -> float:
        """Confidence of one id."""
        return float(self.confidence[identity]) if identity < len(self.confidence) else -1.0


def draw(
    elements: Iterable[MapElement], grid: BevGrid, thickness: int = LINE_THICKNESS, one_id_per_line: bool = False
) -> Drawing:
    """Draws elements as lines of `thickness` cells; a later line overwrites an earlier one of its class.

    The compatible form repeats HDMapNet's evaluator: a line that leaves the grid or crosses itself is cut into pieces
    and every piece gets an id of its own although only one confidence is noted, so that later ids read a neighbour's
    confidence and the last ones none; ids stop at 255. `one_id_per_line` gives all pieces of a line one id.
    Source: HDMapNet (github, `rasterize.py`), behaviour restated.
    """
    per_class: list[list[MapElement]] = [[] for _ in CLASSES]
    for element in elements:
        per_class[CLASSES.index(element.label)].append(element)
    ids: NDArray[np.integer] = np.zeros((len(CLASSES), *grid.shape), np.int32 if one_id_per_line else np.uint8)
    confidence = [-1.0]
    identity = 1
    for channel, members in enumerate(per_class):
        for element, parts in zip(members, _clip([closed_line(e) for e in members], grid), strict=True):
            if not parts:
                continue
            if not one_id_per_line:
                confidence.append(element.score)
            drawn = False
            for part in parts:
                if len(part) < 2:  # touches the grid in one point
                    continue
                cv2.polylines(ids[channel], [part], False, identity, thickness)  # type: ignore[call-overload]
                drawn = True
                if not one_id_per_line:
                    identity += 1
            if one_id_per_line and drawn:
                confidence.append(element.score)
                identity += 1
    return Drawing(ids, np.array(confidence, np.float32))


def instances(canvas: NDArray[np.integer]) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]:
    """(id, rows, cols) of every instance on one canvas (rows, cols), ids ascending, pixels row by row."""
    rows, cols = np.nonzero(canvas)
    found = canvas[rows, cols]
    order = np.argsort(found, kind="stable")
    starts = np.nonzero(np.diff(found[order], prepend=0))[0]
    for start, end in zip(starts, np.append(starts, len(order))[1:], strict=True):
        chosen = order[start:end]
        yield int(found[chosen[0]]), rows[chosen].astype(np.int32), cols[chosen].astype(np.int32)


def _clip(lines: Sequence[NDArray[np.float64]], grid: BevGrid) -> list[list[NDArray[np.int32]]]:
    """Each line's pieces inside the grid as truncated (col, row) cells; no piece where the line misses the grid.

    By an intersection, and not by data.polylines, because that also cuts a line where it crosses itself: the pieces
    are instances in the papers' numbers.
    """
    if not lines:
        return []
    patch = box(grid.x_range_m[0], grid.y_range_m[0], grid.x_range_m[1], grid.y_range_m[1])
    clipped = shapely.intersection(np.array([LineString(line) for line in lines], object), patch)
    return [[_cells(part, grid) for part in _parts(geometry)] for geometry in clipped]


def _parts(geometry: BaseGeometry) -> list[BaseGeometry]:
    if geometry.is_empty:
        return []
    parts = list(geometry.geoms) if hasattr(geometry, "geoms") else [geometry]
    return [part for part in parts if part.geom_type in ("LineString", "Point")]


def _cells(part: BaseGeometry, grid: BevGrid) -> NDArray[np.int32]:
    # Shift, then scale by cells per metre: the order of operations decides which side of a cell edge a point falls on.
    coords = np.asarray(part.coords)[:, :2]
    scale = np.array([grid.cols / (grid.x_range_m[1] - grid.x_range_m[0]),
                      grid.rows / (grid.y_range_m[1] - grid.y_range_m[0])])
    return np.asarray((coords - [grid.x_range_m[0], grid.y_range_m[0]]) * scale).astype(np.int32)
