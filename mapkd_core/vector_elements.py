"""Map elements of a network that predicts vertices: no vectorizer, and a raster drawn where one is asked for."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_THICKNESS, BevGrid
from mapkd_core.types import CLASS_IDS, CLASSES, MapElement

MOST_ELEMENTS = 50
"""Of one map, as in MapTR (arXiv 2208.14437): an element may come under several classes."""
LEAST_SCORE = 0.3
"""On the vehicle, below this an element is not shown unless the card has a least score of its own; AP keeps all."""
_SAME_POINT_M = 1e-3


def elements_of(
    scores: NDArray[np.float32], points_m: NDArray[np.float32], least_score: float = 0.0
) -> list[MapElement]:
    """The best elements, best first, of scores (V, 3) and vertices (V, P, 2) in `base_link`; crossings become rings."""
    flat = scores.reshape(-1)
    best = np.argsort(-flat, kind="stable")[:MOST_ELEMENTS]
    elements = []
    for place in best[flat[best] >= least_score]:
        vector, label = divmod(int(place), len(CLASSES))
        line, closed = points_m[vector].astype(np.float32), CLASSES[label] == "ped_crossing"
        if closed:
            last = line[:-1] if np.abs(line[0] - line[-1]).max() < _SAME_POINT_M else line
            line = np.concatenate([last, line[:1]])
        elements.append(MapElement(CLASSES[label], line, float(flat[place]), closed))
    return elements


def drawn(elements: Sequence[MapElement], grid: BevGrid) -> NDArray[np.float32]:
    """(4, Y, X): along its lines, a class has its best element's score; background has what the best class lacks."""
    planes = np.zeros((1 + len(CLASSES), *grid.shape), np.float32)
    for element in sorted(elements, key=lambda element: element.score):
        cells = np.round(grid.cells_from_metres(element.points_m) - 0.5).astype(np.int32)
        plane = planes[CLASS_IDS[element.label]]
        cv2.polylines(plane, [cells], False, (element.score,), LINE_THICKNESS)
    planes[0] = 1 - planes[1:].max(0)
    return planes
