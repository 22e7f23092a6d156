"""Which images count: a camera whose images come but cannot be used is as good as a silent one, until it is mended."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mapkd_core.cameras.calibration import CalibrationError
from mapkd_core.cameras.encodings import ImageError
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.stamp_check import StampCheck
from mapkd_core.cameras.straight_image import check_size
from mapkd_core.data.images import decode
from mapkd_ros.node.camera_image import CameraImage
from mapkd_ros.node.worker import LatestWorker

if TYPE_CHECKING:
    from mapkd_ros.node.camera_input import CameraInput
    from mapkd_ros.node.mapping_job import MappingJob


class UsableImages:
    """Tells of each image whether a map can be made of it, and of each camera why not.

    Only decoding shows whether an image is sound. A camera that failed at it is on trial: its images are decoded in a
    thread of its own, apart from the maps, until one can be.
    """

    def __init__(
        self, inputs: Mapping[str, CameraInput], mountings: Mountings, min_size: tuple[int, int]
    ) -> None:
        self._inputs, self._mountings, self._min_size = inputs, mountings, min_size
        self._unfit: dict[str, str] = {}
        self._stamps = StampCheck()
        self._trials: dict[str, str] = {}
        """Camera on trial -> what its decoder said last."""
        self._worker: LatestWorker[tuple[str, CameraImage]] | None = None

    def usable(self, camera: str, stamp_ns: int, image: CameraImage, now_ns: int) -> bool:
        """True if stamp, calibration, mounting and size are there and fit, and its camera is not on trial.

        `now_ns` is its arrival, of a clock that never goes back.
        """
        model = self._inputs[camera].model
        self._unfit[camera] = self._stamps.fault(camera, stamp_ns, now_ns)
        try:
            if self._unfit[camera] or model is None:
                return False
            check_size(image.size, model.size)
            self._mountings.base_from_image(camera, model)
        except ImageError as error:
            self._unfit[camera] = str(error)
            return False
        except CalibrationError:  # the report tells it as what lacks
            return False
        if camera not in self._trials:
            return True
        if self._worker is None:
            self._worker = LatestWorker(self._try, lambda error: None)
        self._worker.submit((camera, image))
        return False

    def reason(self, camera: str) -> str:
        """Why its newest images cannot be used though they come; empty where they can, or calibration lacks."""
        return self._inputs[camera].refusal or self._unfit.get(camera) or self._trials.get(camera, "")

    def failed(self, job: MappingJob) -> None:
        """A set could not be decoded: finds out whose images are to blame. For the worker that decodes sets."""
        for camera, image in zip(job.cameras, job.camera_set.images, strict=True):
            self._try((camera, image))

    def close(self) -> None:
        """Ends the thread of the trials."""
        if self._worker is not None:
            self._worker.stop()

    def _try(self, taken: tuple[str, CameraImage]) -> None:
        camera, image = taken
        try:
            source = image.source()
            if isinstance(source, memoryview):
                decode(source, self._min_size)
        except ValueError as error:
            self._trials[camera] = str(error)
        else:
            self._trials.pop(camera, None)
