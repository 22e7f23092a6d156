"""Average precision over all frames pooled into one curve, with hits by the nearest truth: no raster.

Legend: P predictions and G truths of one class in one frame, T thresholds.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.metrics.ap_result import ApResult
from mapkd_core.types import CLASSES


@dataclass(frozen=True, eq=False)
class FrameMatches:
    """One frame's predictions with their hits; frames are pooled later."""

    scores: tuple[NDArray[np.float64], ...]
    """Per class (P,)."""
    hits: tuple[NDArray[np.bool_], ...]
    """Per class (T, P)."""
    truths: tuple[int, ...]
    """Per class, number of true lines."""


def nearest_hits(
    distance: NDArray[np.float64], near: NDArray[np.bool_], order: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """(P,) whether each prediction is a hit, for (P, G) distances and whether each is near enough.

    In `order` each prediction takes its single nearest truth: a hit if near and the truth is still free. Ours.
    """
    hit = np.zeros(len(distance), bool)
    if not distance.size:
        return hit
    nearest = distance.argmin(1)
    free = np.ones(distance.shape[1], bool)
    for i in order:
        if near[i, nearest[i]] and free[nearest[i]]:
            free[nearest[i]] = False
            hit[i] = True
    return hit


def best_least_score(frames: Sequence[FrameMatches], threshold: int) -> float:
    """The score, in hundredths, below which to leave predictions out for the highest F1, mean of the classes.

    `threshold` says by its place which hits count; the least of several that are as good. Ours.
    """
    candidates = np.arange(1, 100) / 100
    f1 = []
    for c in range(len(CLASSES)):
        truths = sum(f.truths[c] for f in frames)
        if truths:
            score = np.concatenate([f.scores[c] for f in frames])
            hits = np.concatenate([f.hits[c][threshold] for f in frames])
            kept = score >= candidates[:, None]                                         # candidates P
            f1.append(2 * (kept & hits).sum(1) / (kept.sum(1) + truths))
    return float(candidates[np.mean(f1, 0).argmax()]) if f1 else 0.0


def pooled_ap(
    definition: str,
    thresholds_m: tuple[float, ...],
    frames: Sequence[FrameMatches],
    ranks: Callable[[NDArray[np.float64]], NDArray[np.intp]],
    area: Callable[[NDArray[np.bool_], int], float],
) -> ApResult:
    """AP of the pooled frames; NaN for a class that has neither prediction nor truth.

    `ranks` puts scores in descending order, `area` is what the ranked hits of so many truths give. Ours.
    """
    ap = np.full((len(CLASSES), len(thresholds_m)), np.nan)
    for c in range(len(CLASSES)):
        truths = sum(f.truths[c] for f in frames)
        score = np.concatenate([f.scores[c] for f in frames]) if frames else np.zeros(0)
        if truths == 0 and len(score) == 0:
            continue
        order = ranks(score)
        for t in range(len(thresholds_m)):
            ap[c, t] = area(np.concatenate([f.hits[c][t] for f in frames])[order], truths)
    return ApResult(definition, thresholds_m, ap, len(frames))
