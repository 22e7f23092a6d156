"""Where each camera of a rig sits: by its rig file, or by transforms."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.rig import CameraRig
from mapkd_core.cameras.transform_tree import TransformTree


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
