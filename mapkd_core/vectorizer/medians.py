"""Narrow strips of land, such as medians: the curbs on both sides are drawn so near that they run together (ours)."""
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SURE = 0.9 * 255
_SURE_OCTAGON, _OCTAGON = (5, 2), (5, 4)
"""Nine and thirteen cells across (`_eroded`): they do not fit into a line, which is seven cells wide. A network that is
not sure where a line runs draws it wider; where it is not sure only what holds the larger one is a strip."""


def hollowed(
    label: NDArray[np.uint8], scores: NDArray[np.uint8], line_class: int, shortest: int, widest: int
) -> NDArray[np.uint8]:
    """`label` (Y, X) without the core of every part of `line_class` that is wider than a line for `shortest` cells.

    What is left of such a part is its rim, so that a curb that goes out along one side of a strip and comes back along
    the other is one line, not a bar that ends at a junction. Areas into which a square of `widest` cells fits are left
    alone. `scores` (4, Y, X) are 0..255. `label` itself stays as it is.
    """
    drawn = cv2.compare(label, line_class, cv2.CMP_EQ)
    sure = cv2.compare(scores[line_class], _SURE, cv2.CMP_GT)
    core = cv2.bitwise_or(_eroded(drawn, *_OCTAGON), _eroded(sure, *_SURE_OCTAGON))
    contours, _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    long = [c for c in contours if max(cv2.boundingRect(c)[2:]) >= shortest]
    if not long:
        return label
    area = cv2.erode(drawn, np.ones((widest, widest), np.uint8), borderValue=255)
    strips = [c for c in long if not _overlaps(c, area)]
    inside = cv2.bitwise_and(core, cv2.drawContours(np.zeros_like(core), strips, -1, 255, cv2.FILLED))
    return cv2.bitwise_and(label, cv2.bitwise_not(inside))


def _eroded(mask: NDArray[np.uint8], square: int, reach: int) -> NDArray[np.uint8]:
    """The cells of a mask round which an octagon fits, a `square` and `reach` cells more on each side.

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
