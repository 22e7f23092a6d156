"""Jobs of an engine that predict: frames in, records for the files of predictions and of truth out."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.labels import LocalMap, elements_of, grid_range, local_map
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.frame_file import FrameRecord, encode_semantic
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import Frame

Records = tuple[FrameRecord, FrameRecord]
"""What was predicted for a frame, and its truth."""


class FramePredictor(Protocol):
    """Anything that turns a frame into a map: `MapPredictor`, or `BatchPredictor` for networks with more inputs."""

    def predict_frame(self, frame: Frame) -> PredictedMap:
        """The map of one frame."""


@dataclass
class NetworkOf:
    """A network that is loaded where it runs: `make()` there, `ready` here, where it is loaded already."""

    make: Callable[[], Any] | None
    """Must travel to other processes (a class, a function of a module, a partial of one) if the work does."""
    ready: Any = None

    @functools.cached_property
    def predictor(self) -> Any:
        """The network, loaded once a worker."""
        if self.ready is None and self.make is not None:
            return self.make()
        return self.ready

    def __getstate__(self) -> dict[str, Any]:
        """Only how to load it."""
        return {"make": self.make, "ready": None}


@dataclass
class PredictFrames:
    """Job: the records of a range of a source's frames, None for each without images or a road map.

    A network with a memory gets whole drives, and sees the frames without a road map too.
    """

    source: Any
    network: NetworkOf
    grid: BevGrid
    alone: bool
    """Whether nothing else runs beside it, so that its latencies mean something."""

    def __call__(self, frames: Sequence[int]) -> list[Records | None]:
        """In their order."""
        return [self._records(self.source[index]) for index in frames]

    def _records(self, frame: Frame) -> Records | None:
        predictor, scored = self.network.predictor, is_scored(frame)
        if not frame.views or (not scored and not remembers(predictor)):
            return None
        predicted = predicted_record(frame, predictor.predict_frame(frame))
        if not scored:
            return None
        return predicted if self.alone else replace(predicted, stage_ms={}), truth_record(frame, self.grid)


@dataclass
class PredictCached:
    """Job: the records of some of a cache's frames, which are predicted as one batch where the network can.

    A network with a memory gets whole drives.
    """

    cached: CachedSamples
    network: NetworkOf
    grid: BevGrid
    alone: bool

    def __call__(self, frames: Sequence[int]) -> list[Records]:
        """In their order. Raises ValueError for a cache without labels."""
        held = [self.cached.frame(index) for index in frames]
        predictor = self.network.predictor
        if hasattr(predictor, "predict_cached"):
            maps: Sequence[PredictedMap] = predictor.predict_cached(held)
        else:
            maps = [predictor.predict_frame(one.frame) for one in held]
        found = []
        for one, predicted in zip(held, maps, strict=True):
            if one.local_map is None:
                raise ValueError(
                    f"the cache in {self.cached.index.location} was written without labels, so nothing is known to "
                    "score predictions with; write it again with labels"
                )
            record = predicted_record(one.frame, predicted)
            record = record if self.alone else replace(record, stage_ms={})
            found.append((record, truth_of(one.frame, one.local_map, self.grid)))
        return found


def remembers(predictor: Any) -> bool:
    """Whether a predictor's network has a memory, so that it must see a drive's frames in their order."""
    return bool(getattr(predictor, "in_order", False))


def unfinished(units: Iterable[Sequence[int]], done: int, total: int) -> list[tuple[Sequence[int], int]]:
    """Units that hold more than the first `done` frames, cut to `total` frames in all; and how many of each are done.

    A drive that was stopped halfway is seen again from its beginning, so that the network remembers what it did.
    """
    found, before = [], 0
    for whole in units:
        unit = whole[: max(total - before, 0)]
        if unit and before + len(unit) > done:
            found.append((unit, max(done - before, 0)))
        before += len(unit)
    return found


def drive_ranges(source: Any, total: int) -> list[range]:
    """The places of each drive's frames in a source that has one drive after the other."""
    ends = getattr(source, "drive_ends", None)
    if ends is None:
        scenes = [source[index].scene for index in range(total)]
        ends = [k for k in range(1, total + 1) if k == total or scenes[k] != scenes[k - 1]]
    return [range(begin, end) for begin, end in pairwise([0, *ends])]


def is_scored(frame: Frame) -> bool:
    """Whether the frame can be predicted, and something is known to score it with."""
    return bool(frame.views) and frame.vector_map is not None and frame.map_from_base is not None


def predicted_record(frame: Frame, predicted: PredictedMap) -> FrameRecord:
    """A prediction ready for the file."""
    return FrameRecord(
        token=frame.token,
        elements=predicted.elements,
        semantic_png=encode_semantic(predicted.semantic),
        scene=frame.scene,
        conditions=frame.conditions,
        stage_ms=predicted.stage_ms,
    )


def truth_record(frame: Frame, grid: BevGrid) -> FrameRecord:
    """The frame's true lines, crossings both as edges and as outlines. The frame must have a map and a pose."""
    if frame.vector_map is None or frame.map_from_base is None:
        raise ValueError(f"frame {frame.token} has no road map or no pose; it cannot be scored")
    return truth_of(frame, local_map(frame.vector_map(), frame.map_from_base, grid_range(grid)), grid)


def truth_of(frame: Frame, local: LocalMap, grid: BevGrid) -> FrameRecord:
    """The same from the map around the frame, which must reach as far as the grid or farther."""
    outlines = elements_of(local, grid, crossings="polygon")
    return FrameRecord(
        token=frame.token,
        elements=elements_of(local, grid, crossings="edges"),
        outlines=[e for e in outlines if e.label == "ped_crossing"],
        scene=frame.scene,
        conditions=frame.conditions,
        known=local.known,
    )
