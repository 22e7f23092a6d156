"""What every average-precision definition returns."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import CLASSES

THRESHOLDS_HDMAPNET_M: tuple[float, ...] = (0.2, 0.5, 1.0)
"""Thresholds of the HDMapNet paper, metres (its released evaluator has 2, 4, 6)."""
THRESHOLDS_MAPTR_M: tuple[float, ...] = (0.5, 1.0, 1.5)
"""Thresholds of MapTR and P-MapNet, metres."""


@dataclass(frozen=True, eq=False)
class ApResult:
    """Average precision per class and threshold under one named definition."""

    definition: str
    """`ap_hdmapnet`, `ap_pmapnet`, `ap_chamfer`, or one of these with `_corrected`."""
    thresholds_m: tuple[float, ...]
    ap: NDArray[np.floating]
    """(classes, thresholds) 0..1; NaN where a class never occurs in predictions or truth."""
    frames: int
    """How many frames were scored."""

    @property
    def per_class(self) -> dict[str, float]:
        """Mean over thresholds, by class name."""
        return {label: float(np.mean(row)) for label, row in zip(CLASSES, self.ap, strict=True)}

    @property
    def per_threshold(self) -> dict[float, float]:
        """Mean over the classes that occur, by threshold in metres."""
        return {t: _mean(column) for t, column in zip(self.thresholds_m, self.ap.T, strict=True)}

    @property
    def mean(self) -> float:
        """MAP: mean over thresholds and the classes that occur; NaN if none does."""
        return _mean(self.ap)

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; NaN becomes None."""
        return {
            "thresholds_m": list(self.thresholds_m),
            "mAP": _plain(self.mean),
            "per_class": {label: _plain(value) for label, value in self.per_class.items()},
            "per_threshold": {f"{t:g}": _plain(value) for t, value in self.per_threshold.items()},
            "ap": {label: [_plain(v) for v in row] for label, row in zip(CLASSES, self.ap, strict=True)},
            "frames": self.frames,
        }


def _mean(values: NDArray[np.floating]) -> float:
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
