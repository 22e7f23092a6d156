"""Camera images: decode, resize and normalise; intrinsics move along. Shared by training, evaluation and the node."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_codec import decode, jpeg_size
from mapkd_core.geometry import scale_intrinsics

__all__ = [
    "IMAGENET_MEAN", "IMAGENET_STD", "JpegBytes", "JpegFile", "PixelImage", "decode", "jpeg_size", "normalise",
    "resize", "resize_into",
]  # fmt: skip

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

@dataclass(frozen=True)
class JpegFile:
    """An image on disk, read when asked for."""

    path: Path

    def jpeg(self) -> bytes | None:
        """The file's bytes."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise FileNotFoundError(f"camera image {self.path} cannot be read ({error.strerror})") from error

    def rgb(self, min_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        data = self.jpeg()
        assert data is not None
        try:
            return decode(data, min_size)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


@dataclass(frozen=True)
class JpegBytes:
    """An image held in memory as JPEG."""

    data: bytes

    def jpeg(self) -> bytes | None:
        """The bytes."""
        return self.data

    def rgb(self, min_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        return decode(self.data, min_size)


@dataclass(frozen=True, eq=False)
class PixelImage:
    """An image held in memory as (H, W, 3) RGB pixels."""

    pixels: NDArray[np.uint8]

    def jpeg(self) -> bytes | None:
        """None: it never was a JPEG."""
        return None

    def rgb(self, min_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """The pixels."""
        return self.pixels


def resize(
    pixels: NDArray[np.uint8],
    intrinsics: NDArray[np.float64],
    size: tuple[int, int],
    of_size: tuple[int, int] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Resizes (H, W, 3) to `size` (w, h), aspect free, and scales `intrinsics`, which hold for `of_size` (w, h).

    `of_size` defaults to the image's own; it differs when the decoder has already reduced the image.
    """
    height, width = pixels.shape[:2]
    full_width, full_height = of_size or (width, height)
    if (width, height) != size:
        # Area averaging keeps thin lane paint from aliasing; it equals linear filtering when enlarging.
        shrinking = size[0] <= width and size[1] <= height
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)  # type: ignore
    return pixels, scale_intrinsics(intrinsics, size[0] / full_width, size[1] / full_height)


def resize_into(pixels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Writes (H, W, 3) `pixels` at the size of `out` into `out` (contiguous), as `resize` would; no other copy."""
    height, width = out.shape[:2]
    if pixels.shape[:2] == (height, width):
        np.copyto(out, pixels)
        return
    shrinking = width <= pixels.shape[1] and height <= pixels.shape[0]
    cv2.resize(pixels, (width, height), dst=out, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def normalise(
    images: Sequence[NDArray[np.uint8]],
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """N images (H, W, 3) uint8 of one size -> (N, 3, H, W) float32 as (value / 255 - mean) / std."""
    height, width = images[0].shape[:2]
    result = np.empty((len(images), 3, height, width), np.float32) if out is None else out
    # One table per channel: a look-up is a third of the time of convert, subtract, divide.
    table = ((np.arange(256, dtype=np.float32)[:, None] / 255 - np.asarray(mean)) / np.asarray(std)).astype(np.float32)
    for image, planes in zip(images, result, strict=True):
        for channel in range(3):
            np.take(table[:, channel], image[..., channel], out=planes[channel], mode="clip")
    return result
