"""Which cameras the node has, by its parameters."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mapkd_core.cameras.camera_watch import CameraWatch
from mapkd_core.cameras.rig import CameraRig, regular_rig
from mapkd_core.cameras.rig_file import load_rig

REPLACED = ("cameras", "image_transport", "rectified")
"""Parameters that say of regular cameras what a rig file says of each."""


def rig_of(values: Mapping[str, Any], defaults: Mapping[str, Any], warn: Callable[[str], object]) -> CameraRig:
    """The rig that the parameters ask for: that of the rig file, else regular cameras.

    `warn` is told of parameters that a rig file makes useless. Raises ValueError, fit to be shown to the user.
    """
    if not values["rig"]:
        return regular_rig(values["cameras"], values["image_transport"], values["rectified"])
    rig = load_rig(values["rig"])
    useless = [name for name in REPLACED if values[name] != defaults[name]]
    if useless:
        warn(f"not used, as {values['rig']} says it of each camera: {', '.join(useless)}")
    return rig


def camera_watch(cameras: Sequence[str], values: Mapping[str, Any], all_needed: bool = False) -> CameraWatch:
    """The watch that the parameters ask for; ROS has no empty list of strings, so empty names stand for none.

    Weights that belong to one rig need all of its cameras (`all_needed`): their sets wait for ever.
    """
    required = [camera for camera in values["required_cameras"] if camera]
    return CameraWatch(cameras, 0.0 if all_needed else values["camera_timeout"], values["min_cameras"], required)
