"""Which camera sees a point best, as the view transform of the networks chooses: the one with most image around it."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import apply, inverse, project

MIN_DEPTH_M = 0.1


def best_camera(
    points_m: NDArray[np.float64],
    intrinsics: Sequence[NDArray[np.float64]],
    base_from_camera: Sequence[NDArray[np.float64]],
    sizes: Sequence[tuple[int, int]],
    masks: Sequence[NDArray[np.bool_] | None] | None = None,
) -> NDArray[np.intp]:
    """Place of the camera in whose image each point (P, 3) of the vehicle's frame lies farthest from the border.

    -1 where none sees it. `sizes` are (width, height) of the images that `intrinsics` hold for; `masks` (h, w), of any
    size, are False where a camera sees its own vehicle.
    """
    margins = np.empty((len(sizes), len(points_m)))
    for place, size in enumerate(sizes):
        pixels, depth = project(apply(inverse(base_from_camera[place]), points_m), intrinsics[place])
        share = (np.minimum(pixels + 0.5, np.subtract(size, 0.5) - pixels) / size).min(1)
        sees = (depth > MIN_DEPTH_M) & (share > 0)
        mask = masks[place] if masks is not None else None
        if mask is not None:
            col, row = (pixels[sees] * (np.array(mask.shape[::-1]) / size)).astype(int).T
            sees[sees] = mask[row.clip(0, mask.shape[0] - 1), col.clip(0, mask.shape[1] - 1)]
        margins[place] = np.where(sees, share, -1.0)
    return np.where(margins.max(0) > 0, margins.argmax(0), -1)
