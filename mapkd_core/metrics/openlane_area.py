"""The area metric of OpenLane-V2 (DET_a of its lane segment track) on this project's elements.

Its devkit 2.1.0 takes the vertices of a line as they are: a straight line of two vertices is metres away from the same
line of eleven. So both sides are brought to evenly spaced points first. Legend: P predictions and G truths of a class
in one frame.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mapkd_core.geometry import distances_along, evenly_spaced
from mapkd_core.metrics.ap_result import ApResult
from mapkd_core.metrics.crossings import closed_line
from mapkd_core.metrics.pooled import FrameMatches, nearest_hits, pooled_ap
from mapkd_core.types import CLASSES, MapElement

THRESHOLDS_M = (0.5, 1.0, 1.5)
CATEGORIES: dict[str, int] = {"ped_crossing": 1, "boundary": 2}
"""Classes that are areas in OpenLane-V2 (boundaries are lines all the same) -> its number. Dividers are none."""
STEP_M = 0.5
"""Points stand at most so far apart: half of it is the largest distance between two samplings of one line."""
_RECALLS = np.arange(0, 1.001, 0.1).astype(np.float32)
"""In single precision, as NumPy below 2 compares them, which the devkit asks for: seven of ten reach 0.7."""


@dataclass(frozen=True)
class AreaAp:
    """DET_a's average precision, frame by frame.

    The distance of a pair is half the sum of the two mean nearest-point distances. In descending score each prediction
    takes its nearest truth: a hit if nearer than the threshold and the truth is still free, else a false positive. The
    AP is the mean of the best precision at recalls of 0, 0.1 .. 1 and more, in single precision. Unlike in the devkit,
    a class that occurs nowhere is left out, not counted as found. Source: OpenLane-V2 (Wang et al., NeurIPS 2023) and
    what its devkit does.
    """

    thresholds_m: tuple[float, ...] = THRESHOLDS_M
    definition: str = "det_a_openlane_v2"

    def frame(self, predicted: Iterable[MapElement], truth: Iterable[MapElement]) -> FrameMatches:
        """Hits and misses of one frame; crossings must be rings on both sides."""
        found, true = list(predicted), list(truth)
        scores, hits, counts = [], [], []
        for label in CLASSES:
            wanted = label in CATEGORIES
            ours = [e for e in found if wanted and e.label == label]
            theirs = [e for e in true if wanted and e.label == label]
            score = np.array([e.score for e in ours], np.float64)
            distance = _distances([area_points(e) for e in ours], [area_points(e) for e in theirs])
            scores.append(score)
            order = _ranks(score)
            hits.append(np.stack([nearest_hits(distance, distance < t, order) for t in self.thresholds_m]))
            counts.append(len(theirs))
        return FrameMatches(tuple(scores), tuple(hits), tuple(counts))

    def total(self, frames: Sequence[FrameMatches]) -> ApResult:
        """AP of the pooled frames; NaN for a class that has neither prediction nor truth, and for dividers."""
        return pooled_ap(self.definition, self.thresholds_m, frames, _ranks, _eleven_points)


def area_points(element: MapElement) -> NDArray[np.float64]:
    """(N, 2) evenly spaced points, at most STEP_M apart, both ends of the line included; a ring ends where it began."""
    line = closed_line(element)
    return evenly_spaced(line, max(int(np.ceil(distances_along(line)[-1] / STEP_M)), 1) + 1)


def devkit_frames(
    predictions: Mapping[str, Sequence[MapElement]], truths: Mapping[str, Sequence[MapElement]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ground truth and predictions, by token, as `openlanev2.lanesegment.evaluation.evaluate` takes them.

    Areas alone, evenly spaced: of what it returns only DET_a means something. Lists in place of arrays, so that they
    can be written as JSON: make `points` NumPy arrays again before the call.
    """

    def areas(elements: Sequence[MapElement], scored: bool) -> list[dict[str, Any]]:
        chosen = [e for e in elements if e.label in CATEGORIES]
        return [
            {
                "id": number,
                "category": CATEGORIES[element.label],
                "points": np.column_stack([p := area_points(element), np.zeros(len(p))]).tolist(),
                **({"confidence": float(element.score)} if scored else {}),
            }
            for number, element in enumerate(chosen)
        ]

    def whole(elements: Sequence[MapElement], scored: bool) -> dict[str, Any]:
        nothing: dict[str, Any] = {"lane_segment": [], "traffic_element": [], "topology_lsls": [], "topology_lste": []}
        return {**nothing, "area": areas(elements, scored)}

    truth = {token: {"annotation": whole(elements, False)} for token, elements in truths.items()}
    found = {token: {"predictions": whole(predictions.get(token, ()), True)} for token in truths}
    return truth, {"results": found}


def _distances(ours: Sequence[NDArray[np.float64]], theirs: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(P, G)."""
    result = np.full((len(ours), len(theirs)), np.inf)
    for j, truth in enumerate(theirs):
        # The devkit takes the repeated vertex of a true ring away, but not of a predicted one.
        ring = truth[:-1] if np.array_equal(truth[0], truth[-1]) else truth
        for i, line in enumerate(ours):
            every = cdist(line, ring)
            result[i, j] = (every.min(1).mean() + every.min(0).mean()) / 2
    return result


def _ranks(score: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.argsort(-score, kind="stable")


def _eleven_points(ranked: NDArray[np.bool_], truths: int) -> float:
    """Mean of the best precision from each recall on; 0 from a recall on that is never reached."""
    if not truths or not len(ranked):
        return 0.0
    right = np.cumsum(ranked, dtype=np.float32)
    recall = right / np.float32(truths)
    precision = right / np.arange(1, len(ranked) + 1, dtype=np.float32)
    reached = [precision[recall >= wanted] for wanted in _RECALLS]
    return float(np.mean([float(values.max()) if len(values) else 0.0 for values in reached]))
