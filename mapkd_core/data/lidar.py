"""LiDAR sweeps: read nuScenes point files, gather several sweeps in one frame, pad them for a network."""
from __future__ import annotations

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

MIN_DISTANCE_M = 2.2
"""Returns nearer than this to the sensor are the vehicle itself (HDMapNet and P-MapNet, `get_lidar_data`)."""


@dataclass(frozen=True, eq=False)
class LidarSweep:
    """One rotation of the LiDAR on disk and where it was."""

    path: Path
    """A nuScenes `.pcd.bin`: float32 x, y, z, intensity, ring."""
    base_from_lidar: NDArray[np.float64]
    """(4, 4) from this sweep's sensor to `base_link` of the frame it is gathered for (ego motion included)."""
    seconds_before: float
    """Age of the sweep at the frame's stamp."""


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
