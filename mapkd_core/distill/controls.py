"""The controls every method must beat: no distillation, plain logits, plain features."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import TapPair


@dataclass(frozen=True)
class NoneConfig:
    """Nothing to set."""


class NoDistillation(Method):
    """The student alone, by the same command and data order."""

    Config = NoneConfig
    any_cells = True

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """None."""
        return {}


@dataclass(frozen=True)
class LogitConfig:
    """Weight as MapKD's response term."""

    response_weight: float = 0.75


class LogitDistillation(Method):
    """The student's logits follow the teacher's probabilities on all pixels (Hinton et al. 2015, temperature 1)."""

    Config = LogitConfig

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`response`."""
        return {"response": soft_bce(step.student.semantic, step.teacher.semantic).mean()}


@dataclass(frozen=True)
class FeatureConfig:
    """Which feature, and the weight of MapKD's feature term."""

    tap: str = "bev_small"
    feature_weight: float = 0.5


class FeatureDistillation(Method):
    """The student's BEV feature follows the teacher's in the mean square (Romero et al. 2015)."""

    Config = FeatureConfig
    any_cells = True
    calibration_tap = "bev_small"

    def __init__(self, networks: Networks, config: FeatureConfig) -> None:
        super().__init__(networks, config)
        self.pair = TapPair(networks, config.tap)

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`feature`."""
        mine, theirs = self.pair(step)
        return {"feature": functional.mse_loss(mine, theirs)}


def soft_bce(logits: Tensor, target_logits: Tensor) -> Tensor:
    """Binary cross entropy of each element against the detached sigmoid of other logits; least where both agree."""
    return functional.binary_cross_entropy_with_logits(logits, target_logits.detach().sigmoid(), reduction="none")
