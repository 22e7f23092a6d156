"""A camera's image with the map and the horizon drawn in: what lies beside the paint shows a wrong calibration."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CameraModel, Tables
from mapkd_core.cameras.straight_image import straight_image
from mapkd_core.data.images import decode
from mapkd_core.draw import draw_on_camera, put_text
from mapkd_core.geometry import inverse, project, scale_intrinsics
from mapkd_core.types import MapElement

HORIZON_RGB = (255, 64, 160)
_ASIDE = np.radians(np.arange(-90.0, 90.1, 0.5))
"""Azimuths from the optical axis."""
_AHEAD = 0.2
"""Least share of a ray's length along the optical axis: nearer to 90 degrees off it, pixels run to infinity."""


def overlay(
    source: memoryview | NDArray[np.uint8],
    model: CameraModel,
    base_from_camera: NDArray[np.float64],
    elements: Sequence[MapElement],
    width: int,
    tables: Tables,
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of an image (JPEG or PNG bytes, or pixels), undistorted and at most `width` wide, with its map.

    `base_from_camera` (4, 4) is that of the image's axes. Raises ValueError for an image that cannot be decoded.
    """
    width = min(width, model.size[0])
    size = (width, round(width * model.size[1] / model.size[0]))
    straight, _, _ = straight_image(source, model, size, tables, [])
    pixels = decode(straight, size) if isinstance(straight, memoryview) else straight
    pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    k = scale_intrinsics(model.intrinsics, size[0] / model.size[0], size[1] / model.size[1])
    drawn = draw_on_camera(pixels, k, base_from_camera, elements)
    _draw_horizon(drawn, k, base_from_camera)
    return drawn


def horizon(intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]) -> NDArray[np.float64]:
    """Line (P, 2) in pixels on which everything lies that is as high as the camera: where a flat ground would end."""
    x, y, _ = base_from_camera[:3, 2]
    azimuths = np.arctan2(y, x) + _ASIDE
    rays = np.stack([np.cos(azimuths), np.sin(azimuths), np.zeros_like(azimuths)], 1)
    rays = rays @ inverse(base_from_camera)[:3, :3].T
    pixels, _ = project(rays[rays[:, 2] > _AHEAD], intrinsics)
    return pixels


def _draw_horizon(
    image: NDArray[np.uint8], intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]
) -> None:
    line = horizon(intrinsics, base_from_camera)
    fixed = np.clip(line * 16, -(1 << 24), 1 << 24).round().astype(np.int32)
    cv2.polylines(image, [fixed], False, HORIZON_RGB, 1, cv2.LINE_AA, 4)
    inside = line[((line >= 0) & (line < (image.shape[1], image.shape[0]))).all(1)]
    if len(inside):
        left, top = inside[np.argmin(inside[:, 0])]
        put_text(image, "horizon", (int(left) + 6, int(top) - 6), 12, HORIZON_RGB)
