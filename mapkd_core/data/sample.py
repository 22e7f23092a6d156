"""One training sample as arrays and vectors, before anything is rasterised: what caches store and augmentation changes.

Legend: N cameras, H W network image, P points.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import MapElement

TARGET_STRIDE = 4
"""Targets in the images have a quarter of their width and height, as the student's trunk gives them."""


@dataclass(frozen=True, eq=False)
class StreetViews:
    """Real images without calibration, and what they show. K images, H W their pixels, h w a quarter of that."""

    images: NDArray[np.uint8]
    """(K, H, W, 3) RGB."""
    surface: NDArray[np.uint8]
    """(K, h, w) numbers of SURFACES, or UNKNOWN."""
    lines: NDArray[np.float32]
    """(K, 2, h, w) LINES, 0 or 1."""


@dataclass(frozen=True, eq=False)
class SeenMap:
    """Labels that were seen, not measured: known in a part of the grid only. Y X its rows and columns."""

    semantic: NDArray[np.uint8]
    """(4, Y, X), one-hot with background as channel 0."""
    known: NDArray[np.bool_]
    """(Y, X) where they count."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Images at network size with the map around them; every part in `base_link`, so one transform moves all."""

    token: str
    images: NDArray[np.uint8]
    """(N, H, W, 3) RGB at network size."""
    intrinsics: NDArray[np.float64]
    """(N, 3, 3) of these images."""
    base_from_camera: NDArray[np.float64]
    """(N, 4, 4)."""
    elements: tuple[MapElement, ...] = ()
    """Labels; they reach beyond the grid by a margin, so that a turned grid finds its lines too. Crossings as edges."""
    outlines_m: tuple[NDArray[np.float64], ...] = ()
    """(K, 2) each: closed outlines of the same crossings, whole."""
    crossings_apart: bool = False
    """Whether crossings that touch are not one."""
    labelled: bool = True
    """Whether `elements` are known; without, there may be lines although none is listed."""
    lidar: NDArray[np.float32] | None = None
    """(P, 5) x, y, z, intensity, seconds of age."""
    sd_lines_m: tuple[NDArray[np.float64], ...] | None = None
    """(K, 2) each: standard-definition road lines."""
    base_from_lidar: NDArray[np.float64] | None = None
    """(4, 4) pose of the LiDAR, for a network whose BEV lies in its frame."""
    lost: tuple[int, ...] = ()
    """Places of the cameras whose images are missing (here gray)."""
    conditions: tuple[str, ...] = ()
    scene: str = ""
    """Name of the drive."""
    stamp_ns: int = 0
    map_from_base: NDArray[np.float64] | None = None
    """(4, 4) pose without height, roll and pitch, the frame of `elements`; None where nobody knows it."""
    cameras: tuple[str, ...] = ()
    """Names, in the order of `images`; empty where nobody knows them."""
    line_views: NDArray[np.float32] | None = None
    """(N, 2, h, w) labelled lines drawn into the views, for a head in the images."""
    streets: StreetViews | None = None
    """Real images that go along."""
    seen: SeenMap | None = None
    """Labels on the grid in place of `elements`."""
