"""A byte layer of the ground that shapes in metres are drawn into."""
from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass
class GroundRaster:
    """(size, size) bytes over a square of ground centred on the world's origin; rows along y, columns along x."""

    size: int
    cell_m: float
    value: int = 0
    """What the layer is filled with at first."""
    layer: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.layer = np.full((self.size, self.size), self.value, np.uint8)

    def _pixels(self, points_m: NDArray) -> NDArray[np.int32]:
        """OpenCV's fixed-point pixels, in which (0, 0) is the centre of the first cell."""
        return np.round(((points_m / self.cell_m) + self.size / 2 - 0.5) * 16).astype(np.int32)

    def fill(self, outlines_m: list[NDArray], value: int, smooth: bool = False) -> None:
        """Fills polygons (N, 2); of several, the overlaps of an even number stay free."""
        if outlines_m:
            pixels = [self._pixels(outline) for outline in outlines_m]
            cv2.fillPoly(self.layer, pixels, (value,), cv2.LINE_AA if smooth else cv2.LINE_8, 4)

    def line(self, points_m: NDArray, value: int, width_m: float = 0.0) -> None:
        """Draws a line through (N, 2) points, at least a cell wide."""
        width = max(int(width_m / self.cell_m), 1)
        cv2.polylines(self.layer, [self._pixels(points_m)], False, (value,), width, cv2.LINE_8, 4)

    def disc(self, centre_m: NDArray, radius_m: float, value: int) -> None:
        """Fills a circle."""
        x, y = self._pixels(centre_m).tolist()
        cv2.circle(self.layer, (x, y), int(radius_m / self.cell_m * 16), (value,), -1, cv2.LINE_AA, 4)

    def blurred(self, width_m: float) -> NDArray[np.uint8]:
        """The layer averaged over a square of about `width_m`."""
        kernel = max(int(width_m / self.cell_m) | 1, 1)
        return np.asarray(cv2.blur(self.layer, (kernel, kernel)), np.uint8)


def tiled(tile: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(size, size) of repeated tiles."""
    repeats = -(-size // tile.shape[0])
    return np.ascontiguousarray(np.tile(tile, (repeats, repeats))[:size, :size])


def product(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Product of two layers in which 255 means one."""
    return np.asarray(cv2.multiply(a, b, scale=1 / 255), np.uint8)
