"""The maps of a drive: predicted set by set, drawn, and written as they come."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import ModelCard
from mapkd_core.bags.camera_sets import CalibratedSet
from mapkd_core.cameras.calibration import Tables
from mapkd_core.cameras.straight_image import straight_image
from mapkd_core.files import FolderLock, replacing
from mapkd_core.map_files.elements import ElementLines
from mapkd_core.map_files.map_recording import MapRecording
from mapkd_core.map_files.moment import Moment, cameras_of_set, drawn
from mapkd_core.map_files.overlay_video import OverlayVideo
from mapkd_core.predictor import CameraError, PredictedMap

ELEMENTS_FILE, RECORDING_FILE, VIDEO_FILE = "elements.jsonl", "maps.mcap", "overlay.mp4"


class Predictor(Protocol):
    """What is needed of mapkd_core.predictor.MapPredictor."""

    @property
    def card(self) -> ModelCard:
        """Facts of the network."""

    def predict(
        self,
        images: Sequence[bytes | memoryview | NDArray[np.uint8] | None],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        image_sizes: Sequence[tuple[int, int]] | None = None,
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> PredictedMap:
        """One map."""


@dataclass
class DriveMaps:
    """What was written."""

    files: tuple[Path, ...]
    maps: int = 0
    elements: Counter[str] = field(default_factory=Counter)
    """Of each class, in all maps."""
    faults: Counter[str] = field(default_factory=Counter)
    """Images that could not be used, by reason."""


def map_files(out: Path, video: bool = True) -> tuple[Path, ...]:
    """The files that `write_maps` writes to `out`."""
    return tuple(out / name for name in (ELEMENTS_FILE, RECORDING_FILE, *((VIDEO_FILE,) if video else ())))


def write_maps(
    sets: Iterable[CalibratedSet],
    cameras: Mapping[str, tuple[int, int]],
    predictor: Predictor,
    out: Path,
    video: bool = True,
    base_frame: str = "base_link",
) -> DriveMaps:
    """Predicts each set and writes its elements, messages and, unless `video` is False, a drawn image to `out`.

    `cameras` are all that a set may have, with the sizes (w, h) of their images, in the order of the video. Files that
    are there are replaced at the end; after KeyboardInterrupt, which is raised again, by what came until then. An image
    that cannot be decoded is counted, and its map made of the others. Without any map nothing is written. Raises
    OSError, FolderInUseError, and ModuleNotFoundError for a video without PyAV.
    """
    done = DriveMaps(map_files(out, video))
    tables: Tables = {}
    first_ns = 0
    interrupted: KeyboardInterrupt | None = None
    with suppress(_NoMapError), FolderLock(out), ExitStack() as stack:
        places = [stack.enter_context(replacing(path)) for path in done.files]
        lines = stack.enter_context(ElementLines(places[0], predictor.card))
        recording = stack.enter_context(MapRecording(places[1], predictor.card, base_frame))
        film = stack.enter_context(OverlayVideo(places[2])) if video else None
        try:
            for one in sets:
                result = None
                while result is None and one.cameras:
                    try:
                        result = predicted(one, predictor, tables)
                    except CameraError as error:
                        done.faults[f"{one.cameras[error.camera]}: {error.reason}"] += 1
                        one = one.without(error.camera)
                if result is None:
                    continue
                stamps = dict(zip(one.cameras, one.stamps_ns, strict=True))
                missing = [camera for camera in cameras if camera not in stamps]
                lines.add(one.stamp_ns, stamps, missing, result.elements)
                recording.add(one.stamp_ns, one.log_ns, stamps, missing, result.elements, result.stage_ms)
                first_ns = first_ns or one.stamp_ns
                if film is not None:
                    title = f"{predictor.card.name}, {(one.stamp_ns - first_ns) / 1e9:.2f} s"
                    seen = cameras_of_set(one, cameras, tables)
                    moment = Moment("", "", one.stamp_ns, seen, result)
                    film.add(drawn(moment, predictor.card.grid, title), one.stamp_ns)
                done.maps += 1
                done.elements.update(element.label for element in result.elements)
        except KeyboardInterrupt as error:
            interrupted = error
        if not done.maps:
            raise interrupted or _NoMapError
    if interrupted is not None:
        raise interrupted
    return done


class _NoMapError(Exception):
    """Nothing came of any set: the files are not to take their places."""


def predicted(one: CalibratedSet, predictor: Predictor, tables: Tables) -> PredictedMap:
    """The map of a set. Raises CameraError for an image that cannot be used."""
    images, intrinsics, sizes = [], [], []
    for place, (source, model) in enumerate(zip(one.sources, one.models, strict=True)):
        try:
            image, matrix, size = straight_image(source, model, predictor.card.input_size, tables, [])
        except ValueError as error:
            raise CameraError(place, str(error)) from error
        images.append(image)
        intrinsics.append(matrix)
        sizes.append(size)
    return predictor.predict(images, np.stack(intrinsics), one.base_from_camera, sizes, one.masks)
