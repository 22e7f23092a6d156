"""What the pixels of real images show, as files: surfaces, lane paint, drivable area. Written once, read in training.

A mask lies under its image's SHA-256, so that an image finds its mask under whatever name and in whatever folder.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_codec import decode_as_stored
from mapkd_core.files import write_atomic
from mapkd_core.schema import FileFault

SURFACES = ("other", "road", "sidewalk", "wall", "terrain", "object")
"""Of a pixel: `wall` with fences and barriers, `object` what stands before the ground (vehicles, people, poles)."""
LINES = ("paint", "edge")
"""Channels of line targets: lane paint, and the road's edge."""
UNKNOWN = 255
"""Number of a surface that nobody knows."""
MASK_SIZE = (640, 360)
"""Width and height of every mask, which lies over the whole of its image."""


@dataclass(frozen=True, eq=False)
class ImageMask:
    """One image's masks, stretched to MASK_SIZE whatever the image's own shape."""

    surface: NDArray[np.uint8]
    """(360, 640) numbers of SURFACES, or UNKNOWN."""
    paint: NDArray[np.uint8]
    """(360, 640) probability of lane paint, 0..255."""
    drivable: NDArray[np.uint8]
    """(360, 640) probability of drivable area, 0..255."""


def image_key(data: bytes) -> str:
    """The name of an image's mask."""
    return hashlib.sha256(data).hexdigest()[:32]


def mask_path(folder: Path, key: str) -> Path:
    """Where the mask of an image lies."""
    return folder / f"{key}.png"


def write_mask(folder: Path, key: str, mask: ImageMask) -> None:
    """Writes the mask of an image as one PNG: surface, paint and drivable area as its red, green and blue."""
    done, data = cv2.imencode(".png", np.stack([mask.drivable, mask.paint, mask.surface], -1))
    assert done
    write_atomic(mask_path(folder, key), data.tobytes())


def read_mask(folder: Path, key: str) -> ImageMask:
    """The mask of an image. Raises FileNotFoundError if it was not made, FileFault for another image."""
    path = mask_path(folder, key)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist; make the masks of these images with `mapkd masks`") from error
    try:
        pixels = decode_as_stored(data)
    except ValueError as error:
        raise FileFault(f"{path}: {error}; make it again with `mapkd masks`") from error
    known = (*range(len(SURFACES)), UNKNOWN)
    if pixels.shape != (*MASK_SIZE[::-1], 3) or pixels.dtype != np.uint8 or not np.isin(pixels[..., 2], known).all():
        raise FileFault(f"{path} is no mask of `mapkd masks`; make it again")
    surface, paint, drivable = (np.ascontiguousarray(pixels[..., channel], np.uint8) for channel in (2, 1, 0))
    return ImageMask(surface, paint, drivable)
