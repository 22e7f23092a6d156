"""An image as a network takes it: without lens distortion, and of the size that its calibration holds for."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CameraModel, Tables, undistorted
from mapkd_core.cameras.encodings import ImageError
from mapkd_core.data.images import decode
from mapkd_core.geometry import scale_intrinsics


def straight_image(
    source: memoryview | NDArray[np.uint8],
    model: CameraModel,
    min_size: tuple[int, int],
    tables: Tables,
    faults: list[str],
) -> tuple[memoryview | NDArray[np.uint8], NDArray[np.float64], tuple[int, int]]:
    """The image (JPEG or PNG bytes, or (H, W, 3) RGB) with its intrinsics (3, 3) and its size (width, height).

    One with distortion is decoded, at `min_size` or larger, and undistorted by `tables`, which are kept from call to
    call; `faults` gets what its decoder found wrong. Raises ValueError for one that cannot be decoded.
    """
    if not model.distortion_model:
        return source, model.intrinsics, model.size
    pixels = decode(source, min_size, faults) if isinstance(source, memoryview) else source
    pixels = undistorted(pixels, model, tables)
    size = (pixels.shape[1], pixels.shape[0])
    return pixels, scale_intrinsics(model.intrinsics, size[0] / model.size[0], size[1] / model.size[1]), size


def check_size(size: tuple[int, int], calibrated: tuple[int, int]) -> None:
    """Raises ImageError where an image (width, height) is not of the size that its calibration holds for."""
    if size != calibrated:
        raise ImageError(
            "size",
            f"image is {size[0]}x{size[1]}, its camera_info says {calibrated[0]}x{calibrated[1]}; "
            "publish the camera_info of the resized image (or correct the rig file, if that holds the calibration)",
        )
