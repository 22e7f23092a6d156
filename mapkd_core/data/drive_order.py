"""Which frames follow one another in a drive, and how the vehicle moved between them: for networks with a memory."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import flattened, inverse

LONGEST_GAP_S = 3.0
"""Between two frames of a drive; after a longer one nothing is remembered. nuScenes' keyframes have 0.5 s."""


class Placed(Protocol):
    """A Frame, a Sample, or a FramePose."""

    @property
    def scene(self) -> str:
        """Name of the drive."""

    @property
    def stamp_ns(self) -> int:
        """When."""

    @property
    def map_from_base(self) -> NDArray[np.float64] | None:
        """(4, 4) where; None where nobody knows."""


@dataclass(frozen=True, eq=False)
class FramePose:
    """Where in which drive a frame stands, without its images."""

    scene: str
    stamp_ns: int
    map_from_base: NDArray[np.float64] | None

    @classmethod
    def of(cls, frame: Placed) -> FramePose:
        """That of a frame."""
        return cls(frame.scene, frame.stamp_ns, frame.map_from_base)


def current_from_previous(previous: Placed | None, current: Placed) -> NDArray[np.float64] | None:
    """(4, 4) motion in the plane that takes points seen from the frame before to the present one.

    None where the present one does not follow: another drive, not later, more than LONGEST_GAP_S later, or a pose that
    is unknown or not finite. Height, roll and pitch are left out, as they are of labels.
    """
    if previous is None or previous.scene != current.scene:
        return None
    if not 0 < current.stamp_ns - previous.stamp_ns <= LONGEST_GAP_S * 1e9:
        return None
    poses = (current.map_from_base, previous.map_from_base)
    if any(pose is None or not np.isfinite(pose).all() for pose in poses):
        return None
    now, before = (flattened(pose) for pose in poses)  # type: ignore[arg-type]
    return inverse(now) @ before


def drives_in_order(frames: Sequence[Placed]) -> list[list[int]]:
    """The places of each drive's frames in order of time, drives by name."""
    order = sorted(range(len(frames)), key=lambda k: (frames[k].scene, frames[k].stamp_ns))
    drives: list[list[int]] = []
    for k in order:
        if not drives or frames[drives[-1][0]].scene != frames[k].scene:
            drives.append([])
        drives[-1].append(k)
    return drives


def windows(frames: Sequence[Placed], length: int) -> list[list[int]]:
    """The places of every `length` frames that follow one another: as many windows as frames they may begin with."""
    found = []
    for drive in drives_in_order(frames):
        ends = [current_from_previous(frames[a], frames[b]) is None for a, b in pairwise(drive)]
        found += [
            drive[first : first + length]
            for first in range(len(drive) - length + 1)
            if not any(ends[first : first + length - 1])
        ]
    return found
