"""Distances on rasters that are the same bits whatever else the machine and the process do."""
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def distance_cells(free: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(rows, cols) distance, in cells, from every cell of `free` that is not zero to the nearest cell that is.

    OpenCV takes another code on one thread than on several; on Intel CPUs that code's last bits depend on where in
    memory the raster lies, so the same simulated world came out in two versions. The square of a distance between
    cells is a whole number, which puts both right (up to 1400 cells, where a float32 can no longer tell them apart).
    Without any zero cell every distance is infinite. Source: ours.
    """
    if free.all():
        return np.full(free.shape, np.inf, np.float32)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.sqrt(np.rint(np.square(distance))), np.float32)
