"""An image of plain patches, and the same as a Bayer mosaic."""
from __future__ import annotations

import numpy as np

PALETTE = np.array([[200, 40, 60], [30, 180, 90], [60, 70, 210], [128, 128, 128]], np.uint8)
RGB = np.repeat(np.repeat(PALETTE.reshape(2, 2, 3), 12, 0), 16, 1)
"""(24, 32, 3): four plain patches, which survive shared colours and demosaicing."""


def mosaic(order: str) -> np.ndarray:
    """(24, 32) with one colour a pixel, in the order of a 2 x 2 block's letters."""
    values = np.empty(RGB.shape[:2], np.uint8)
    for at, letter in enumerate(order):
        rows, cols = slice(at // 2, None, 2), slice(at % 2, None, 2)
        values[rows, cols] = RGB[rows, cols, "rgb".index(letter)]
    return values
