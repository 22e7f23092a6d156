"""Frames with the map drawn into their images, by which an eye sees whether map, poses and calibration fit."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.frame_sample import network_image
from mapkd_core.data.labels import map_elements
from mapkd_core.draw import overview
from mapkd_core.grid import GRID_60X30
from mapkd_core.types import Frame

TILE_WIDTH = 480


def label_image(frames: Sequence[Frame]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: one frame below the other, its labels in each camera's image and from above."""
    return np.concatenate(_same_width([_drawn(frame) for frame in frames]))


def _drawn(frame: Frame) -> NDArray[np.uint8]:
    assert frame.vector_map is not None and frame.map_from_base is not None
    elements = map_elements(frame.vector_map(), frame.map_from_base, GRID_60X30, "polygon")
    images, intrinsics = [], []
    for view in frame.views:
        size = (TILE_WIDTH, round(TILE_WIDTH * view.size[1] / view.size[0]))
        pixels, matrix = network_image(view, size)
        images.append(pixels)
        intrinsics.append(matrix)
    return overview(
        images, intrinsics, [view.base_from_camera for view in frame.views], elements, GRID_60X30,
        title=f"labels of {frame.token}", names=[view.name for view in frame.views], camera_width=TILE_WIDTH,
    )  # fmt: skip


def _same_width(images: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    width = max(image.shape[1] for image in images)
    return [
        np.asarray(cv2.copyMakeBorder(image, 0, 0, 0, width - image.shape[1], cv2.BORDER_CONSTANT), np.uint8)
        for image in images
    ]
