"""The points in space at which a student's cells look into the images; without PyTorch."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

MIN_DEPTH_M = 0.5
"""A camera does not see what is nearer than this along its optical axis."""


def pillar_points_m(grid: BevGrid, heights_m: Sequence[float]) -> NDArray[np.float32]:
    """(K, 3) points in `base_link`, K = rows * cols * heights: every cell's centre at every height."""
    centres = grid.cell_centres_m().astype(np.float32)                                  # Y X 2
    # Heights run fastest, so that what is gathered lies in memory as a channels-last BEV map already.
    points = [np.concatenate([centres, np.full_like(centres[..., :1], z)], -1) for z in heights_m]
    return np.stack(points, -2).reshape(-1, 3)                                          # K 3
