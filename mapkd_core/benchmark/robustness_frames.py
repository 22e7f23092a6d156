"""Frames of the robustness table, with what they are scored by made once, and one network's score under a condition."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.benchmark.robustness_conditions import Condition
from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.data.labels import elements_of, resample_1m
from mapkd_core.data.raster import rasterize
from mapkd_core.data.sample import Sample
from mapkd_core.evaluation.identity import cache_fingerprint
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.ap_chamfer import ChamferAp
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.predictor import MapPredictor
from mapkd_core.progress import each
from mapkd_core.types import CLASSES, MapElement


@dataclass(frozen=True, eq=False)
class ScoredFrame:
    """One frame as the network sees it, and its truth."""

    sample: Sample
    names: tuple[str, ...]
    """Of the cameras."""
    cells: NDArray[np.bool_]
    """(4, Y, X), as for the papers' IoU: lines re-sampled every metre."""
    lines: list[MapElement]
    """As for `ap_chamfer`: crossings are rings."""
    known: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ScoredFrames:
    """All frames of a cache, in memory; `identity` tells the cache by its content."""

    frames: list[ScoredFrame]
    identity: str


def load_frames(cache: Path, grid: BevGrid, image_size: tuple[int, int], limit: int | None = None) -> ScoredFrames:
    """Reads a cache (its first `limit` frames) and draws its truth. Raises ValueError for one without labels."""
    cached = CachedSamples(cache, SampleOptions(grid, image_size, margin_m=0.0))
    frames = []
    for index in each(range(min(limit or len(cached), len(cached))), "read"):
        held = cached.frame(index)
        sample, local = held.sample(cached.options), held.local_map
        assert local is not None  # the options ask for labels
        edges = elements_of(local, grid, crossings="edges")
        cells = rasterize(resample_1m(edges), grid, with_direction=False).semantic != 0
        lines = elements_of(local, grid, crossings="polygon")
        frames.append(ScoredFrame(sample, tuple(v.name for v in held.frame.views), cells, lines, tuple(local.known)))
    return ScoredFrames(frames, cache_fingerprint(cached))


def score(predictor: MapPredictor, held: ScoredFrames, condition: Condition) -> dict[str, float]:
    """Percent mIoU, `ap_chamfer` at 0.5/1/1.5 m, and every class's IoU, under one condition."""
    meter, definition = IouMeter(), ChamferAp()
    predictor.least_score = 0.0
    matches = []
    for number, frame in enumerate(each(held.frames, condition.name)):
        predicted = predictor.predict(*_given(frame, condition, number))
        meter.update_classes(predicted.semantic, frame.cells, known=frame.known)
        matches.append(definition.frame(_known(predicted.elements, frame.known), _known(frame.lines, frame.known)))
    iou = meter.result()
    scores = {"miou": iou["miou"], "ap": definition.total(matches).mean, **{name: iou[name] for name in CLASSES}}
    return {name: round(100 * value, 3) for name, value in scores.items()}


def _given(
    frame: ScoredFrame, condition: Condition, number: int
) -> tuple[list[NDArray[np.uint8] | None], NDArray[np.float64], NDArray[np.float64]]:
    """Images, intrinsics and mountings as the network gets them."""
    images: list[NDArray[np.uint8] | None] = list(frame.sample.images)
    for place in condition.lost(frame.names):
        images[place] = None
    return images, *condition.calibration(frame.sample.intrinsics, frame.sample.base_from_camera, number)


def _known(elements: Sequence[MapElement], known: Sequence[str]) -> list[MapElement]:
    return [e for e in elements if e.label in known]
