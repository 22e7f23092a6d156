"""How much of the true lines was found, and how much of the predicted lines is true: by length, class and distance."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.alignment import Alignment
from mapkd_core.metrics.bands import Band
from mapkd_core.metrics.line_places import LINE_THRESHOLDS_M, LinePlaces, distances_m
from mapkd_core.types import CLASSES, MapElement


def _zeros() -> NDArray[np.float64]:
    return np.zeros((0, len(CLASSES), len(LINE_THRESHOLDS_M)))


@dataclass(frozen=True, eq=False)
class LineCounts:
    """Metres of line by band, class and threshold; sums over frames are sums of these."""

    bands: tuple[Band, ...]
    true_m: NDArray[np.float64] = field(default_factory=_zeros)
    """(bands, classes, thresholds) length of the truth; the same for all thresholds."""
    found_m: NDArray[np.float64] = field(default_factory=_zeros)
    """Of these, as far as a predicted line of the class lies within the threshold."""
    predicted_m: NDArray[np.float64] = field(default_factory=_zeros)
    right_m: NDArray[np.float64] = field(default_factory=_zeros)
    """Of the predicted length, as far as a true line of the class lies within the threshold."""

    def __add__(self, other: LineCounts) -> LineCounts:
        return LineCounts(
            self.bands, self.true_m + other.true_m, self.found_m + other.found_m,
            self.predicted_m + other.predicted_m, self.right_m + other.right_m,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """{band: {class: lengths in metres, recall and precision by threshold}} as plain values.

        Recall is None where the truth has no line, precision where the prediction has none.
        """
        return {
            band.name: {label: self._of(b, c) for c, label in enumerate(CLASSES)} for b, band in enumerate(self.bands)
        }

    def _of(self, band: int, label: int) -> dict[str, Any]:
        true, predicted = float(self.true_m[band, label, 0]), float(self.predicted_m[band, label, 0])
        return {
            "true_m": round(true, 3),
            "predicted_m": round(predicted, 3),
            "recall": _shares(self.found_m[band, label], true),
            "precision": _shares(self.right_m[band, label], predicted),
        }


def _shares(part_m: NDArray[np.float64], whole_m: float) -> dict[str, float | None]:
    return {f"{t:g}": float(v / whole_m) if whole_m else None for t, v in zip(LINE_THRESHOLDS_M, part_m, strict=True)}


def count_lines(
    predicted: Sequence[MapElement],
    true: Sequence[MapElement],
    bands: Sequence[Band],
    grid: BevGrid,
    alignment: Alignment | None = None,
) -> LineCounts:
    """Counts of one frame; `alignment` moves the truth first.

    A place belongs to the band that it lies in itself; lines are not cut there. Of a moved truth, the strips at the
    grid's edges do not count that only one side reaches. Source: ours.
    """
    shape = (len(bands), len(CLASSES), len(LINE_THRESHOLDS_M))
    whole, near = np.zeros((2, *shape)), np.zeros((2, *shape))
    if alignment is not None:
        true = alignment.moved(true)
    for c, label in enumerate(CLASSES):
        for side, (mine, theirs) in enumerate([(true, predicted), (predicted, true)]):
            places = LinePlaces.of(mine, label)
            within = distances_m(places.points_m, theirs, label)[:, None] <= np.array(LINE_THRESHOLDS_M)
            away = np.linalg.norm(places.points_m, axis=1)
            counted = away >= 0
            if alignment is not None:
                counted = grid.contains(places.points_m if side == 0 else alignment.points_back(places.points_m))
            for b, band in enumerate(bands):
                length = places.length_m * (counted & (away >= band.near_m) & (away < band.far_m))
                whole[side, b, c] = length.sum()
                near[side, b, c] = length @ within
    return LineCounts(tuple(bands), whole[0], near[0], whole[1], near[1])
