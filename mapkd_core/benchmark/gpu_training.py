"""A training of full size in mixed precision, straight from the simulator: a part of `mapkd benchmark gpu`."""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mapkd_core.benchmark.gpu_cases import Case, Setting, Values
from mapkd_core.benchmark.gpu_stream import stream_config
from mapkd_core.benchmark.machine import markdown_table

if TYPE_CHECKING:
    from pathlib import Path

    from mapkd_core.config import TrainConfig
    from mapkd_core.training.loop import Run

NAME = "student_gpu"
_PROBE_STEPS = 40
_SHARE = 0.8
"""Of the time box for steps; the rest is for the probe, validation and the export."""


def cases(setting: Setting) -> Iterator[Case]:
    """The training, and what came of it."""
    yield Case("small, bf16-mixed", partial(_trained, setting))


def _trained(setting: Setting) -> Values:
    from mapkd_core.training.loop import open_run
    from mapkd_core.training.perspective import map_objective

    plan = setting.folder / "runs" / f"{NAME}.json"
    steps = json.loads(plan.read_text())["steps"] if plan.exists() else _affordable(setting)
    plan.parent.mkdir(parents=True, exist_ok=True)
    plan.write_text(json.dumps({"steps": steps}))  # a run that goes on has the length it began with
    config = _config(setting, steps)
    with open_run(config, map_objective(config)) as (run, resuming):
        if resuming:
            run.resume()
        began, first = time.perf_counter(), run.step
        losses = _advance(run, config, setting)
        took = time.perf_counter() - began
        best = run.best
    card = _exported(config, setting.folder / "weights")
    done = (steps - first) * config.batch_size
    return {
        "steps": steps, "samples": steps * config.batch_size, "samples a second": done / max(took, 1e-9),
        "loss": losses, "miou": best, "weights": str(card),
    }  # fmt: skip


def _config(setting: Setting, steps: int) -> TrainConfig:
    every = max(steps // 4, 1)
    config = stream_config(setting, name=NAME, steps=steps, val_every=every, save_every=max(every // 4, 1), log_every=5)
    return replace(config, warmup_steps=min(config.warmup_steps, steps // 10), val_batches=setting.of(0, 1))


def _affordable(setting: Setting) -> int:
    """How many steps fit the time box, from a few on a throw-away run."""
    from mapkd_core.training.loop import open_run
    from mapkd_core.training.perspective import map_objective

    if setting.tiny:
        return 4
    config = stream_config(setting, name="probe", log_every=10**6, val_every=10**6, save_every=10**6, steps=10**6)
    with open_run(config, map_objective(config), restart=True) as (run, _):
        batches = _batches(run, config)
        for _ in range(_PROBE_STEPS):
            run.advance(batches)
        began = time.perf_counter()
        for _ in range(_PROBE_STEPS):
            run.advance(batches)
        step_s = (time.perf_counter() - began) / _PROBE_STEPS
    return max(int(_SHARE * setting.seconds / step_s), 100)


def _batches(run: Run, config: TrainConfig) -> Iterator:
    from mapkd_core.training.drive_batches import DriveBatches

    return DriveBatches(config, run.fabric.device, run.step, pool=max(64, config.batch_size))


def _advance(run: Run, config: TrainConfig, setting: Setting) -> list[float]:
    """Steps to the end; the mean loss of the first and of the last tenth of the steps done here."""
    losses = []
    batches = _batches(run, config)
    while run.step < config.steps:
        losses.append(run.advance(batches))
    tenth = max(len(losses) // 10, 1)
    return [sum(part) / len(part) for part in (losses[:tenth], losses[-tenth:]) if part]


def _exported(config: TrainConfig, folder: Path) -> Path:
    """The artifact of the run's best weights."""
    from mapkd_core.artifact import save_artifact
    from mapkd_core.training.trained import load_run

    network, card = load_run(config.folder(), name=NAME, version="0.1.0")
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{NAME}.json"
    save_artifact(place, card, network.state_dict())
    return place


def table(values: dict[str, Values]) -> str:
    """Steps, speed, loss at both ends, mIoU on validation frames."""
    rows = [
        [
            name, found["steps"], found["samples"], found["samples a second"],
            " to ".join(f"{loss:.3f}" for loss in found["loss"]), f"{100 * found['miou']:.2f}", found["weights"],
        ]
        for name, found in values.items()
    ]  # fmt: skip
    heads = ("training", "steps", "samples", "samples a second", "loss", "mIoU on val", "weights")
    return f"{markdown_table(heads, rows)}\n"
