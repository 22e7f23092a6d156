"""`pyramid`: the student's map must overlap the teacher's at several coarsenesses. Source: ours.

An overlap ratio gives a class that covers few cells as much say as one that covers many: students that otherwise draw
no crossing at all draw them. Averaged over 2, 4 and 8 cells a map can be right before it is sharp; that was the idea of
the coarser scales, which brought nothing where it was measured (benchmarks/results, `pyramid_cell`).
"""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Networks
from mapkd_core.distill.taps import TapPair
from mapkd_core.distill.taught_map import TaughtMap
from mapkd_core.losses import OVERLAP_SCALES, pyramid_overlap


@dataclass(frozen=True)
class PyramidConfig:
    """The response alone, at the cell and over 2, 4 and 8 cells."""

    overlap_weight: float = 1.0
    feature_weight: float = 0.0
    """Mean square of `bev_small` features, as `kd_mse`."""
    scales: tuple[int, ...] = OVERLAP_SCALES
    coach_share: float = 0.0
    """Share of the coach in the map that is imitated, 0..1."""


class Pyramid(TaughtMap):
    """Overlap with the teacher's map at several scales, and optionally the BEV feature."""

    Config = PyramidConfig
    any_cells = True

    def __init__(self, networks: Networks, config: PyramidConfig) -> None:
        super().__init__(networks, config)
        if not config.scales or min(config.scales) < 1:
            raise ValueError(f"scales are {config.scales}; expected whole numbers of cells such as (1, 2, 4, 8)")
        if config.feature_weight:
            self.pair = TapPair(networks, "bev_small")

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`overlap`, and `feature` where it has a weight."""
        overlap = pyramid_overlap(
            step.student.semantic.float().softmax(1), self.taught(step), self.config.scales
        )
        if not self.config.feature_weight:
            return {"overlap": overlap}
        return {"overlap": overlap, "feature": functional.mse_loss(*self.pair(step))}
