"""One set of images with its calibration, on its way through the predictor. No ROS calls inside."""
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import ModelCard
from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.straight_image import straight_image
from mapkd_core.cameras.synchronizer import CameraSet
from mapkd_core.predictor import CameraError, PredictedMap, PreparedImages
from mapkd_ros.conversions import ImageError
from mapkd_ros.node.camera_image import CameraImage


class Predictor(Protocol):
    """What the node needs of mapkd_core.predictor.MapPredictor."""

    @property
    def card(self) -> ModelCard:
        """Facts of the network."""

    @property
    def device(self) -> str:
        """Where it runs."""

    @property
    def engine(self) -> str:
        """What runs it, in which precision."""

    @property
    def own_cameras(self) -> tuple[str, ...]:
        """Cameras that the weights belong to; empty where any serve."""

    def camera_order(self, names: Sequence[str]) -> list[int]:
        """Where in `names` the network's cameras are; raises ValueError if its weights belong to others."""

    def prepare(
        self,
        images: Sequence[bytes | memoryview | NDArray[np.uint8]],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        image_sizes: Sequence[tuple[int, int]] | None = None,
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> PreparedImages:
        """One set of images, decoded and in the network's input."""

    def complete(self, prepared: PreparedImages) -> PredictedMap:
        """Its map."""


@dataclass(frozen=True, eq=False)
class MappingJob:
    """Everything that the worker needs of one set."""

    camera_set: CameraSet[CameraImage]
    models: tuple[CameraModel, ...]
    base_from_camera: NDArray[np.float64]
    """(N, 4, 4)."""
    complete_ns: int
    """Monotonic time at which the last image arrived."""
    masks: tuple[NDArray[np.bool_] | None, ...]
    """Of each camera, (H, W) of the undistorted image, False where it sees its own vehicle; None where it does not."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras of the set."""
        return self.camera_set.cameras


@dataclass(frozen=True, eq=False)
class PreparedJob:
    """A set whose images are in the network's input."""

    job: MappingJob
    images: PreparedImages
    waited_ms: float
    """For the worker to begin."""
    convert_ms: float
    ready_ns: int
    """Monotonic time at which it could go into the network."""
    faults: tuple[tuple[str, str], ...] = ()
    """(camera, what its decoder found wrong) for images that were used all the same."""


def prepare_job(job: MappingJob, predictor: Predictor, tables: dict) -> PreparedJob:
    """The first half of the work on one set; may run while `complete_job` works on the set before.

    `tables` keeps undistortion look-up tables from call to call. Raises ImageError, naming the camera, for a
    image that cannot be decoded, and ValueError for anything else the predictor refuses.
    """
    start_ns = time.monotonic_ns()
    images: list[memoryview | NDArray[np.uint8]] = []
    intrinsics, sizes = [], []
    faults: dict[str, list[str]] = {camera: [] for camera in job.cameras}
    for camera, camera_image, model in zip(job.cameras, job.camera_set.images, job.models, strict=True):
        try:
            image, matrix, size = straight_image(
                camera_image.source(), model, predictor.card.input_size, tables, faults[camera]
            )
        except ValueError as error:
            raise ImageError(f"undecodable {camera}", f"{camera}: {error}") from error
        images.append(image)
        intrinsics.append(matrix)
        sizes.append(size)
    converted_ns = time.monotonic_ns()
    try:
        prepared = predictor.prepare(images, np.stack(intrinsics), job.base_from_camera, sizes, job.masks)
    except CameraError as error:  # the predictor knows cameras by their place only
        camera = job.cameras[error.camera]
        raise ImageError(f"undecodable {camera}", f"{camera}: {error.reason}") from error
    for place_of, text in prepared.faults:
        faults[job.cameras[place_of]].append(text)
    told = tuple((camera, text) for camera, texts in faults.items() for text in texts)
    return PreparedJob(
        job, prepared, (start_ns - job.complete_ns) / 1e6, (converted_ns - start_ns) / 1e6, time.monotonic_ns(), told
    )


def complete_job(prepared: PreparedJob, predictor: Predictor) -> PredictedMap:
    """The map of one set, with the stages `wait` (for free workers) and `convert` before the predictor's own."""
    waited_ms = prepared.waited_ms + (time.monotonic_ns() - prepared.ready_ns) / 1e6
    result = predictor.complete(prepared.images)
    return replace(result, stage_ms={"wait": waited_ms, "convert": prepared.convert_ms, **result.stage_ms})
