"""A byte layer of the ground that shapes in metres are drawn into."""
from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray


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
        return self.layer if kernel == 1 else np.asarray(cv2.blur(self.layer, (kernel, kernel)), np.uint8)


def cells_near(
    start_m: NDArray, end_m: NDArray, margin_m: ArrayLike, size: int, cell_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Segment, row and column of every cell of a raster with a centre closer than `margin_m` to one of N segments.

    Segments go from (N, 2) to (N, 2) metres; `margin_m` is one number or (N,). Some cells that are farther away are
    among them. A segment and its margin are followed cell by cell along x or y, whichever it goes along more.
    """
    start, end = (np.asarray(points) / cell_m + size / 2 - 0.5 for points in (start_m, end_m))  # of cells' centres
    margin = np.broadcast_to(np.asarray(margin_m) / cell_m, len(start))
    rows = np.arange(len(start))
    along = end - start
    major = (np.abs(along[:, 1]) > np.abs(along[:, 0])).astype(int)
    run, rise = along[rows, major], along[rows, 1 - major]
    slope = np.where(run == 0, 0.0, rise / np.where(run == 0, 1.0, run))
    reach = margin * np.sqrt(1 + slope * slope)
    base, side = start[rows, major], start[rows, 1 - major]
    low = np.clip(np.ceil(np.minimum(base, base + run) - margin), 0, size).astype(int)
    high = np.clip(np.floor(np.maximum(base, base + run) + margin) + 1, low, size).astype(int)
    line, main = _counted(low, high - low)
    middle = side[line] + slope[line] * (main - base[line])
    low = np.clip(np.ceil(middle - reach[line]), 0, size).astype(int)
    high = np.clip(np.floor(middle + reach[line]) + 1, low, size).astype(int)
    cell, other = _counted(low, high - low)
    segment, main = line[cell], main[cell]
    steep = major[segment] == 1
    return segment, np.where(steep, main, other), np.where(steep, other, main)


def _counted(first: NDArray[np.int64], count: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every i, `count[i]` numbers from `first[i]` on: the i of each, and the numbers."""
    which = np.repeat(np.arange(len(count)), count)
    return which, np.arange(len(which)) + (first - np.cumsum(count) + count)[which]
