"""How cameras see: a CameraInfo becomes a model, or an error that says what lacks, and a model straightens its images.

Messages are read by their fields alone, so those of rclpy and of a bag reader serve alike.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.messages import CameraInfo
from mapkd_core.geometry import scale_intrinsics

BROWN = ("plumb_bob", "rational_polynomial", "thin_prism", "tilted")
"""Names of OpenCV's model of radial and tangential distortion, whatever the number of its coefficients."""
BROWN_COEFFICIENTS = (4, 5, 8, 12, 14)
FISHEYE = ("equidistant", "fisheye", "kannala_brandt")
"""Names of OpenCV's fisheye model (Kannala and Brandt 2006) with four coefficients."""
TABLES_KEPT = 16
"""Undistortion tables in memory at most: a camera whose calibration never rests must not fill it."""

WIDEST_PX = 32_767
"""OpenCV looks up pixels in images no wider or higher than this."""
RECTIFIED_WORDS = {"rect", "rectified"}

Tables = dict[object, tuple[NDArray, NDArray]]


class CalibrationError(ValueError):
    """Calibration that is missing or cannot be right."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """How one camera maps rays to pixels."""

    size: tuple[int, int]
    """(width, height) of the images that the model holds for."""
    intrinsics: NDArray[np.float64]
    """(3, 3)."""
    distortion_model: str = ""
    """A name of BROWN or FISHEYE, or empty when images are already undistorted."""
    distortion: tuple[float, ...] = ()
    camera_from_image: NDArray[np.float64] | None = None
    """(4, 4): rectified images look along other axes than the frame their camera is mounted by; None for the same."""


def is_rectified_topic(topic: str) -> bool:
    """True if the name of an image topic says so, as those of image_proc do: `image_rect`, `image_rect_color`.

    So do `image_rect_raw` (RealSense) and a folder around the images alone, as in `color/rect/image` (ZED).
    """
    *folders, name = topic.lower().removesuffix("/compressed").removesuffix("/ffmpeg").split("/")
    if RECTIFIED_WORDS & set(name.split("_")):
        return True
    return "raw" not in name.split("_") and bool(RECTIFIED_WORDS & set(folders[-1:]))


def camera_model(info: CameraInfo, rectified: bool = False) -> CameraModel:
    """The model in a CameraInfo, for raw images (K and D) or for rectified ones (P and R).

    Binning and a region of interest are applied. Raises CalibrationError for a model that cannot be used.
    """
    size = (int(info.width), int(info.height))
    if not (0 < size[0] <= WIDEST_PX and 0 < size[1] <= WIDEST_PX):
        raise CalibrationError(f"camera_info says {size[0]}x{size[1]} pixels; it must name the size of the image")
    k = np.asarray(info.k, np.float64).reshape(3, 3)
    p = np.asarray(info.p, np.float64).reshape(3, 4)
    coefficients = tuple(float(d) for d in info.d)
    if not np.isfinite(coefficients).all():
        raise CalibrationError(f"d is {list(coefficients)}; expected finite distortion coefficients")
    if not k.any() and _usable(p[:, :3]) and not any(coefficients):
        rectified = True  # such a camera_info holds for rectified images and nothing else
    if rectified and p.any():
        if not _usable(p[:, :3]):
            raise CalibrationError(
                f"p is {p.ravel().tolist()}; expected finite [fx 0 cx Tx 0 fy cy Ty 0 0 1 0] for rectified images"
            )
        return _of_part(CameraModel(size, p[:, :3], camera_from_image=_rotation(info.r)), info)
    if not _usable(k):
        raise CalibrationError(f"k is {k.ravel().tolist()}; expected finite [fx 0 cx 0 fy cy 0 0 1]: calibrate it")
    if rectified and any(coefficients):
        raise CalibrationError("p is empty and d is not: rectified images need p; or set rectified to false")
    model, kept = checked_distortion(str(info.distortion_model), coefficients)
    return _of_part(CameraModel(size, k, model, kept), info)


def checked_distortion(model: str, coefficients: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """The distortion model and its coefficients as OpenCV takes them, ("", ()) for none; zeros at the end do not count.

    Raises CalibrationError, with the reason, for a distortion that cannot be undone.
    """
    kept = list(map(float, coefficients))
    while kept and kept[-1] == 0:
        kept.pop()
    if not kept:
        return "", ()
    lengths = BROWN_COEFFICIENTS if model in BROWN else (4,) if model in FISHEYE else ()
    fitting = next((length for length in lengths if length >= len(kept)), None)
    if fitting is None:
        raise CalibrationError(
            f"distortion_model {model!r} with {len(kept)} coefficients cannot be undone here; expected "
            f"{', '.join(BROWN[:2])} with at most {BROWN_COEFFICIENTS[-1]} or {FISHEYE[0]} with at most 4: "
            "publish rectified images (image_proc) and say rectified"
        )
    return model, (*kept, *[0.0] * (fitting - len(kept)))


def undistorted(pixels: NDArray[np.uint8], model: CameraModel, tables: Tables) -> NDArray[np.uint8]:
    """The (H, W, 3) image that a camera without distortion but with the same intrinsics would have taken.

    The image may be smaller than the model's size (a decoder's reduction). `tables` keeps look-up tables from call to
    call, TABLES_KEPT of them at most.
    """
    map_x, map_y = _tables(model, (pixels.shape[1], pixels.shape[0]), tables)
    return np.asarray(cv2.remap(pixels, map_x, map_y, cv2.INTER_LINEAR), np.uint8)


def undistorted_mask(mask: NDArray[np.bool_], model: CameraModel, tables: Tables) -> NDArray[np.bool_]:
    """(H, W) of the undistorted image: True where the mask of the image as taken is, False beyond that image."""
    map_x, map_y = _tables(model, (mask.shape[1], mask.shape[0]), tables)
    return np.asarray(cv2.remap(mask.astype(np.uint8), map_x, map_y, cv2.INTER_NEAREST), bool)


def _tables(model: CameraModel, size: tuple[int, int], tables: Tables) -> tuple[NDArray, NDArray]:
    """OpenCV's tables for images of `size` (w, h); the longest unused ones make room for new ones."""
    key = (model.distortion_model, model.distortion, model.intrinsics.tobytes(), model.size, size)
    found = tables.pop(key, None) or _undistortion_maps(model, size)
    tables[key] = found
    while len(tables) > TABLES_KEPT:
        del tables[next(iter(tables))]
    return found


