"""Average precision of drawn instances, frame by frame: what HDMapNet's and P-MapNet's definitions share.

Legend: C classes, T thresholds, P predicted and G true instances of one class in one frame.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_THICKNESS, BevGrid
from mapkd_core.metrics.ap_result import ApResult
from mapkd_core.metrics.chamfer import PixelSet, chamfer_table_m
from mapkd_core.metrics.crossings import in_side_form
from mapkd_core.metrics.drawing import draw, instances
from mapkd_core.types import CLASSES, MapElement

_Sets = dict[int, PixelSet]
"""Instances by id, ascending."""
_STEP = np.float32(0.9) / np.float32(9)
_RECALLS = np.array(
    [np.float32(0.1) + _STEP * np.float32(k) for k in range(5)]
    + [np.float32(1) - _STEP * np.float32(k) for k in range(4, -1, -1)]
)
"""0.1, 0.2 ... 1 as `torch.linspace` rounds them: seven of ten do not reach its 0.70000005."""


@dataclass(frozen=True)
class RasterAp:
    """One raster definition of average precision; use `ap_hdmapnet` or `ap_pmapnet` to get one.

    `frame` scores one frame and needs nothing else, so frames may be scored in any process; `total` averages frames.
    """

    definition: str
    grid: BevGrid
    thresholds_m: tuple[float, ...]
    corrected: bool
    """One id per line, descending confidence, exact numbers; otherwise the peers' evaluator to the digit."""
    one_way: bool
    """Distance from prediction to truth only, otherwise the mean of both directions."""
    min_iou: float | None
    """A matched pair counts only with at least this pixel IoU; it is struck out either way."""
    thickness: int = LINE_THICKNESS

    def frame(self, predicted: Iterable[MapElement], truth: Iterable[MapElement]) -> NDArray[np.float32]:
        """(C, T) average precision of one frame; NaN for a class that neither side has."""
        drawn = draw(in_side_form(predicted), self.grid, self.thickness, self.corrected)
        wanted = draw(in_side_form(truth), self.grid, self.thickness, self.corrected)
        result = np.full((len(CLASSES), len(self.thresholds_m)), np.nan, np.float32)
        for channel in range(len(CLASSES)):
            found = _pixel_sets(drawn.ids[channel], self.grid)
            true = _pixel_sets(wanted.ids[channel], self.grid)
            if not found and not true:
                continue
            distance = chamfer_table_m(
                list(found.values()), list(true.values()), self.grid.shape, self.grid.cell_m,
                max(self.thresholds_m), self.one_way, exact=self.corrected,
            )
            allowed = self._overlap_allowed(drawn.ids[channel], wanted.ids[channel], found, true)
            confidence = np.array([drawn.confidence_of(i) for i in found], np.float32)
            for column, threshold in enumerate(self.thresholds_m):
                matched = _match(distance, threshold, allowed)
                result[channel, column] = self._average_precision(matched, confidence, len(true))
        return result

    def total(self, frames: Sequence[NDArray[np.float32]]) -> ApResult:
        """Mean over the frames in which a class has a prediction or a truth."""
        precision = np.float64 if self.corrected else np.float32
        sums: NDArray[np.floating] = np.zeros((len(CLASSES), len(self.thresholds_m)), precision)
        counts: NDArray[np.floating] = np.zeros(len(CLASSES), precision)
        for scores in frames:  # one by one: single precision sums depend on the order
            present = ~np.isnan(scores[:, 0])
            sums[present] += scores[present]
            counts[present] += 1
        with np.errstate(invalid="ignore", divide="ignore"):
            return ApResult(self.definition, self.thresholds_m, sums / counts[:, None], len(frames))

    def _overlap_allowed(
        self, drawn: NDArray[np.integer], wanted: NDArray[np.integer], found: _Sets, true: _Sets
    ) -> NDArray[np.bool_]:
        """(P, G) which pairs share enough pixels."""
        if self.min_iou is None:
            return np.ones((len(found), len(true)), bool)
        both = np.nonzero((drawn > 0) & (wanted > 0))
        joint = np.zeros((int(drawn.max()) + 1, int(wanted.max()) + 1), np.int64)
        np.add.at(joint, (drawn[both], wanted[both]), 1)
        shared = joint[np.ix_(list(found), list(true))]
        sizes = np.array([len(a) for a in found.values()])[:, None] + np.array([len(b) for b in true.values()])
        union = sizes - shared
        if self.corrected:
            return np.asarray(shared / union >= self.min_iou)
        # In single precision a pair with exactly the wanted share passes, as in the released code.
        return np.asarray(shared.astype(np.float32) / union.astype(np.float32) >= np.float32(self.min_iou))

    def _average_precision(
        self, matched: NDArray[np.intp], confidence: NDArray[np.float32], true_count: int
    ) -> np.float32:
        """Mean over ten recalls of the first precision that reaches them."""
        if true_count == 0:
            return np.float32(0)
        rest = np.setdiff1d(np.arange(len(confidence)), matched)
        order = np.concatenate([matched, rest]).astype(np.intp)
        hits = np.arange(len(order)) < len(matched)
        key = -confidence[order] if self.corrected else confidence[order]
        ranked = hits[np.argsort(key, kind="stable")]
        tp = np.cumsum(ranked).astype(np.float32)
        precision = tp / np.arange(1, len(tp) + 1, dtype=np.float32)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        total = np.float32(0)
        wanted = np.arange(1, 11) / 10 - 1e-9 if self.corrected else _RECALLS
        recall = np.cumsum(ranked) / true_count if self.corrected else tp / np.float32(true_count)
        for reached in np.searchsorted(recall, wanted):
            if reached < len(recall):
                total = np.float32(total + precision[reached])
        return np.float32(total / len(_RECALLS))


def _pixel_sets(canvas: NDArray[np.integer], grid: BevGrid) -> _Sets:
    return {i: PixelSet(rows, cols, grid.cell_m) for i, rows, cols in instances(canvas)}


def _match(
    distance: NDArray[np.floating], threshold: float, allowed: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Predictions matched one to one, smallest distance first, strictly below the threshold; in match order."""
    # NumPy 1 would compare a float32 with the number itself, and 0.7 is more than its own float32.
    bound = distance.dtype.type(threshold)
    work = np.minimum(distance, bound)
    matched = []
    while work.size:
        i, j = np.unravel_index(np.argmin(work), work.shape)
        if work[i, j] >= bound:
            break
        if allowed[i, j]:
            matched.append(i)
        work[i, :] = bound
        work[:, j] = bound
    return np.array(matched, np.intp)
