"""The kernel view's look-up with NumPy: what a graph of MapTR takes beside the images, on a machine without PyTorch.

model/kernel_attention.py gathers a ragged table, for which graphs have no operator. MapTR's feature maps are small
(nano: 360 pixels of all six cameras), so that a graph takes the view as a dense matrix: cells from feature pixels.

Legend: N cameras, K cells, Z heights, S pixels of a kernel, h w feature map.
"""
from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.model.plane_points import plane_points
from mapkd_core.model.vector_config import RESNET_STRIDE, VectorConfig

KERNEL_NOTE = "kernel_weights"
"""Key of a graph's metadata: the weights of each cell's kernels, K Z S float32 in base64."""
MOST_VIEW_BYTES = 64 << 20
"""Of the dense view; MapTR-tiny's would have 720 MB."""
_LEAST_DEPTH_M = 1e-5
_PUBLISHED_IMAGE_SIZE = (1600, 900)


class KernelTables:
    """Views of one vector student; `weights` of a graph's note must be set before the first."""

    inputs = ("view",)

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: VectorConfig) -> None:
        self.image_size, self.config = image_size, config
        self.plane = plane_points(grid, config.bev_cell_m, config.heights_m, config.frame)
        self.padded = tuple(-(-side // RESNET_STRIDE) * RESNET_STRIDE for side in image_size)
        self.feature_size = (self.padded[1] // RESNET_STRIDE, self.padded[0] // RESNET_STRIDE)
        rows, cols = config.kernel_rows, config.kernel_cols
        self.offsets = np.array([(col - cols // 2, row - rows // 2) for col in range(cols) for row in range(rows)])
        self.weights: NDArray[np.float32] | None = None

    def bytes(self, cameras: int) -> int:
        """Of a view."""
        height, width = self.feature_size
        return 4 * cameras * height * width * self.plane.points_m.shape[0] * self.plane.points_m.shape[1]

    def table(
        self,
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32]]:
        """(Z, K, N h w): how much of each feature pixel a cell takes at each height, for (N, 3, 3) and (N, 4, 4).

        A camera of which nothing is `visible` (N, H, W) gives nothing.
        """
        assert self.weights is not None, "a graph's note gives the weights"
        height, width = self.feature_size
        place, seen = self.projected(intrinsics.astype(np.float32), base_from_camera.astype(np.float32))
        if visible is not None:
            seen &= np.any(visible.reshape(len(visible), -1), axis=1, keepdims=True)
        share = seen / np.maximum(seen.sum(0), 1)                                       # N K
        camera, cell = np.nonzero(seen)
        size = np.array([width, height], np.float32)
        at = np.rint(np.clip(place[camera, cell] * size, -1e6, 1e6)).astype(np.int64)   # . Z 2
        kernel = np.clip(at[:, :, None] + self.offsets, 0, size.astype(np.int64) - 1)   # . Z S 2
        pixel = (camera[:, None, None] * height + kernel[..., 1]) * width + kernel[..., 0]
        heights, cells, pixels = at.shape[1], seen.shape[1], len(intrinsics) * height * width
        row = np.arange(heights)[:, None] * cells + cell[:, None, None]                 # . Z 1
        taken = self.weights[cell] * share[camera, cell][:, None, None]                 # . Z S
        view = np.bincount((row * pixels + pixel).ravel(), taken.ravel(), heights * cells * pixels)
        return (view.reshape(heights, cells, pixels).astype(np.float32),)

    def projected(
        self, intrinsics: NDArray[np.float32], base_from_camera: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Where the cells' points fall, (N, K, Z, 2) in 0..1 of the padded images, and who sees a cell, (N, K)."""
        if self.config.published:  # see model/ray_points.published_intrinsics
            offset = np.zeros((3, 3), np.float32)
            for axis, (size, full) in enumerate(zip(self.image_size, _PUBLISHED_IMAGE_SIZE, strict=True)):
                offset[axis, 2] = 0.5 - 0.5 * size / full
            intrinsics = intrinsics + offset
        rotation = base_from_camera[:, :3, :3].transpose(0, 2, 1)
        camera_from_base = np.concatenate([rotation, -rotation @ base_from_camera[:, :3, 3:]], -1)      # N 3 4
        matrix = intrinsics @ camera_from_base @ self.plane.base_from_plane.astype(np.float32)          # N 3 4
        flat = self.plane.points_m.astype(np.float32).reshape(-1, 3)
        image = flat @ matrix[..., :3].transpose(0, 2, 1) + matrix[:, None, :, 3]                       # N KZ 3
        depth = image[..., 2:]
        place = image[..., :2] / np.maximum(depth, np.float32(_LEAST_DEPTH_M)) / np.array(self.padded, np.float32)
        inside = (depth[..., 0] > _LEAST_DEPTH_M) & (place > 0).all(-1) & (place < 1).all(-1)
        shape = (len(intrinsics), *self.plane.points_m.shape[:2])
        return place.reshape(*shape, 2), inside.reshape(shape).any(-1)

    def note(self, weights: NDArray[np.float32]) -> str:
        """K Z S as a graph's metadata hold them."""
        return base64.b64encode(np.ascontiguousarray(weights, "<f4").tobytes()).decode()

    def take(self, note: str) -> None:
        """Sets `weights` from a graph's metadata; raises ValueError for what does not fit."""
        shape = (*self.plane.points_m.shape[:2], len(self.offsets))
        try:
            self.weights = np.frombuffer(base64.b64decode(note, validate=True), "<f4").reshape(shape)
        except ValueError:
            raise ValueError(f"the graph's {KERNEL_NOTE} are not of {shape}, as its card has them") from None
