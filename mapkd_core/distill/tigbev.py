"""TiG-BEV: the inner geometry of each element, as products between its points and between channels.

Source: TiG-BEV (arXiv 2212.13979), released code ADLab3Ds/TiG-BEV; a detection method adapted to map elements (ours): a
grid over an enlarged box became a ribbon of the same extra width along a line. The third part of the method, depth
inside an object, needs a student that predicts depth; ours and the papers' students do not, so it is left out.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import TapPair, same_size, tap


def gram(points: Tensor) -> Tensor:
    """Products of the rows of ... N C, each row of the result at unit length, ... N N."""
    return functional.normalize(points @ points.transpose(-1, -2), dim=-1)


def gram_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference of two row-normalised Gram matrices, summed along rows, mean over the rest."""
    return ((gram(student) - gram(teacher)) ** 2).sum(-1).mean()


@dataclass(frozen=True)
class TigBevConfig:
    """Published weights."""

    points_weight: float = 100.0
    channels_weight: float = 10.0
    along: int = 24
    across: int = 9
    width_m: float = 1.6
    most_elements: int = 16


class TigBev(Method):
    """Gram matrices of points and of channels in a ribbon along each element, at `up1`."""

    Config = TigBevConfig
    calibration_tap = "up1"

    def __init__(self, networks: Networks, config: TigBevConfig) -> None:
        super().__init__(networks, config)
        self.pair = TapPair(networks, "up1", always=True)
        half_m = config.width_m / 2
        self.across_m = np.linspace(-half_m, half_m, config.across, dtype=np.float64)

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`points`, `channels`."""
        adapted, theirs = self.pair(step)
        mine = same_size(tap(step.student, "up1"), theirs)[0]  # products of points need no common width
        points, channels = [mine.sum() * 0], [adapted.sum() * 0]
        ribbons = step.regions.ribbons_m(self.config.along, self.across_m, self.config.most_elements, step.step)
        for sample, where in enumerate(ribbons):                                        # E P 2
            if len(where):
                raw, wide, known = (step.regions.sample(f[sample], where) for f in (mine, adapted, theirs))  # E P C
                points.append(gram_distance(raw, known))
                channels.append(gram_distance(wide.transpose(1, 2), known.transpose(1, 2)))
        count = max(len(points) - 1, 1)
        return {"points": torch.stack(points).sum() / count, "channels": torch.stack(channels).sum() / count}
