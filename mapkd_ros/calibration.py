"""Where cameras sit and how they see: CameraInfo and TF messages become matrices, or an error that says what lacks."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import inverse, scale_intrinsics, transform

if TYPE_CHECKING:
    from geometry_msgs.msg import TransformStamped
    from sensor_msgs.msg import CameraInfo

COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}
"""Distortion models that are undone, with the numbers of coefficients they come with."""


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
    """A key of COEFFICIENTS, or empty when images are already undistorted."""
    distortion: tuple[float, ...] = ()


def camera_model(info: CameraInfo) -> CameraModel:
    """The model in a CameraInfo of raw images. Raises CalibrationError for one that cannot be used as it is."""
    matrix = np.asarray(info.k, np.float64).reshape(3, 3)
    size = (int(info.width), int(info.height))
    if size[0] == 0 or size[1] == 0:
        raise CalibrationError(f"camera_info says {size[0]}x{size[1]} pixels; it must name the size of the image")
    if not np.isfinite(matrix).all() or matrix[0, 0] <= 0 or matrix[1, 1] <= 0 or matrix[2, 2] != 1:
        raise CalibrationError(f"k is {matrix.ravel().tolist()}; expected finite [fx 0 cx 0 fy cy 0 0 1]: calibrate it")
    if max(info.binning_x, info.binning_y) > 1 or (info.roi.width, info.roi.height) not in ((0, 0), size):
        raise CalibrationError(
            "camera_info has binning or a region of interest; publish k, width and height of the image as it is sent"
        )
    coefficients = tuple(float(d) for d in info.d)
    if not np.isfinite(coefficients).all():
        raise CalibrationError(f"d is {list(coefficients)}; expected finite distortion coefficients")
    if not any(coefficients):
        return CameraModel(size, matrix)
    if len(coefficients) not in COEFFICIENTS.get(info.distortion_model, ()):
        known = ", ".join(f"{model} with {' or '.join(map(str, n))}" for model, n in COEFFICIENTS.items())
        raise CalibrationError(
            f"distortion_model {info.distortion_model!r} with {len(coefficients)} coefficients; expected {known}"
        )
    return CameraModel(size, matrix, info.distortion_model, coefficients)


def undistorted(
    pixels: NDArray[np.uint8], model: CameraModel, cache: dict[object, tuple[NDArray, NDArray]]
) -> NDArray[np.uint8]:
    """The (H, W, 3) image that a camera without distortion but with the same intrinsics would have taken.

    The image may be smaller than the model's size (a decoder's reduction). `cache` keeps the look-up tables.
    """
    height, width = pixels.shape[:2]
    key = (model.distortion_model, model.distortion, model.intrinsics.tobytes(), model.size, width, height)
    if key not in cache:
        cache[key] = _undistortion_maps(model, (width, height))
    map_x, map_y = cache[key]
    return np.asarray(cv2.remap(pixels, map_x, map_y, cv2.INTER_LINEAR), np.uint8)


def _undistortion_maps(model: CameraModel, size: tuple[int, int]) -> tuple[NDArray, NDArray]:
    k = scale_intrinsics(model.intrinsics, size[0] / model.size[0], size[1] / model.size[1])
    d = np.asarray(model.distortion)
    library = cv2.fisheye if model.distortion_model == "equidistant" else cv2
    map_x, map_y = library.initUndistortRectifyMap(k, d, np.eye(3), k, size, cv2.CV_16SC2)
    return map_x, map_y


class TransformTree:
    """The newest transform between any two connected frames, from `/tf_static` and `/tf`.

    Made for how sensors are mounted: a moving joint in the chain is taken at its newest value, not at a stamp.
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, NDArray[np.float64]]] = {}

    def update(self, transforms: Iterable[TransformStamped]) -> None:
        """Takes the transforms of one message. Raises CalibrationError, after taking the good ones, for a bad one."""
        faults = []
        for stamped in transforms:
            parent, child = _plain(stamped.header.frame_id), _plain(stamped.child_frame_id)
            t, r = stamped.transform.translation, stamped.transform.rotation
            try:
                if not parent or not child or parent == child:
                    raise ValueError("expected two different frame names")
                parent_from_child = transform((t.x, t.y, t.z), (r.w, r.x, r.y, r.z))
                if not np.isfinite(parent_from_child).all():
                    raise ValueError(f"translation {[t.x, t.y, t.z]} is not finite")
            except ValueError as error:
                faults.append(f"transform {parent!r} <- {child!r}: {error}")
                continue
            self._parents[child] = (parent, parent_from_child)
        if faults:
            raise CalibrationError("; ".join(faults))

    def lookup(self, target: str, source: str) -> NDArray[np.float64]:
        """4x4 `target_from_source`. Raises CalibrationError that names the frame at which the chain breaks."""
        target, source = _plain(target), _plain(source)
        if not source:
            raise CalibrationError("the image has no frame_id; the camera driver must name its optical frame")
        up_from_source = self._ancestors(source)
        up_from_target = self._ancestors(target)
        for frame, frame_from_source in up_from_source.items():
            if frame in up_from_target:
                return inverse(up_from_target[frame]) @ frame_from_source
        known = {frame for child, (parent, _) in self._parents.items() for frame in (child, parent)}
        if not known:
            raise CalibrationError(f"no transform {target} <- {source}: nothing has come on /tf_static and /tf yet")
        if source not in known or target not in known:
            unknown = source if source not in known else target
            raise CalibrationError(f"no transform {target} <- {source}: no message names the frame {unknown!r}")
        roots = f"{source} hangs on {list(up_from_source)[-1]!r}, {target} on {list(up_from_target)[-1]!r}"
        raise CalibrationError(f"no transform {target} <- {source}: {roots}, and nothing connects the two")

    def _ancestors(self, frame: str) -> dict[str, NDArray[np.float64]]:
        """`ancestor_from_frame` of the frame itself, its parent, and so on to the root."""
        chain = {frame: np.eye(4)}
        at = frame
        while at in self._parents:
            parent, parent_from_child = self._parents[at]
            if parent in chain:
                raise CalibrationError(f"transforms form a loop through {parent!r}")
            chain[parent] = parent_from_child @ chain[at]
            at = parent
        return chain


def _plain(frame: str) -> str:
    """Frame names of ROS 1 had a leading slash; some bags still have it."""
    return frame.lstrip("/")
