"""ROS images and stamps as arrays and numbers; every image is checked, so that a bad one is refused by name.

Works without cv_bridge: numpy and OpenCV read all the supported encodings.
"""
from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.images import jpeg_size

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CompressedImage, Image

CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1, "8UC3": 3}
"""Raw encodings that are read; OpenCV's 8UC3 is blue, green, red and 8UC1 is gray."""
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "8UC1": cv2.COLOR_GRAY2RGB,
}
_SECOND_NS = 1_000_000_000
_JPEG_TAIL = 4096


class ImageError(ValueError):
    """An image that cannot be used; `kind` is one of a few words to count by: encoding, layout, undecodable, size."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a message's stamp."""
    return stamp.sec * _SECOND_NS + stamp.nanosec


def seconds_and_ns(nanoseconds: int) -> dict[str, int]:
    """Fields `sec` and `nanosec` of a Time or Duration message."""
    sec, nanosec = divmod(nanoseconds, _SECOND_NS)
    return {"sec": sec, "nanosec": nanosec}


def image_size(message: Image) -> tuple[int, int]:
    """(width, height) of a raw Image whose layout has been checked. Raises ImageError for what cannot be read."""
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        known = ", ".join(CHANNELS)
        raise ImageError(
            "encoding", f"encoding {message.encoding!r}; expected one of {known}: convert it in the camera driver"
        )
    width, height, step, length = message.width, message.height, message.step, len(message.data)
    if width == 0 or height == 0:
        raise ImageError("layout", f"image is {width}x{height} pixels")
    if step < width * channels:
        raise ImageError("layout", f"step {step} is less than a {message.encoding} row: {width} * {channels} bytes")
    # The last row may come without its padding.
    if length < (height - 1) * step + width * channels:
        raise ImageError("layout", f"{length} bytes of data; {height} rows of step {step} need {height * step}")
    return width, height


def rgb_from_image(message: Image) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a raw Image, honouring its row padding. Raises ImageError."""
    width, height = image_size(message)
    channels = CHANNELS[message.encoding]
    data = np.frombuffer(message.data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(
        data, (height, width, channels), (message.step, channels, 1), writeable=False
    )
    if message.encoding == "rgb8":
        return np.ascontiguousarray(rows)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), _TO_RGB[message.encoding]), np.uint8)


def compressed_size(message: CompressedImage) -> tuple[int, int]:
    """(width, height) in the header of a JPEG or PNG message, without decoding. Raises ImageError for another."""
    if "compressedDepth" in message.format:
        raise ImageError("encoding", f"format {message.format!r} is a depth image; expected a JPEG or PNG")
    try:
        width, height = jpeg_size(memoryview(message.data))
    except ValueError as error:
        raise ImageError("undecodable", f"format {message.format!r}: {error}") from error
    if width == 0 or height == 0:
        raise ImageError("undecodable", f"its header says {width}x{height} pixels")
    # Decoders fill the rest of a cut-off JPEG with gray and say nothing. Some cameras pad after the end marker.
    tail = bytes(memoryview(message.data)[-_JPEG_TAIL:])
    if memoryview(message.data)[:2] == b"\xff\xd8" and b"\xff\xd9" not in tail:
        raise ImageError("undecodable", f"JPEG of {len(message.data)} bytes is cut off: it has no end marker")
    return width, height


def check_size(size: tuple[int, int], calibrated: tuple[int, int]) -> None:
    """Raises ImageError where an image (width, height) is not of the size that its calibration holds for."""
    if size != calibrated:
        raise ImageError(
            "size",
            f"image is {size[0]}x{size[1]}, its camera_info says {calibrated[0]}x{calibrated[1]}; "
            "publish the camera_info of the resized image",
        )


def image_fields(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Fields of an rgb8 Image from (H, W, 3) pixels."""
    height, width = pixels.shape[:2]
    # rclpy takes an array.array as it is and copies anything else byte by byte, a hundred times slower.
    data = array.array("B", np.ascontiguousarray(pixels).tobytes())
    return {"height": height, "width": width, "encoding": "rgb8", "step": 3 * width, "data": data}
