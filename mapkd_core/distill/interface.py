"""What a distillation method is, and what it sees: predictions of all networks, the labels, and their regions.

Legend: B batch, C channels, Y X grid, h w a feature map.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mapkd_core.config import LossConfig, load_config_dict
from mapkd_core.distill.regions import Regions
from mapkd_core.grid import BevGrid
from mapkd_core.types import Batch, Prediction, VectorPrediction


@dataclass
class DistillStep:
    """One training step as a method sees it; only `student` carries gradients."""

    student: Prediction
    teacher: Prediction
    coach: Prediction | None
    batch: Batch
    regions: Regions
    step: int

    def dense(self) -> DistillStep:
        """The same with maps alone: of a network that predicts vertices the map beside them."""
        student = self.student.dense() if isinstance(self.student, VectorPrediction) else self.student
        return replace(self, student=student)

    def of(self, role: str) -> Prediction:
        """The prediction of `student`, `teacher` or `coach`."""
        prediction = getattr(self, role)
        if prediction is None:
            raise ValueError(f"this method needs a {role} and there is none; name one in the config")
        return prediction


@dataclass(frozen=True, eq=False)
class Networks:
    """What a method's constructor may know: one probe step with every network's shapes, and the frozen networks."""

    probe: DistillStep
    """Predictions for a batch of one; only their shapes mean anything."""
    teacher: nn.Module
    grid: BevGrid
    steps: int = 1
    """Length of the run."""
    loss: LossConfig = field(default_factory=LossConfig)
    student_network: nn.Module | None = None


class Method(nn.Module, ABC):
    """Base of all methods. Its parameters are trained and checkpointed with the student and never shipped.

    A subclass names its config dataclass, makes its train-only modules in the constructor and returns unweighted
    losses from `terms`. Every config field `NAME_weight` is the weight of the term `NAME`; a weight of 0 lets a method
    skip the term. Frozen networks must not become attributes of a module, or they would be trained and saved.
    """

    Config: ClassVar[Any]
    calibration_tap: ClassVar[str] = "semantic"
    """The deepest feature of the student that the method distils; `semantic` for the logits."""

    vectors: ClassVar[bool] = False
    """Whether the method compares vertices: its teacher then is a vector network, else one that predicts a map."""
    any_cells: ClassVar[bool] = False
    """Whether a teacher on larger cells, whose map is redrawn, will do (`coarser.CoarserTeacher`)."""

    def __init__(self, networks: Networks, config: Any) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """Named unweighted losses of this step."""

    def weights(self) -> dict[str, float]:
        """Weight of every term."""
        return {
            f.name.removesuffix("_weight"): float(getattr(self.config, f.name))
            for f in fields(self.config) if f.name.endswith("_weight")
        }

    def asks_coach(self) -> bool:
        """Whether `terms` reads the coach; it is not run otherwise."""
        return False

    def whole_from(self) -> int:
        """The first step in which every term teaches the student; calibration measures once more from there."""
        return 0

    def prepare_student(self, student: nn.Module, teacher: nn.Module) -> None:
        """Changes the fresh student before training, for methods that start it from the teacher."""


def method_config(kind: type, options: Mapping[str, Any], method: str) -> Any:
    """A method's config with overrides; raises ValueError for an unknown option, with the nearest known one."""
    return load_config_dict(kind, dict(options), where=f"method_options of {method}")


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a detached tensor over all training processes, itself in a single one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        value = value.clone()
        torch.distributed.all_reduce(value)
        value /= torch.distributed.get_world_size()
    return value
