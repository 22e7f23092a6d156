"""The student's look-up with NumPy: what ONNX Runtime's graph takes beside the images, on a machine without PyTorch.

The same table as model/pillar_sampling.py's, which says what it is for; there it is computed for batches and on GPUs.

Legend: N cameras, Z heights, K = rows * cols * Z samples.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.model.image_size import feature_size
from mapkd_core.model.pillar_points import MIN_DEPTH_M, pillar_points_m
from mapkd_core.model.student_config import TRUNK_STRIDE, StudentConfig

Table = tuple[NDArray[np.int64], NDArray[np.float32]]
"""(K, 4) neighbouring feature pixels of each sample, among the N * h * w of all cameras, and their bilinear weights."""


class PillarTables:
    """Tables of one student; raises ValueError for a student whose view is not made of pillars."""

    inputs = ("pixel", "weight")

    def __init__(
        self, grid: BevGrid, image_size: tuple[int, int], config: StudentConfig, stride: int = TRUNK_STRIDE
    ) -> None:
        """`stride` of the image features."""
        if config.view != "pillars":
            raise ValueError(f"view {config.view!r} does not run from a graph; expected a student's view 'pillars'")
        self.image_size, self.feature_size = image_size, feature_size(image_size, stride)
        self._points = pillar_points_m(grid.scaled(config.bev_factor), config.heights_m).T                  # 3 K

    def table(
        self,
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> Table:
        """Where each sample falls, for calibrations (N, 3, 3), of images of the network's size, and (N, 4, 4).

        `visible` (N, H, W) is False in pixels of the images that show nothing of the road.
        """
        k, pose = intrinsics.astype(np.float32), base_from_camera.astype(np.float32)
        rotation, offset = pose[:, :3, :3].transpose(0, 2, 1), pose[:, :3, 3:]
        points = rotation @ (self._points - offset)                                     # N 3 K
        depth = points[:, 2]                                                            # N K
        pixels = (k @ points)[:, :2] / np.maximum(depth, MIN_DEPTH_M)[:, None]          # N 2 K
        width, height = self.feature_size
        u = (pixels[:, 0] + 0.5) * (width / self.image_size[0]) - 0.5                   # N K
        v = (pixels[:, 1] + 0.5) * (height / self.image_size[1]) - 0.5
        inside = np.minimum(
            np.minimum(u + 0.5, width - 0.5 - u) / width, np.minimum(v + 0.5, height - 0.5 - v) / height
        )
        inside[depth <= MIN_DEPTH_M] = -1
        if visible is not None:
            inside[~_at_pixels(visible, pixels)] = -1
        camera = inside.argmax(0)                                                       # K
        best = camera, np.arange(len(camera))
        u, v, seen = u[best].clip(0, width - 1), v[best].clip(0, height - 1), inside[best] > 0
        u0, v0 = np.floor(u).clip(max=width - 2), np.floor(v).clip(max=height - 2)
        du, dv = u - u0, v - v0
        corner = (camera * height + v0.astype(np.int64)) * width + u0.astype(np.int64)
        pixel = np.stack([corner, corner + 1, corner + width, corner + width + 1], -1)  # K 4
        weight = np.stack([(1 - du) * (1 - dv), du * (1 - dv), (1 - du) * dv, du * dv], -1)
        return pixel, weight * seen[:, None]


def _at_pixels(visible: NDArray[np.bool_], pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What `visible` (N, H, W) says at the pixels (N, 2, K) nearest to these; outside the image, at its border."""
    height, width = visible.shape[-2:]
    col = np.rint(pixels[:, 0]).clip(0, width - 1).astype(np.int64)
    row = np.rint(pixels[:, 1]).clip(0, height - 1).astype(np.int64)
    return np.asarray(visible[np.arange(len(visible))[:, None], row, col], bool)        # N K
