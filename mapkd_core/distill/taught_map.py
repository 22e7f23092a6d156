"""The map that a student is to imitate: the teacher's, or between the teacher's and the coach's. Source: ours."""
from __future__ import annotations

from typing import Any

from torch import Tensor

from mapkd_core.distill.interface import DistillStep, Method, Networks


class TaughtMap(Method):
    """Base of methods whose config has a `coach_share`, 0..1, of the coach in the map that is imitated."""

    def __init__(self, networks: Networks, config: Any) -> None:
        super().__init__(networks, config)
        if not 0 <= config.coach_share <= 1:
            raise ValueError(f"coach_share is {config.coach_share}; expected 0..1")
        if config.coach_share:
            networks.probe.of("coach")

    def asks_coach(self) -> bool:
        """Where it has a share."""
        return bool(self.config.coach_share > 0)

    def taught(self, step: DistillStep) -> Tensor:
        """Class probabilities B 4 Y X, without gradients."""
        target = step.teacher.semantic.float().softmax(1)
        if self.config.coach_share:
            target = target.lerp(step.of("coach").semantic.float().softmax(1), self.config.coach_share)
        return target.detach()
