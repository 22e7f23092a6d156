"""Predicted lines against what masks of the images show: dividers on paint, boundaries at the road's edge; no map."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.metrics.crossings import closed_line
from mapkd_core.metrics.line_places import LINE_THRESHOLDS_M, LinePlaces
from mapkd_core.metrics.seen_ground import SeenGround, distance_to_m
from mapkd_core.types import CLASSES, MapElement


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Of one frame or several; what lies where the masks know nothing is left out everywhere."""

    predicted_m: NDArray[np.float64]
    """(classes,) metres of predicted lines."""
    right_m: NDArray[np.float64]
    """(classes, thresholds): dividers and crossings as far as paint lies within the threshold, boundaries the edge."""
    false_m: NDArray[np.float64]
    """(classes,) metres with neither paint nor edge within the largest threshold."""
    seen: NDArray[np.float64]
    """(2,) cells of paint, and of edge."""
    found: NDArray[np.float64]
    """(2, thresholds) cells of paint with a divider, and of edge with a boundary within the threshold."""
    crossings: int
    """Predicted crossings of which a part is in the known."""
    frames: int = 1

    def __add__(self, other: ImageCounts) -> ImageCounts:
        return ImageCounts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values; None where there is nothing to divide by."""

        def shares(part: NDArray[np.float64], whole: float) -> dict[str, float | None]:
            return {f"{t:g}": float(v / whole) if whole else None for t, v in zip(LINE_THRESHOLDS_M, part, strict=True)}

        return {
            "frames": self.frames,
            "crossings_a_frame": self.crossings / self.frames,
            "recall": {
                label: shares(self.found[k], float(self.seen[k])) for k, label in enumerate(("divider", "boundary"))
            },
            "precision": {
                label: shares(self.right_m[c], float(self.predicted_m[c])) for c, label in enumerate(CLASSES)
            },
            "predicted_m_a_frame": {c: float(m / self.frames) for c, m in zip(CLASSES, self.predicted_m, strict=True)},
            "false_m_a_frame": {c: float(m / self.frames) for c, m in zip(CLASSES, self.false_m, strict=True)},
        }


def image_agreement(predicted: Sequence[MapElement], ground: SeenGround) -> ImageCounts:
    """Counts of one frame's predicted lines against what its masks show on the ground (ours)."""
    grid = ground.grid()
    to_paint, to_edge = distance_to_m(ground.paint), distance_to_m(ground.edge)
    thresholds = np.array(LINE_THRESHOLDS_M)
    whole, false, right = np.zeros(len(CLASSES)), np.zeros(len(CLASSES)), np.zeros((len(CLASSES), len(thresholds)))
    for c, label in enumerate(CLASSES):
        places = LinePlaces.of(predicted, label)
        length, paint, edge = _known(places, ground, to_paint, to_edge)
        whole[c] = length.sum()
        right[c] = length @ ((edge if label == "boundary" else paint)[:, None] <= thresholds)
        false[c] = length[np.minimum(edge, paint) > thresholds[-1]].sum()
    seen, found = np.zeros(2), np.zeros((2, len(thresholds)))
    for k, (label, cells) in enumerate((("divider", ground.paint), ("boundary", ground.edge))):
        distance = distance_to_m(_drawn(predicted, label))[cells]
        seen[k], found[k] = len(distance), (distance[:, None] <= thresholds).sum(0)
    crossings = [e for e in predicted if e.label == "ped_crossing"]
    near = sum(bool(ground.known[_cells(closed_line(e)[grid.contains(closed_line(e))])].any()) for e in crossings)
    return ImageCounts(whole, right, false, seen, found, near)


def _known(
    places: LinePlaces, ground: SeenGround, *fields: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Lengths of the places that the masks know, and the fields' values there."""
    inside = ground.grid().contains(places.points_m)
    rows, cols = _cells(places.points_m[inside])
    known = ground.known[rows, cols]
    return places.length_m[inside][known], *(values[rows, cols][known] for values in fields)


def _cells(points_m: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of points on the grid."""
    at = np.floor(SeenGround.grid().cells_from_metres(points_m)).astype(np.intp)
    return at[..., 1], at[..., 0]


def _drawn(elements: Sequence[MapElement], label: str) -> NDArray[np.bool_]:
    """(rows, cols) cells under the lines of a class."""
    grid = SeenGround.grid()
    canvas = np.zeros(grid.shape, np.uint8)
    for element in elements:
        if element.label == label:
            fixed = ((grid.cells_from_metres(closed_line(element)) - 0.5) * 16).round().astype(np.int32)
            cv2.polylines(canvas, [fixed], False, 1, 1, cv2.LINE_8, 4)
    return canvas > 0
