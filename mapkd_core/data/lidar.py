"""LiDAR sweeps: read nuScenes point files, gather several sweeps in one frame, pad them for a network."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.schema import FileFault

FARTHEST_M = 1e5
"""No LiDAR sees a point farther away; intensities are smaller, too."""
POINTS_FOR_NETWORK = 81920
"""Points a network sees per frame (P-MapNet, `lidar` input; also HDMapNet)."""

MOST_SWEEPS = 100
"""Sweeps in a frame: at 20 a second, five seconds."""

MIN_DISTANCE_M = 2.2
"""Returns nearer than this to the sensor are the vehicle itself (HDMapNet and P-MapNet, `get_lidar_data`)."""


@dataclass(frozen=True)
class Sweeps:
    """Which turns of a LiDAR a frame gathers: up to its stamp and, for a teacher that looks ahead, after it."""

    until: int = 1
    """The frame's own turn and those before it; 0 for no LiDAR."""
    after: int = 0
    """Turns that come later. No vehicle has them: they are for a teacher, whose student reads images alone."""
    every: int = 1
    """Of the sensor's turns each so many-th is taken: 10 of 20 a second make half a second between two."""

    def __post_init__(self) -> None:
        if self.until < 0:
            raise ValueError(f"lidar_sweeps is {self.until}; expected 0 (no LiDAR) or more")
        if self.after < 0 or self.every < 1 or (self.after and not self.until):
            raise ValueError(
                f"{self.until} sweeps up to the frame, {self.after} after it, each {self.every}th; expected 1 or more, "
                "0 or more, and 1 or more"
            )
        if max(self.until, self.after) > MOST_SWEEPS:
            raise ValueError(f"{max(self.until, self.after)} sweeps in a frame; expected {MOST_SWEEPS} or fewer")

    @classmethod
    def of(cls, given: int | Sweeps) -> Sweeps:
        """A bare number counts the sweeps up to the frame."""
        return given if isinstance(given, Sweeps) else cls(given)

    @classmethod
    def parse(cls, text: str, option: str) -> Sweeps:
        """`UNTIL[,AFTER[,EVERY]]`, such as `3` or `1,4,10`. Raises ValueError, which names the option, for another."""
        if not re.fullmatch(r"\d{1,4}(,\d{1,4}){0,2}", text):
            raise ValueError(f"{option} is {text!r}; expected UNTIL[,AFTER[,EVERY]], such as 3 or 1,4,10")
        return cls(*map(int, text.split(",")))

    def places(self) -> list[int]:
        """Turns before (negative) and after the frame's own, which is 0; nearest in time first."""
        before, after = range(0, -self.until, -1), range(1, self.after + 1)
        return [place * self.every for place in sorted([*before, *after], key=lambda place: (abs(place), place))]


@dataclass(frozen=True, eq=False)
class LidarSweep:
    """One rotation of the LiDAR on disk and where it was."""

    path: Path
    """A nuScenes `.pcd.bin`: float32 x, y, z, intensity, ring."""
    base_from_lidar: NDArray[np.float64]
    """(4, 4) from this sweep's sensor to `base_link` of the frame it is gathered for (ego motion included)."""
    seconds_before: float
    """Age of the sweep at the frame's stamp; negative where it comes after."""


def read_point_file(path: Path) -> NDArray[np.float32]:
    """(P, 4) x, y, z, intensity (0..255) in the sensor's frame of a nuScenes `.pcd.bin` file.

    Raises FileNotFoundError if there is no such file, ValueError if its size is not whole points.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(
            f"LiDAR file {path} cannot be read ({error.strerror}); unpack the dataset's LiDAR blobs "
            "(samples and sweeps), or ask for lidar_sweeps=1 or 0"
        ) from error
    if len(data) % 20:
        raise FileFault(
            f"LiDAR file {path} holds {len(data)} bytes; expected 20 a point (x, y, z, intensity, ring as float32): "
            "unpack it again"
        )
    points = np.frombuffer(data, "<f4").reshape(-1, 5)[:, :4]
    if not (np.abs(points) <= FARTHEST_M).all():
        raise FileFault(
            f"LiDAR file {path} holds points that are not finite, or beyond {FARTHEST_M:g} m: unpack it again"
        )
    return points.astype(np.float32)


def gather_sweeps(sweeps: Sequence[LidarSweep], min_distance_m: float = MIN_DISTANCE_M) -> NDArray[np.float32]:
    """(P, 5) x, y, z in `base_link`, intensity, seconds before the frame, of all sweeps, in the order given.

    Points whose |x| and |y| in the sensor's frame are both under `min_distance_m` are dropped: a square, not a
    circle, as in nuScenes' devkit.
    """
    parts = []
    for sweep in sweeps:
        points = read_point_file(sweep.path)
        points = points[np.any(np.abs(points[:, :2]) >= min_distance_m, axis=1)]
        moved = np.empty((len(points), 5), np.float32)
        moved[:, :3] = points[:, :3] @ sweep.base_from_lidar[:3, :3].T + sweep.base_from_lidar[:3, 3]
        moved[:, 3] = points[:, 3]
        moved[:, 4] = sweep.seconds_before
        parts.append(moved)
    return np.concatenate(parts) if parts else np.zeros((0, 5), np.float32)


def pad_points(
    points: NDArray[np.floating], count: int = POINTS_FOR_NETWORK
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Exactly `count` points (count, 5), zero padded or cut at the end, and their mask (count,), 1 where real."""
    kept = points[:count]
    padded, mask = np.zeros((count, 5), np.float32), np.zeros(count, np.float32)
    padded[: len(kept)], mask[: len(kept)] = kept, 1
    return padded, mask
