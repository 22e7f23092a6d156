"""A tiny teacher, coach and students with one batch of stripes, for tests of distillation."""
import copy
from dataclasses import replace

import torch
from toy import SIZE, ToySamples

from mapkd_core.config import DataConfig, LossConfig
from mapkd_core.data.dataset import Collate
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.frozen import freeze
from mapkd_core.distill.interface import DistillStep, Networks
from mapkd_core.distill.methods import build_method
from mapkd_core.distill.probe import probe_step
from mapkd_core.distill.regions import Regions
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
STUDENT = {"variant": "nano", "image_width": 8, "bev_width": 8, "view_channels": 8}
NARROW = {
    "encoder": "small", "camera_channels": 8, "lidar_channels": 8, "pillar_width": 8,
    "view": "pillars", "bev_width": 8, "mae_dim": 16, "mae_layers": 1, "mae_heads": 2,
}
TEACHER, COACH = "pmapnet_cl_sd", "coach_sd"


def config(**changes):
    base = DistillConfig(
        model="student", model_options=STUDENT, grid=GRID, teacher="t", method="mapkd", steps=10,
        data=DataConfig(image_size=SIZE, lidar=True, sd_map=True), loss=LossConfig(), accelerator="cpu",
    )
    return replace(base, **changes)


def network(name, seed=0):
    torch.manual_seed(seed)
    built = build_model(name, GRID, SIZE, STUDENT if name == "student" else NARROW)
    for parameter in built.parameters():  # norms that start at zero would hide what lies behind them
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.2)
    return built


def batch_of(samples=2, with_lines=True, seed=0):
    toys = [ToySamples()[i + 1] for i in range(samples)]
    if not with_lines:
        toys = [replace(toy, elements=()) for toy in toys]
    batch = Collate(GRID)(toys)
    generator = torch.Generator().manual_seed(seed)
    span = torch.tensor([24, 12, 2, 255, 0.1])
    batch.lidar = torch.rand(samples, 200, 5, generator=generator) * span - torch.tensor([12.0, 6, 0, 0, 0])
    batch.lidar_mask = torch.ones(samples, 200)
    batch.sd_map = torch.rand(samples, 1, *GRID.shape, generator=generator).round() * 2 - 1
    return batch


class Bench:
    """Networks and a method as the objective puts them together."""

    def __init__(self, student="student", teacher=TEACHER, coach=COACH):
        self.student = network(student, 1)
        self.teacher = freeze(network(teacher, 2))
        self.coach = freeze(network(coach, 3)) if coach else None
        self._answers, self._probe = {}, probe_step(config(), self.student, self.teacher, self.coach)

    def method(self, name, **options):
        torch.manual_seed(5)
        return build_method(name, Networks(self._probe, self.teacher, GRID, 10, LossConfig(), self.student), options)

    def step(self, batch, number=3):
        if id(batch) not in self._answers:
            with torch.no_grad():
                self._answers[id(batch)] = self.teacher(batch), self.coach(batch) if self.coach else None
        return DistillStep(self.student(batch), *self._answers[id(batch)], batch, Regions(batch, GRID), number)


def imitated(step):
    """The same step with a student whose predictions and features equal the teacher's; its tensors are leaves."""
    student = copy.deepcopy(step.teacher)
    student.taps = {name: value.clone().requires_grad_() for name, value in student.taps.items()}
    for head in ("semantic", "embedding", "direction"):
        value = getattr(student, head)
        if value is not None:
            setattr(student, head, value.clone().requires_grad_())
    return replace(step, student=student, coach=copy.deepcopy(step.teacher))


def leaves(prediction):
    return [v for v in (*prediction.taps.values(), prediction.semantic, prediction.direction) if v is not None]
