"""What goes wrong on vehicles, one thing at a time: calibrations that are off, cameras that fail, light, own bodywork.

Legend: N cameras.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mapkd_core.types import CAMERAS


@dataclass(frozen=True)
class Condition:
    """One row of the table: how the frames differ, and how far the calibration given to the network is off."""

    name: str
    frames: str = ""
    """Further words of the frames' name (`frame_sources.open_frames`), such as `night`."""
    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0
    """Of the whole rig about `base_link`'s axes x, y, z: positive pitch has the calibration look lower than the cameras
    do."""
    height_m: float = 0.0
    """The calibration has all cameras this much too high."""
    focal: float = 0.0
    """The calibration's focal lengths are this share too long."""
    each_deg: float = 0.0
    """Standard deviation of a rotation of each camera on its own, about each of its axes."""
    without: str = ""
    """The camera whose images are missing."""

    def calibration(
        self, intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64], frame: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the network is given in place of the true (N, 3, 3) and (N, 4, 4); `frame` seeds what is random."""
        told_k, told = intrinsics.copy(), base_from_camera.copy()
        told_k[:, [0, 1], [0, 1]] *= 1 + self.focal
        if self.each_deg:
            vectors = np.random.default_rng((frame, 0x5AC)).normal(0, np.radians(self.each_deg), (len(told), 3))
            told[:, :3, :3] = told[:, :3, :3] @ Rotation.from_rotvec(vectors).as_matrix()
        error = np.eye(4)
        error[:3, :3] = Rotation.from_euler("xyz", [self.roll_deg, self.pitch_deg, self.yaw_deg], True).as_matrix()
        error[2, 3] = self.height_m
        return told_k, error @ told

    def possible(self, names: Sequence[str]) -> bool:
        """Whether frames with these cameras can be so: one that is not there cannot be missing."""
        return not self.without or self.without in names

    def lost(self, names: Sequence[str]) -> list[int]:
        """The places of the cameras whose images are missing."""
        return [place for place, name in enumerate(names) if name == self.without]


RIGHT = Condition("right calibration")
"""What the others are compared with."""


def conditions() -> tuple[Condition, ...]:
    """All rows, the right calibration first."""
    rows = [RIGHT]
    rows += [Condition(f"pitch {d:+g} deg", pitch_deg=d) for d in (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5)]
    rows += [Condition(f"roll {d:+g} deg", roll_deg=d) for d in (-1.0, 1.0)]
    rows += [Condition(f"yaw {d:+g} deg", yaw_deg=d) for d in (-1.0, 1.0)]
    rows += [Condition(f"each camera turned, {d:g} deg", each_deg=d) for d in (0.5, 1.0)]
    rows += [Condition(f"height {100 * m:+g} cm", height_m=m) for m in (-0.10, -0.05, 0.05, 0.10)]
    rows += [Condition(f"focal length {100 * f:+g} %", focal=f) for f in (-0.02, -0.01, 0.01, 0.02)]
    rows += [Condition(f"without {name}", without=name) for name in CAMERAS]
    rows += [Condition("all drives by night", "night"), Condition("all drives on wet roads", "wet")]
    rows += [Condition("own bodywork in the images", "own-body")]
    return tuple(rows)
