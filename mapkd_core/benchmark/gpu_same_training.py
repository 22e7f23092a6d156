"""Is training the same on a GPU: each distillation method's terms and gradients, and steps in every precision."""
from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from mapkd_core.benchmark.gpu_cases import Case, Setting, Values, tf32, verdict

if TYPE_CHECKING:
    from torch import nn

    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.types import Batch

SEED = 31
TERM_TOLERANCE, GRADIENT_TOLERANCE = 2e-3, 1e-2
"""Relative, of each term and of the student's whole gradient, without TF32: sums run in another order there."""
STEP_TOLERANCES = {"32-true": 5e-3, "bf16-mixed": 5e-2, "16-mixed": 0.2}
"""Relative, of the loss after three steps, by precision. With loss scaling the first steps may be left out."""
STUDENT = {"variant": "nano", "image_width": 8, "bev_width": 8, "view_channels": 8}
NARROW = {
    "encoder": "small", "camera_channels": 8, "lidar_channels": 8, "pillar_width": 8, "view": "pillars", "bev_width": 8,
    "mae_dim": 16, "mae_layers": 1, "mae_heads": 2,
}  # fmt: skip
TEACHER, COACH = "teacher", "coach"


def narrow_options(name: str) -> dict[str, Any]:
    """Options that make a network of the papers small."""
    return STUDENT if name == "student" else NARROW


def distill_config(setting: Setting, **changes: object) -> DistillConfig:
    """A distillation run at the smaller of the simulator's sizes; tiny: on a patch of ground."""
    from mapkd_core.config import DataConfig, LossConfig
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.grid import GRID_60X30_COARSE, BevGrid

    fields: dict[str, object] = {
        "model": "student", "model_options": STUDENT if setting.tiny else {"variant": "nano"}, "teacher": TEACHER,
        "grid": setting.of(GRID_60X30_COARSE, BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)), "steps": 10, "batch_size": 2,
        "data": DataConfig(image_size=setting.of((176, 64), (96, 48)), lidar=True, sd_map=True),
        "loss": LossConfig(dice=1.0), "accelerator": setting.device, "method": "mapkd",
    }  # fmt: skip
    return DistillConfig(**{**fields, **changes})  # type: ignore[arg-type]


def training_cases(setting: Setting) -> Iterator[Case]:
    """Methods on one batch, then whole steps."""
    from mapkd_core.distill.methods import METHODS

    for method in METHODS:
        yield Case(f"method {method}", partial(_method, setting, method))
    for precision in STEP_TOLERANCES:
        if precision == "16-mixed" and setting.device == "cpu":
            continue
        yield Case(f"three steps, {precision}", partial(_steps, setting, precision))


@cache
def _networks(setting: Setting) -> tuple[nn.Module, nn.Module, nn.Module, Batch]:
    """Student, teacher, coach, and a batch of two frames, on the CPU."""
    import torch

    from mapkd_core.model.build import build_model
    from mapkd_core.training.drive_batches import MadeDrives, rendered

    config = distill_config(setting)
    torch.manual_seed(SEED)
    options = {TEACHER: NARROW, COACH: NARROW, "student": config.model_options}
    student, teacher, coach = (
        build_model(name, config.grid, config.data.image_size, options[name]) for name in ("student", TEACHER, COACH)
    )
    for network in (student, teacher, coach):  # norms that start at zero would hide what lies behind them
        for parameter in network.parameters():
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, 0.5, 0.2)
    return student, teacher, coach, rendered(MadeDrives(config, frames=2)[0], "cpu")


def _method(setting: Setting, method: str) -> Values:
    there = _terms(setting, method, setting.device)
    here = _terms(setting, method, "cpu")
    shared = {name: _relative(there[0][name], value) for name, value in here[0].items()}
    worst = max(shared, key=shared.__getitem__)
    gradient = float((there[1] - here[1]).norm() / here[1].norm().clamp_min(1e-12))
    note = f"{worst}; the student's gradient is off by {gradient:.1e} (at most {GRADIENT_TOLERANCE:g})"
    found = verdict(shared[worst], TERM_TOLERANCE, note)
    return {**found, "same": bool(found["same"] and gradient <= GRADIENT_TOLERANCE)}


def _relative(found: float, expected: float) -> float:
    return abs(found - expected) / max(abs(expected), 1e-6)


def _terms(setting: Setting, method: str, device: str) -> tuple[dict[str, float], Any]:
    """A method's terms by name, and the student's gradient as one vector on the CPU."""
    import torch

    from mapkd_core.distill.frozen import FrozenNetworks
    from mapkd_core.distill.objective import DistillObjective
    from mapkd_core.losses import weigh
    from mapkd_core.training.random_state import CHANCES

    student, teacher, coach, batch = _networks(setting)
    config = distill_config(setting, method=method)
    objective = DistillObjective(config, FrozenNetworks(copy.deepcopy(teacher), copy.deepcopy(coach)))
    own = copy.deepcopy(student).train()
    objective.prepare(own)  # on the CPU, so that both begin with the same train-only weights
    own, objective.modules = own.to(device), objective.modules.to(device).train()
    for layer in objective.modules.modules():  # dropout draws other numbers on another device
        for chance in CHANCES:
            if isinstance(getattr(layer, chance, None), float):
                setattr(layer, chance, 0.0)
    moved = batch.to(device)
    with tf32(allowed=False):
        terms, weights = objective.terms(own(moved), moved, 3)
        weigh(terms, weights).backward()
    gradients = [p.grad.flatten().cpu() for p in own.parameters() if p.grad is not None]
    return {name: float(term.detach()) for name, term in terms.items()}, torch.cat(gradients)


def _steps(setting: Setting, precision: str) -> Values:
    found = _loss_after_steps(setting, setting.device, precision)
    expected = _loss_after_steps(setting, "cpu", "32-true")
    note = f"loss {found:.5f}, in float32 on the CPU {expected:.5f}"
    return verdict(_relative(found, expected), STEP_TOLERANCES[precision], note)


def _loss_after_steps(setting: Setting, device: str, precision: str) -> float:
    """The loss of the fourth step on the same batch, through the training loop."""
    from mapkd_core.training.loop import open_run
    from mapkd_core.training.objective import TaskObjective

    batch = _networks(setting)[3]
    config = distill_config(setting, method="none", precision=precision, accelerator=device, optimizer="adamw")
    with tempfile.TemporaryDirectory() as folder:
        plan = replace(
            config, out=folder, learning_rate=1e-3, val_every=10**6, save_every=10**6, log_every=10**6, steps=10**6,
            data=replace(config.data, val="simdrive-v1:val:small:1", lidar=False, sd_map=False),
        )
        with open_run(plan, TaskObjective(plan)) as (run, _):
            losses = [run.advance(iter((batch,))) for _ in range(4)]
    return losses[-1]