def _undistortion_maps(model: CameraModel, size: tuple[int, int]) -> tuple[NDArray, NDArray]:
    k = scale_intrinsics(model.intrinsics, size[0] / model.size[0], size[1] / model.size[1])
    d = np.asarray(model.distortion)
    library = cv2.fisheye if model.distortion_model in FISHEYE else cv2
    map_x, map_y = library.initUndistortRectifyMap(k, d, np.eye(3), k, size, cv2.CV_16SC2)
    return map_x, map_y


def _usable(matrix: NDArray[np.float64]) -> bool:
    """Whether it is [fx s cx; 0 fy cy; 0 0 1]: one that was written column by column would be centered on a corner."""
    below = matrix[1, 0] == 0 and matrix[2].tolist() == [0, 0, 1]
    return bool(np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0 and below)


def _rotation(r: Sequence[float]) -> NDArray[np.float64] | None:
    """(4, 4) that turns the rectified optical frame into the camera's own; None where R says nothing."""
    rectified_from_camera = np.asarray(r, np.float64).reshape(3, 3)
    if not rectified_from_camera.any() or np.array_equal(rectified_from_camera, np.eye(3)):
        return None
    product = rectified_from_camera @ rectified_from_camera.T
    mirrored = np.isfinite(product).all() and np.linalg.det(rectified_from_camera) < 0
    if not np.isfinite(product).all() or np.abs(product - np.eye(3)).max() > 1e-3 or mirrored:
        raise CalibrationError(f"r is {rectified_from_camera.ravel().tolist()}; expected a rotation, or the identity")
    turned = np.eye(4)
    turned[:3, :3] = rectified_from_camera.T
    return turned


def _of_part(model: CameraModel, info: CameraInfo) -> CameraModel:
    """The model of the image as it is sent, where CameraInfo names a region of interest or binning of the sensor."""
    roi, binning = info.roi, (max(1, info.binning_x), max(1, info.binning_y))
    width, height = (roi.width or model.size[0], roi.height or model.size[1])
    if (width, height) == model.size and binning == (1, 1):
        return model
    x, y = (roi.x_offset, roi.y_offset) if roi.width or roi.height else (0, 0)
    if x + width > model.size[0] or y + height > model.size[1]:
        raise CalibrationError(
            f"region of interest {width}x{height} at {x}, {y} lies outside the {model.size[0]}x{model.size[1]} pixels"
        )
    intrinsics = model.intrinsics - np.array([[0, 0, x], [0, 0, y], [0, 0, 0]])
    size = (width // binning[0], height // binning[1])
    if 0 in size:
        raise CalibrationError(
            f"binning_x {info.binning_x} and binning_y {info.binning_y} leave {size[0]}x{size[1]} of {width}x{height} "
            "pixels; expected by how many the sensor's pixels are joined, or 0"
        )
    intrinsics = scale_intrinsics(intrinsics, 1 / binning[0], 1 / binning[1])
    return CameraModel(size, intrinsics, model.distortion_model, model.distortion, model.camera_from_image)
