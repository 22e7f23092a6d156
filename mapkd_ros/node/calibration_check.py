"""Doubts about the calibration that came in: each is logged once, and the diagnostics hold it while it lasts."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mapkd_core.cameras.calibration import CalibrationError
from mapkd_core.cameras.plausibility import Doubt, Mounted, calibration_doubts
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_core.figures import without_figures

if TYPE_CHECKING:
    from mapkd_core.cameras.mountings import Mountings
    from mapkd_ros.node.camera_input import CameraInput


class CalibrationCheck:
    """Looks at models and mountings again whenever they have changed; `of_a_drive` adds what maps showed since."""

    def __init__(
        self,
        inputs: Mapping[str, CameraInput],
        mountings: Mountings,
        transforms: TransformTree,
        of_a_drive: Callable[[], list[Doubt]],
        logger: Any,
    ) -> None:
        self._inputs = inputs
        self._mountings = mountings
        self._transforms = transforms
        self._of_a_drive = of_a_drive
        self._logger = logger
        self._key: object = None
        self._doubts: list[Doubt] = []
        self._told: set[str] = set()

    def doubts(self) -> list[Doubt]:
        """What cannot be right about the calibration as it is now."""
        cameras = self._cameras()
        contradictions = self._contradictions(cameras)
        key = (
            [(name, one.model, one.base_from_camera.tobytes(), one.frame) for name, one in cameras.items()],
            contradictions,
        )
        if key != self._key:
            self._key = key
            self._doubts = calibration_doubts(cameras) + contradictions
        return self._doubts + self._of_a_drive()

    def tell(self) -> None:
        """Logs what has not been said yet."""
        for doubt in self.doubts():
            kind = without_figures(str(doubt))  # those of moving joints change all the time
            if kind not in self._told:
                self._told.add(kind)
                self._logger.warning(f"calibration: {doubt}")

    def _cameras(self) -> dict[str, Mounted]:
        """Those whose calibration is there."""
        found = {}
        for name, camera_input in self._inputs.items():
            if camera_input.model is None or not self._mountings.known(name):
                continue
            try:
                mounting = self._mountings.base_from_image(name, camera_input.model)
            except CalibrationError:  # lacks are told elsewhere
                continue
            found[name] = Mounted(camera_input.model, mounting, self._mountings.frame(name))
        return found

    def _contradictions(self, cameras: Mapping[str, Mounted]) -> list[Doubt]:
        """Frames between a camera and the vehicle of which publishers say what cannot all be."""
        affected: dict[str, list[str]] = {}
        for name, one in cameras.items():
            found = self._transforms.contradiction(self._mountings.base_frame, one.frame) if one.frame else ""
            if found:
                affected.setdefault(found, []).append(name)
        return [Doubt(tuple(names), text) for text, names in affected.items()]
