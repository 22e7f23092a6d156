"""Labelled lines drawn into the cameras' views: where a network should see paint and the road's edge in its images."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_masks import LINES
from mapkd_core.data.sample import TARGET_STRIDE, Sample
from mapkd_core.geometry import apply, distances_along, evenly_spaced, inverse, project, scale_intrinsics
from mapkd_core.types import MapElement

FAR_M = 30.0
"""Lines farther from the vehicle are not drawn: they are thinner than a cell there."""
_STEP_M = 0.5
_LEAST_DEPTH_M = 0.5
_FARTHEST = 4096.0
"""Pixels from the image's corner: what is farther is not drawn."""
_CHANNELS = {"divider": LINES.index("paint"), "boundary": LINES.index("edge")}


def line_views(sample: Sample) -> NDArray[np.float32]:
    """(N, 2, h, w) LINES in a sample's views at a quarter of its images' size, on flat ground, hidden or not."""
    count, height, width = sample.images.shape[:3]
    targets = np.zeros((count, len(LINES), height // TARGET_STRIDE, width // TARGET_STRIDE), np.float32)
    lines = [(_CHANNELS[e.label], _ground_points(e)) for e in sample.elements if e.label in _CHANNELS]
    for camera in range(count):
        camera_from_base = inverse(sample.base_from_camera[camera])
        intrinsics = scale_intrinsics(sample.intrinsics[camera], 1 / TARGET_STRIDE, 1 / TARGET_STRIDE)
        for channel, points in lines:
            for piece in _visible(apply(camera_from_base, points), intrinsics):
                cv2.polylines(targets[camera, channel], [piece], False, 1.0, 1, cv2.LINE_8, 4)
    return targets


def _ground_points(element: MapElement) -> NDArray[np.float64]:
    """(P, 3) along a line at z = 0."""
    points = np.asarray(element.points_m, np.float64)[:, :2]
    spaced = evenly_spaced(points, max(2, int(distances_along(points)[-1] / _STEP_M) + 1))
    return np.concatenate([spaced, np.zeros((len(spaced), 1))], 1)


def _visible(points: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> Sequence[NDArray[np.int32]]:
    """The pieces of a line (P, 3) in an optical frame that lie before the camera and near, in sixteenths of pixels."""
    pixels, depth = project(points, intrinsics)
    seen = (depth > _LEAST_DEPTH_M) & (np.linalg.norm(points, axis=1) < FAR_M) & (np.abs(pixels) < _FARTHEST).all(1)
    fixed = (pixels.clip(-_FARTHEST, _FARTHEST) * 16).round().astype(np.int32)
    breaks = np.nonzero(np.diff(seen.astype(np.int8)))[0] + 1
    return [part for part, kept in zip(np.split(fixed, breaks), np.split(seen, breaks), strict=True)
            if kept[0] and len(part) > 1]  # fmt: skip
