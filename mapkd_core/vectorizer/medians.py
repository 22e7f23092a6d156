"""Narrow strips of land such as medians, whose two curbs are drawn so near that they run together (ours)."""
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_CELLS
from mapkd_core.vectorizer.evidence import BOUNDARY, Evidence

_CERTAIN = 0.9 * 255
"""A boundary more probable than this is drawn as wide as it is; a less certain one is drawn wider."""
_CERTAIN_OCTAGON, _OCTAGON = (LINE_CELLS - 2, 2), (LINE_CELLS - 2, 4)
"""Square and reach, as `_eroded` takes them: two cells more than a line's width across where the network is certain,
else six more. Neither fits into a line."""


def hollow_medians(evidence: Evidence, shortest_cells: int, widest_cells: int) -> NDArray[np.uint8]:
    """The class map (Y, X) without the core of every boundary region that is wider than a line.

    What is left of such a region is its rim, so that a curb that goes out along one side of a median and comes back
    along the other is one line, not a bar that ends at a junction. The core must be at least `shortest_cells` long;
    regions into which a square of `widest_cells` fits are left alone. The evidence itself stays as it is.
    """
    class_map = evidence.class_map
    drawn = cv2.compare(class_map, BOUNDARY, cv2.CMP_EQ)
    certain = cv2.compare(evidence.probability[BOUNDARY], _CERTAIN, cv2.CMP_GT)
    core = cv2.bitwise_or(_eroded(drawn, *_OCTAGON), _eroded(certain, *_CERTAIN_OCTAGON))
    contours, _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    long = [c for c in contours if max(cv2.boundingRect(c)[2:]) >= shortest_cells]
    if not long:
        return class_map
    wide = cv2.erode(drawn, np.ones((widest_cells, widest_cells), np.uint8), borderValue=255)
    medians = [c for c in long if not _overlaps(c, wide)]
    inside = cv2.bitwise_and(core, cv2.drawContours(np.zeros_like(core), medians, -1, 255, cv2.FILLED))
    return cv2.bitwise_and(class_map, cv2.bitwise_not(inside))


def _eroded(mask: NDArray[np.uint8], square: int, reach: int) -> NDArray[np.uint8]:
    """The cells of a mask round which an octagon fits: a square of `square` cells, `reach` cells more on each side.

    Beyond the image everything is in the mask.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    smaller = cv2.erode(mask, np.ones((square, square), np.uint8), borderValue=255)
    return cv2.erode(smaller, cross, iterations=reach, borderValue=255)


def _overlaps(contour: NDArray[np.int32], mask: NDArray[np.uint8]) -> bool:
    """Whether any cell of a mask lies inside a contour or on it."""
    left, top, width, height = cv2.boundingRect(contour)
    window = mask[top : top + height, left : left + width]
    if not window.any():
        return False
    inside = cv2.drawContours(np.zeros((height, width), np.uint8), [contour - (left, top)], 0, 255, cv2.FILLED)
    return bool((inside & window).any())
