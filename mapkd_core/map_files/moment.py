"""One moment of a drive for eyes: each camera's image, the predicted and the true map, and how they are drawn."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CameraModel, Tables
from mapkd_core.cameras.straight_image import straight_image
from mapkd_core.data.images import decode
from mapkd_core.draw import RgbImage, overview
from mapkd_core.geometry import scale_intrinsics
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import CameraView, Frame, MapElement

if TYPE_CHECKING:  # bags need packages that a data set does not
    from mapkd_core.bags.camera_sets import CalibratedSet

TILE_WIDTH = 400
"""Pixels of a camera's image in an overlay video."""


@dataclass(frozen=True, eq=False)
class SeenCamera:
    """A camera of a moment; without `read` its image is missing."""

    name: str
    size: tuple[int, int]
    """(width, height) of the image as it was taken."""
    base_from_camera: NDArray[np.float64] | None = None
    """(4, 4)."""
    read: Callable[[int], tuple[RgbImage, NDArray[np.float64]]] | None = None
    """The image (H, W, 3) of at least this width, or of its own where that is less, and the intrinsics that hold for
    it. Raises ValueError for an image that cannot be decoded."""


@dataclass(frozen=True, eq=False)
class Moment:
    """What there is to see of one moment."""

    name: str
    """Such as the token of a frame."""
    scene: str
    stamp_ns: int
    cameras: tuple[SeenCamera, ...]
    predicted: PredictedMap | None = None
    truth: Sequence[MapElement] | None = None
    """The true map in `base_link`, crossings as outlines; None where there is none."""
    map_from_base: NDArray[np.float64] | None = None
    """(4, 4), where the vehicle's pose is known."""
    points: NDArray[np.float32] | None = field(default=None, repr=False)
    """(P, 5) LiDAR as in `Frame`."""


def cameras_of_frame(frame: Frame) -> tuple[SeenCamera, ...]:
    """The cameras of a data set's or simulator's frame."""
    return tuple(
        SeenCamera(view.name, view.size, view.base_from_camera, _ViewReader(view)) for view in frame.views
    )


def cameras_of_set(
    one: CalibratedSet, cameras: Mapping[str, tuple[int, int]], tables: Tables
) -> tuple[SeenCamera, ...]:
    """Those of a set from a bag; `cameras` are all that it may have, with the sizes (w, h) of their images."""
    found = []
    for name, size in cameras.items():
        if name not in one.cameras:
            found.append(SeenCamera(name, size))
            continue
        place = one.cameras.index(name)
        reader = StraightReader(one.sources[place], one.models[place], tables)
        found.append(SeenCamera(name, size, one.base_from_camera[place], reader))
    return tuple(found)


def drawn(
    moment: Moment, grid: BevGrid, title: str, camera_width: int = TILE_WIDTH, truth: bool = False
) -> RgbImage:
    """The map on the cameras' images and from above, with `truth` beside the true one where the moment has it.

    A camera that is missing is black, so that the image's size rests. Without a prediction the true map is drawn.
    """
    images: list[RgbImage] = []
    intrinsics, mountings = [], []
    for camera in moment.cameras:
        if camera.read is None or camera.base_from_camera is None:
            width, height = camera.size
            images.append(np.zeros((round(camera_width * height / width), camera_width, 3), np.uint8))
            intrinsics.append(np.eye(3))
            mountings.append(np.eye(4))
            continue
        pixels, matrix = camera.read(camera_width)
        images.append(pixels)
        intrinsics.append(matrix)
        mountings.append(camera.base_from_camera)
    found = moment.predicted
    return overview(
        images, intrinsics, mountings, (moment.truth or ()) if found is None else found.elements, grid,
        truth=moment.truth if truth and found is not None else None,
        semantic=None if found is None else found.probabilities,
        title=title, names=[camera.name for camera in moment.cameras], camera_width=camera_width,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _ViewReader:
    view: CameraView

    def __call__(self, width: int) -> tuple[RgbImage, NDArray[np.float64]]:
        full_w, full_h = self.view.size
        pixels = self.view.image.rgb((min(width, full_w), 1))
        scale_x, scale_y = pixels.shape[1] / full_w, pixels.shape[0] / full_h
        return pixels, scale_intrinsics(self.view.intrinsics, scale_x, scale_y)


@dataclass(frozen=True, eq=False)
class StraightReader:
    """Reads a camera's image (a JPEG's or PNG's bytes, or RGB) without its lens distortion; see `SeenCamera.read`."""

    source: memoryview | NDArray[np.uint8]
    model: CameraModel
    tables: Tables

    def __call__(self, width: int) -> tuple[RgbImage, NDArray[np.float64]]:
        """(H, W, 3) and (3, 3)."""
        image, matrix, size = straight_image(self.source, self.model, (width, 1), self.tables, [])
        pixels: RgbImage = decode(image, (width, 1)) if isinstance(image, memoryview) else image
        return pixels, scale_intrinsics(matrix, pixels.shape[1] / size[0], pixels.shape[0] / size[1])
