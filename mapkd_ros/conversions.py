"""ROS images and stamps as arrays and numbers; every image is checked, so that a bad one is refused by name.

Works without cv_bridge: what `mapkd_core.cameras` does not read is left to it where a ROS installation has it.
"""
from __future__ import annotations

import array
import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras import encodings
from mapkd_core.cameras.compressed import compressed_size, compressed_source, mosaic_encoding
from mapkd_core.cameras.encodings import ImageError

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CompressedImage, Image

__all__ = [
    "ImageError", "compressed_size", "compressed_source", "image_fields", "image_size", "mosaic_of",
    "rgb_from_image", "stamp_ns",
]  # fmt: skip
_SECOND_NS = 1_000_000_000


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a message's stamp."""
    return stamp.sec * _SECOND_NS + stamp.nanosec


def image_size(message: Image) -> tuple[int, int]:
    """(width, height) of a raw Image whose layout has been checked. Raises ImageError for what cannot be read."""
    if _bridge_reads(message.encoding):
        if message.width == 0 or message.height == 0:
            raise ImageError("layout", f"image is {message.width}x{message.height} pixels")
        return message.width, message.height
    return encodings.image_size(message)


def mosaic_of(message: Image | CompressedImage) -> str:
    """The encoding of an image that is a Bayer mosaic, whose colours have to be restored; else empty."""
    if hasattr(message, "format"):
        return mosaic_encoding(message.format)
    return message.encoding if encodings.is_mosaic(message.encoding) else ""


def rgb_from_image(message: Image) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a raw Image, read here or else by the cv_bridge of a ROS installation. Raises ImageError."""
    if not _bridge_reads(message.encoding):
        return encodings.rgb_from_image(message)
    from cv_bridge import CvBridge

    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except Exception as error:  # its own class, or OpenCV's, or TypeError for a name that it does not know
        raise ImageError("encoding", f"encoding {message.encoding!r}: cv_bridge says {error}") from error


def _bridge_reads(encoding: str) -> bool:
    """True if this encoding is left to cv_bridge."""
    return encoding not in encodings.ENCODINGS and encoding not in encodings.NOT_IMAGES and _has_cv_bridge()


@cache
def _has_cv_bridge() -> bool:
    """True if a ROS installation brings cv_bridge; the wheel of that name on PyPI reads some encodings wrong."""
    try:
        return importlib.util.find_spec("cv_bridge.boost.cv_bridge_boost") is not None
    except ImportError:
        return False


def image_fields(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Fields of an rgb8 Image from (H, W, 3) pixels."""
    height, width = pixels.shape[:2]
    # rclpy takes an array.array as it is and copies anything else byte by byte, a hundred times slower.
    data = array.array("B", np.ascontiguousarray(pixels).tobytes())
    return {"height": height, "width": width, "encoding": "rgb8", "step": 3 * width, "data": data}
