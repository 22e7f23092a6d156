"""Calibration that can be used but cannot be right: each doubt names its cameras and what to check. Ours."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import FISHEYE, CameraModel
from mapkd_core.geometry import inverse

SHARPEST_DEG, WIDEST_DEG, WIDEST_FISHEYE_DEG = 10.0, 150.0, 260.0
"""Horizontal field of view of a camera for a vehicle's surroundings; without distortion, and of a fisheye."""
LARGEST_ASPECT = 1.25
"""Of the pixels: no sensor has such, but an image that was resized in one direction does."""
OFF_CENTRE = 0.2
"""Of the image's width or height, between its middle and the principal point."""
STEEPEST_DEG = 60.0
"""Above or below the horizon, and of roll: beyond, no camera sees a road as the networks were taught."""
HIGHEST_M, FARTHEST_M = 6.0, 30.0
"""Above the ground and from the origin of a vehicle, trucks and articulated buses included."""
SAME_M, SAME_DEG = 0.01, 0.5
_BODY_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64)
"""REP 103: a body frame has x ahead, y left, z up; an optical frame x right, y down, z ahead."""


@dataclass(frozen=True, eq=False)
class Mounted:
    """A camera on the vehicle."""

    model: CameraModel
    base_from_camera: NDArray[np.float64]
    """(4, 4) of its optical frame; the origin lies on the ground, z up."""
    frame: str = ""
    """Name of that frame, where it has one."""


@dataclass(frozen=True)
class Doubt:
    """What cannot be right about some cameras, with what to check."""

    cameras: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{', '.join(self.cameras)}: {self.text}"


def calibration_doubts(cameras: Mapping[str, Mounted]) -> list[Doubt]:
    """At most one doubt for each camera by itself, and one for each group that cannot be in one place."""
    alone = [Doubt((name,), _lens(one.model) or _looks(one) or _place(one)) for name, one in cameras.items()]
    return [doubt for doubt in alone if doubt.text] + _together(cameras)


def _lens(model: CameraModel) -> str:
    (width, height), k = model.size, model.intrinsics
    fx, fy, cx, cy = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    fisheye = model.distortion_model in FISHEYE
    field_deg = math.degrees(width / fx if fisheye else 2 * math.atan(width / 2 / fx))
    if not SHARPEST_DEG <= field_deg <= (WIDEST_FISHEYE_DEG if fisheye else WIDEST_DEG):
        return (
            f"a focal length of {fx:.0f} px in images {width} px wide is a field of view of {field_deg:.0f} degrees: "
            "check K of camera_info"
        )
    if not 1 / LARGEST_ASPECT <= fx / fy <= LARGEST_ASPECT:
        return (
            f"focal lengths of {fx:.0f} and {fy:.0f} px make pixels that are not square: was the image resized in one "
            "direction, and K not?"
        )
    if abs(cx - width / 2) > OFF_CENTRE * width or abs(cy - height / 2) > OFF_CENTRE * height:
        return (
            f"the principal point {cx:.0f}, {cy:.0f} is far from the middle of {width}x{height} px: does camera_info "
            "belong to images of another size, or to a part of them?"
        )
    return ""


def _looks(one: Mounted) -> str:
    """Doubts about where it looks, by its axes in the vehicle's frame."""
    up_deg, roll_deg = _angles_deg(one.base_from_camera)
    k = one.model.intrinsics
    lowest_deg = up_deg - math.degrees(math.atan((one.model.size[1] - k[1, 2]) / k[1, 1]))
    sound = _sound(one.base_from_camera)
    if sound and (lowest_deg < 0 or one.model.distortion_model):
        return ""
    fact = f"it is rolled by {roll_deg:.0f} degrees"
    if sound or abs(up_deg) > STEEPEST_DEG:
        fact = f"it looks {'up' if up_deg > 0 else 'down'} by {abs(up_deg):.0f} degrees"
    frame = f"frame {one.frame!r}" if one.frame else "its mounting"
    if not sound and _sound(one.base_from_camera @ _BODY_FROM_OPTICAL):
        return (
            f"{fact}; {frame} seems to be a body frame (x ahead, z up): header.frame_id must name the optical frame "
            "(z ahead, x right, y down) of REP 103"
        )
    if not sound and _sound(inverse(one.base_from_camera)):
        return f"{fact}; {frame} seems to be given the wrong way round: swap parent and child, or invert the transform"
    if sound:
        return f"{fact}, into the sky, and sees no road: check the rotation of {frame}"
    return f"{fact}, and sees no road as the network knows it: check the rotation of {frame}"


def _sound(base_from_camera: NDArray[np.float64]) -> bool:
    up_deg, roll_deg = _angles_deg(base_from_camera)
    return abs(up_deg) <= STEEPEST_DEG and abs(roll_deg) <= STEEPEST_DEG


def _angles_deg(base_from_camera: NDArray[np.float64]) -> tuple[float, float]:
    """How far it looks above the horizon, and how far it is rolled about its optical axis."""
    right, down, ahead = base_from_camera[2, :3]
    return math.degrees(math.asin(np.clip(ahead, -1, 1))), math.degrees(math.atan2(-right, -down))


def _place(one: Mounted) -> str:
    x, y, z = one.base_from_camera[:3, 3]
    if z <= 0:
        return f"it sits {-z:.2f} m below the ground: the origin of base_frame must lie on the ground"
    if z > HIGHEST_M or math.hypot(x, y) > FARTHEST_M:
        return (
            f"it sits at x {x:.1f}, y {y:.1f}, z {z:.1f} m of the vehicle: check its translation (metres), and that "
            "base_frame is the vehicle's and not the map's"
        )
    return ""


def _together(cameras: Mapping[str, Mounted]) -> list[Doubt]:
    """Cameras of one frame, and of different frames in one place that look the same way."""
    groups: list[set[str]] = []
    for a, b in combinations(cameras, 2):
        if _same_place(cameras[a].base_from_camera, cameras[b].base_from_camera):
            group = next((found for found in groups if a in found), None)
            if group is None:
                groups.append({a, b})
            else:
                group.add(b)
    doubts = []
    for group in groups:
        names = tuple(name for name in cameras if name in group)
        frames = {cameras[name].frame for name in names}
        if len(frames) == 1 and frames != {""}:
            text = f"they share one frame, {frames.pop()!r}: each driver needs a frame_id of its own, and TF its place"
        else:
            text = "they sit in one place and look the same way: check their transforms"
        doubts.append(Doubt(names, text))
    return doubts


def _same_place(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    turn = a[:3, :3].T @ b[:3, :3]
    angle_deg = math.degrees(math.acos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return bool(np.linalg.norm(a[:3, 3] - b[:3, 3]) < SAME_M and angle_deg < SAME_DEG)
