"""What a training step minimises."""
from __future__ import annotations

from dataclasses import asdict
from typing import Protocol

from torch import Tensor, nn

from mapkd_core.config import TrainConfig
from mapkd_core.types import Batch, Prediction
from mapkd_core.vector_loss.terms import map_terms


class Objective(Protocol):
    """What a step minimises, and the train-only modules that come with it."""

    modules: nn.Module
    """Train-only parameters; optimised and checkpointed, never shipped."""

    def prepare(self, network: nn.Module) -> None:
        """Called once with the fresh network, before the optimizer is made; `modules` must stand afterwards."""

    def terms(self, prediction: Prediction, batch: Batch, step: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Named losses and their weights; the prediction may be in half precision, the losses are not."""


class TaskObjective:
    """The map losses alone."""

    def __init__(self, config: TrainConfig) -> None:
        """Raises ValueError for a config with frames that nobody labels."""
        if config.data.unlabelled:
            raise ValueError("data.unlabelled needs a teacher: use `mapkd distill`, or leave those frames out")
        self.config = config
        self.modules: nn.Module = nn.Module()

    def prepare(self, network: nn.Module) -> None:
        """Nothing to prepare."""

    def terms(self, prediction: Prediction, batch: Batch, step: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Named losses and their weights."""
        whole = prediction.in_single_precision()
        return map_terms(whole, batch, self.config.loss, self.config.grid), asdict(self.config.loss)
