"""Which cameras the node has, which of them is the anchor, and where each one sits."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.rig import CameraRig, regular_rig
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.cameras.transform_tree import TransformTree

REPLACED = ("cameras", "image_transport", "rectified")
"""Parameters that say of regular cameras what a rig file says of each."""
FRONT = "CAM_FRONT"


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


def anchor_of(given: str, rig: CameraRig) -> str:
    """The camera whose stamp maps get: the one that is given, else CAM_FRONT, else the first. Raises ValueError."""
    if given and given not in rig.names:
        raise ValueError(f"parameter anchor is {given!r}; expected one of the cameras {', '.join(rig.names)}")
    return given or (FRONT if FRONT in rig.names else rig.names[0])


class Mountings:
    """Where each camera sits: as the rig file says, else by transforms from the frame of its images."""

    def __init__(self, rig: CameraRig, transforms: TransformTree, base_frame: str) -> None:
        self.base_frame = base_frame
        self.frames: dict[str, str] = {}
        """Each camera's optical frame, from its newest image."""
        self._fixed = {camera.name: camera.base_from_camera for camera in rig.cameras}
        self._transforms = transforms

    def known(self, camera: str) -> bool:
        """True once there is a frame to look up, or where none is needed."""
        return camera in self.frames or self._fixed[camera] is not None

    def frame(self, camera: str) -> str:
        """The frame whose transforms say where it sits; empty where the rig file does."""
        return "" if self._fixed[camera] is not None else self.frames.get(camera, "")

    def base_from_image(self, camera: str, model: CameraModel) -> NDArray[np.float64]:
        """4x4 from the axes of the camera's images as its model holds for them.

        Raises CalibrationError while transforms lack, and KeyError before the first image.
        """
        mounting = self.base_from_camera(camera)
        return mounting if model.camera_from_image is None else mounting @ model.camera_from_image

    def base_from_camera(self, camera: str) -> NDArray[np.float64]:
        """4x4 from the camera's optical frame; errors as above."""
        fixed = self._fixed[camera]
        return self._transforms.lookup(self.base_frame, self.frames[camera]) if fixed is None else fixed
