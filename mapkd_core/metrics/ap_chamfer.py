"""Average precision as MapTR computes it: no raster, all frames pooled into one curve.

Legend: P predictions and G truths of one class in one frame, n = 100 points on every line.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from shapely.geometry import LineString

from mapkd_core.metrics.ap_result import THRESHOLDS_MAPTR_M, ApResult
from mapkd_core.metrics.crossings import closed_line
from mapkd_core.metrics.parallel import map_frames
from mapkd_core.metrics.pooled import FrameMatches, nearest_hits, pooled_ap
from mapkd_core.types import CLASSES, MapElement

_POINTS = 100
_BAND_M = 2.0
"""Half the width of the bands around two lines that must meet for the pair to have a distance at all."""
_SURELY_M = 1.9
"""A vertex this near to the other line's inner part lies in its band, whatever the buffer's own approximation."""


@dataclass(frozen=True)
class ChamferAp:
    """MapTR's definition, for scoring frame by frame.

    Both sides are re-sampled to 100 points at equal arc length. The distance of a pair is the mean of the two mean
    nearest-point distances, if the lines widened by 2 m meet at all. In descending score each prediction takes its
    single nearest truth: a hit within the threshold if that truth is still free, otherwise a false positive. The area
    under the pooled, monotone precision-recall curve is the AP.

    Crossings are compared as they come; MapTR's are closed rings. The compatible form sums in single precision and
    sorts with NumPy's default, unstable sort, so that equal scores may rank differently on another machine;
    `corrected` sorts stably and sums in double precision. Source: MapTR (Liao et al., ICLR 2023), section 4.1, and its
    released evaluator.
    """

    thresholds_m: tuple[float, ...] = THRESHOLDS_MAPTR_M
    corrected: bool = False
    definition: str = field(init=False, default="ap_chamfer")

    def __post_init__(self) -> None:
        if self.corrected:
            object.__setattr__(self, "definition", "ap_chamfer_corrected")

    def frame(self, predicted: Iterable[MapElement], truth: Iterable[MapElement]) -> FrameMatches:
        """Hits and misses of one frame, at every threshold."""
        found, true = list(predicted), list(truth)
        scores, hits, counts = [], [], []
        for label in CLASSES:
            ours = [e for e in found if e.label == label]
            theirs = [e for e in true if e.label == label]
            score = np.array([e.score for e in ours], np.float64)
            distance = pair_distances_m(ours, theirs, max(self.thresholds_m))
            scores.append(score)
            order = self._ranks(score)
            hits.append(np.stack([nearest_hits(distance, distance <= t, order) for t in self.thresholds_m]))
            counts.append(len(theirs))
        return FrameMatches(tuple(scores), tuple(hits), tuple(counts))

    def total(self, frames: Sequence[FrameMatches]) -> ApResult:
        """AP of the pooled frames; NaN for a class that has neither prediction nor truth."""
        area = partial(_area, dtype=np.float64 if self.corrected else np.float32)
        return pooled_ap(self.definition, self.thresholds_m, frames, self._ranks, area)

    def _ranks(self, score: NDArray[np.float64]) -> NDArray[np.intp]:
        return np.argsort(-score, kind="stable" if self.corrected else None)


def ap_chamfer(
    predictions: Sequence[Iterable[MapElement]],
    truths: Sequence[Iterable[MapElement]],
    thresholds_m: Sequence[float] = THRESHOLDS_MAPTR_M,
    corrected: bool = False,
    processes: int = 1,
) -> ApResult:
    """MapTR's AP over frames (`predictions[i]` belongs to `truths[i]`); see `ChamferAp`."""
    definition = ChamferAp(tuple(thresholds_m), corrected)
    return definition.total(map_frames(definition.frame, predictions, truths, processes))


def pair_distances_m(
    found: Sequence[MapElement], true: Sequence[MapElement], limit_m: float
) -> NDArray[np.float64]:
    """(P, G) Chamfer distances of re-sampled lines; infinite where the widened lines do not meet.

    Beyond `limit_m` the widening is not tested: such a pair is a miss with or without it.
    """
    a, b = _resampled(found), _resampled(true)
    if not len(a) or not len(b):
        return np.full((len(a), len(b)), np.inf)
    every = cdist(a.reshape(-1, 2), b.reshape(-1, 2)).reshape(len(a), _POINTS, len(b), _POINTS)
    distance = (every.min(1).mean(-1) + every.min(3).mean(1)) / 2
    for i, j in zip(*np.nonzero(distance <= limit_m), strict=True):
        if not _bands_meet(a[i], b[j]):
            distance[i, j] = np.inf
    return distance


def _resampled(elements: Sequence[MapElement]) -> NDArray[np.float64]:
    """(lines, n, 2) points at equal arc length, both ends included."""
    if not elements:
        return np.zeros((0, _POINTS, 2))
    lines = np.array([LineString(closed_line(e)) for e in elements], object)
    along = np.stack([np.linspace(0, line.length, _POINTS) for line in lines])
    return np.asarray(shapely.get_coordinates(shapely.line_interpolate_point(lines[:, None], along))).reshape(
        len(lines), _POINTS, 2
    )


def _bands_meet(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether two lines (n, 2) widened by 2 m to both sides, with flat ends and mitred bends, meet."""
    start, step = b[:-1], np.diff(b, axis=0)
    length = np.linalg.norm(step, axis=1)
    unit = step / np.maximum(length, 1e-12)[:, None]
    offset = a[:, None] - start
    along = np.einsum("psk,sk->ps", offset, unit)
    across = offset[..., 0] * unit[:, 1] - offset[..., 1] * unit[:, 0]
    if np.any((along >= 0) & (along <= length) & (np.abs(across) < _SURELY_M) & (length > 1e-6)):
        return True
    wide = [LineString(line).buffer(_BAND_M, cap_style="flat", join_style="mitre") for line in (a, b)]
    return bool(wide[0].intersects(wide[1]))


def _area(ranked: NDArray[np.bool_], truths: int, dtype: type) -> float:
    """Area under the precision-recall curve made monotone from the right."""
    tp: NDArray[np.floating] = np.cumsum(ranked, dtype=dtype)
    fp: NDArray[np.floating] = np.cumsum(~ranked, dtype=dtype)
    tiny = np.finfo(np.float32).eps
    recall = np.concatenate([[0], tp / dtype(max(truths, tiny)), [1]]).astype(dtype)
    precision = np.concatenate([[0], tp / np.maximum(tp + fp, tiny), [0]]).astype(dtype)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.nonzero(recall[1:] != recall[:-1])[0]
    return float(np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1]))
