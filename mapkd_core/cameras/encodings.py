"""Raw images in the encodings of ROS drivers as RGB; every layout is checked, so that a bad one is refused by name.

Messages are read by their fields alone. 16-bit images keep the upper eight of the bits that they use.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.messages import Image


class ImageError(ValueError):
    """An image that cannot be used; `kind` is one of a few words to count by: encoding, layout, undecodable, size."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Encoding:
    """How pixels lie in memory, and what makes RGB of them."""

    channels: int
    """Values a pixel, in one plane after the other for `planar`."""
    to_rgb: int | None
    """OpenCV's conversion from eight-bit values; None where they are RGB already."""
    value_bytes: int = 1
    even: tuple[bool, bool] = (False, False)
    """True where the width, or the height, must be an even number because pixels share colours."""
    planar: bool = False
    """Y and then interleaved colours of 2 x 2 pixels, half as many rows."""


_MOSAICS = {
    "rggb": cv2.COLOR_BayerRGGB2RGB, "bggr": cv2.COLOR_BayerBGGR2RGB,
    "gbrg": cv2.COLOR_BayerGBRG2RGB, "grbg": cv2.COLOR_BayerGRBG2RGB,
}  # fmt: skip
_PACKED: dict[str, tuple[int, int | None]] = {
    "rgb": (3, None), "bgr": (3, cv2.COLOR_BGR2RGB), "rgba": (4, cv2.COLOR_RGBA2RGB), "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, cv2.COLOR_GRAY2RGB),
    **{f"bayer_{order}": (1, code) for order, code in _MOSAICS.items()},
}  # fmt: skip
_UYVY = Encoding(2, cv2.COLOR_YUV2RGB_UYVY, even=(True, False))
_YUYV = Encoding(2, cv2.COLOR_YUV2RGB_YUY2, even=(True, False))
ENCODINGS: dict[str, Encoding] = {
    **{f"{name}{8 * size}": Encoding(*known, value_bytes=size) for name, known in _PACKED.items() for size in (1, 2)},
    # OpenCV's own names: blue, green, red. (16UC1 is not among them: drivers use it for depth.)
    "8UC1": Encoding(1, cv2.COLOR_GRAY2RGB),
    "8UC3": Encoding(3, cv2.COLOR_BGR2RGB),
    "8UC4": Encoding(4, cv2.COLOR_BGRA2RGB),
    "16UC3": Encoding(3, cv2.COLOR_BGR2RGB, 2),
    "16UC4": Encoding(4, cv2.COLOR_BGRA2RGB, 2),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": Encoding(1, cv2.COLOR_YUV2RGB_NV12, even=(True, True), planar=True),
    "nv21": Encoding(1, cv2.COLOR_YUV2RGB_NV21, even=(True, True), planar=True),
}
"""Every raw encoding that is read, by its name in sensor_msgs/image_encodings."""
NOT_IMAGES = ("16UC1", "16SC1", "32FC1", "64FC1", "32SC1")
"""Encodings of depth and other measurements."""


def is_mosaic(encoding: str) -> bool:
    """True for a Bayer mosaic, whose pixels have one colour each."""
    return encoding.lower().startswith("bayer_")


def refuse_encoding(encoding: str) -> ImageError:
    """Why this encoding is not read, and what is."""
    if encoding in NOT_IMAGES:
        return ImageError("encoding", f"encoding {encoding!r} is depth or another measurement; expected a color image")
    return ImageError(
        "encoding", f"encoding {encoding!r}; expected one of {', '.join(ENCODINGS)}: convert it in the camera driver"
    )


def image_size(message: Image) -> tuple[int, int]:
    """(width, height) of a raw Image whose layout has been checked. Raises ImageError for what cannot be read."""
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise refuse_encoding(message.encoding)
    width, height, step, length = message.width, message.height, message.step, len(message.data)
    if width == 0 or height == 0:
        raise ImageError("layout", f"image is {width}x{height} pixels")
    if (encoding.even[0] and width % 2) or (encoding.even[1] and height % 2):
        raise ImageError("layout", f"image is {width}x{height} pixels; {message.encoding} needs even numbers")
    pixel_bytes = encoding.channels * encoding.value_bytes
    if step < width * pixel_bytes:
        raise ImageError("layout", f"step {step} is less than a {message.encoding} row: {width} * {pixel_bytes} bytes")
    rows = height * 3 // 2 if encoding.planar else height
    # The last row may come without its padding.
    if length < (rows - 1) * step + width * pixel_bytes:
        raise ImageError("layout", f"{length} bytes of data; {rows} rows of step {step} need {rows * step}")
    return width, height


def rgb_from_image(message: Image) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a raw Image, honouring its row padding. Raises ImageError."""
    width, height = image_size(message)
    encoding = ENCODINGS[message.encoding]
    data = np.frombuffer(message.data, np.uint8)
    size = encoding.value_bytes
    shape = (height * 3 // 2 if encoding.planar else height, width, encoding.channels)
    strides = (message.step, encoding.channels * size, size)
    # Of 16-bit values the two halves, as if each were an image.
    halves = [np.lib.stride_tricks.as_strided(data[i:], shape, strides, writeable=False) for i in range(size)]
    if size == 1:
        return rgb_from_values(halves[0], encoding)
    high, low = halves if message.is_bigendian else halves[::-1]
    return rgb_from_values(eight_bits(high, low), encoding)


def eight_bits(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Eight-bit values of 16-bit ones, given as their upper and lower bytes (same shapes).

    A sensor of 10, 12 or 14 bits may fill the lower bits alone; read as 16 bits, its images would be all but black. So
    the range is the smallest of 8, 10, 12, 14 and 16 bits that holds the image's largest value.
    """
    largest = int(high.max())
    bits = next(bits for bits in (8, 10, 12, 14, 16) if largest < 1 << (bits - 8))
    if bits == 16:
        return high
    return np.asarray((high.astype(np.uint16) << 8 | low) >> (bits - 8), np.uint8)


def rgb_from_values(values: NDArray[np.uint8], encoding: Encoding) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of eight-bit values (rows, W, channels) in an encoding."""
    whole = np.ascontiguousarray(values)
    return whole if encoding.to_rgb is None else np.asarray(cv2.cvtColor(whole, encoding.to_rgb), np.uint8)
