"""A street map from above as an image."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.draw import CLASS_COLORS, RgbImage, put_text
from mapkd_core.types import MapElement

LONGEST_PX = 2000
MARGIN_M = 8.0
BACKGROUND, GRID_LINE, PATH, TEXT = (22, 24, 29), (36, 39, 46), (120, 124, 134), (232, 234, 238)
SHIFT = 4
"""Bits behind the point of OpenCV's drawing coordinates."""


def draw_street(
    elements: Sequence[MapElement], paths_m: Sequence[NDArray[np.floating]] = (), title: str = "",
    bounds_m: tuple[float, float, float, float] | None = None, longest_px: int = LONGEST_PX,
) -> RgbImage:
    """Elements in a map's frame, x to the right and y up, with a line every 50 m; `paths_m` (N, 2) where was driven.

    Shows the rectangle `bounds_m` (smallest x and y, largest x and y), by default all that there is.
    """
    x0, y0, x1, y1 = bounds_m or bounds_of(elements, paths_m)
    scale = min(longest_px / max(x1 - x0, y1 - y0, 1.0), 10.0)
    width, height = max(round((x1 - x0) * scale), 64), max(round((y1 - y0) * scale), 64)
    image: RgbImage = np.full((height, width, 3), BACKGROUND, np.uint8)

    def pixels(points: NDArray[np.floating]) -> NDArray[np.int32]:
        xy = np.column_stack([(points[:, 0] - x0) * scale, (y1 - points[:, 1]) * scale])
        return np.asarray(np.rint((xy - 0.5) * (1 << SHIFT)), np.int32)

    step = 50.0 * max(1, round(max(x1 - x0, y1 - y0) / 2000))
    for x in np.arange(np.ceil(x0 / step) * step, x1, step):
        cv2.polylines(image, [pixels(np.array([[x, y0], [x, y1]]))], False, GRID_LINE, 1, cv2.LINE_AA, SHIFT)
    for y in np.arange(np.ceil(y0 / step) * step, y1, step):
        cv2.polylines(image, [pixels(np.array([[x0, y], [x1, y]]))], False, GRID_LINE, 1, cv2.LINE_AA, SHIFT)
    ways = [pixels(np.asarray(path)) for path in paths_m if len(path) > 1]
    cv2.polylines(image, ways, False, PATH, max(round(0.3 * scale), 1), cv2.LINE_AA, SHIFT)
    thickness = max(round(0.35 * scale), 1)
    for element in sorted(elements, key=lambda e: (e.label != "ped_crossing", e.score)):
        color = CLASS_COLORS[element.label]
        points = pixels(element.points_m)
        if element.closed and element.label == "ped_crossing":
            layer = cv2.fillPoly(image.copy(), [points], color, cv2.LINE_AA, SHIFT)
            cv2.addWeighted(layer, 0.3, image, 0.7, 0, dst=image)
        share = 0.4 + 0.6 * float(np.clip(element.score, 0, 1))
        faint = tuple(round(b + (c - b) * share) for b, c in zip(BACKGROUND, color, strict=True))
        cv2.polylines(image, [points], False, faint, thickness, cv2.LINE_AA, SHIFT)
    if title:
        put_text(image, title, (12, 28), 18, TEXT)
    put_text(image, f"{step:.0f} m a square", (12, height - 12), 13, PATH)
    return image


def bounds_of(
    elements: Sequence[MapElement], paths_m: Sequence[NDArray[np.floating]] = ()
) -> tuple[float, float, float, float]:
    """The rectangle that holds all elements and the ways, with a margin."""
    places = [np.asarray(element.points_m)[:, :2] for element in elements]
    places += [np.asarray(path)[:, :2] for path in paths_m if len(path)]
    if not places:
        return -30.0, -30.0, 30.0, 30.0
    every = np.concatenate(places)
    (x0, y0), (x1, y1) = every.min(0) - MARGIN_M, every.max(0) + MARGIN_M
    return float(x0), float(y0), float(x1), float(y1)
