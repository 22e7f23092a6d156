"""One common factor for a method's weights, so that distillation pulls neither much less nor more than the task.

Published weights of detection methods assume the size of detection features. Ours.
"""
from __future__ import annotations

import logging
import math

import torch
from torch import Tensor, nn

from mapkd_core.distill.interface import mean_over_processes

LOG = logging.getLogger(__name__)
EVERY = 4
"""Steps between two measurements: each costs two more passes back from the losses to the feature."""


class Calibration(nn.Module):
    """Measures gradient ratios over the first steps, then fixes the factor; saved with the run.

    The factor of what has been measured so far holds from the first step on: weights a hundred times too large, kept
    until the measuring is over, would spoil a short run for good. Of a method whose terms do not all begin at once, the
    ratios are measured anew from the step `again` on; what was measured before counts no longer.
    """

    def __init__(
        self, steps: int, low: float = 0.1, high: float = 1.0, aim: float = 0.3, again: int = 0
    ) -> None:
        super().__init__()
        self.steps, self.low, self.high, self.aim, self.again = steps, low, high, aim, again
        self.register_buffer("ratios", torch.full((max(math.ceil(steps / EVERY), 1),), torch.nan))
        self.register_buffer("factor", torch.ones(()))
        self.register_buffer("done", torch.tensor(steps == 0))
        self.ratios: Tensor
        self.factor: Tensor
        self.done: Tensor

    def wants(self, step: int) -> bool:
        """Whether this step is to be measured."""
        return not bool(self.done) and self._place(step) < self.steps and self._place(step) % EVERY == 0

    def measure(self, step: int, feature: Tensor, distillation: Tensor, task: Tensor) -> None:
        """Takes |d distillation / d feature| / |d task / d feature| of a step in."""
        norms = []
        for loss in (distillation, task):
            (gradient,) = torch.autograd.grad(loss, feature, retain_graph=True, allow_unused=True)
            norms.append(gradient.norm() if gradient is not None else torch.zeros((), device=feature.device))
        self.take(step, mean_over_processes(norms[0] / norms[1].clamp(min=1e-12)))

    def take(self, step: int, ratio: Tensor) -> None:
        """Keeps a ratio."""
        place = self._place(step)
        if place == 0:
            self.ratios.fill_(torch.nan)
        self.ratios[min(place // EVERY, len(self.ratios) - 1)] = ratio.detach()
        self._follow()

    def settle(self, step: int) -> None:
        """Fixes the factor once the measured steps are over."""
        if bool(self.done) or step < self.again + self.steps:
            return
        self._follow()
        self.done.fill_(True)
        LOG.info(
            "gradient ratio of distillation to task %.3g: weights times %.4g",
            float(self.ratios.nanmedian()), float(self.factor),
        )

    def _place(self, step: int) -> int:
        """Steps since this measuring began."""
        return step - self.again if step >= self.again else step

    def _follow(self) -> None:
        median = float(self.ratios.nanmedian())
        outside = median > 0 and not self.low <= median <= self.high
        self.factor.fill_(self.aim / median if outside else 1.0)
