"""Training samples a second straight from the simulator, and what limits them: a part of `mapkd benchmark gpu`."""
from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from mapkd_core.benchmark.gpu_cases import Case, Setting, Values
from mapkd_core.benchmark.machine import cores, markdown_table, timed_ms

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig

ALONE = ("drives from the CPU alone", "rendering alone", "training step alone")
TOGETHER = "all together"


def stream_config(setting: Setting, **changes: object) -> TrainConfig:
    """A student of full size on such samples, in mixed precision: small as it ships, its recipe's rates."""
    from mapkd_core.config import DataConfig, LossConfig, TrainConfig
    from mapkd_core.grid import GRID_60X30, BevGrid

    tiny = {"variant": "nano", "image_width": 8, "bev_width": 8, "view_channels": 8}
    data = DataConfig(
        train="simdrive-v1:train", val=setting.of("simdrive-v1:val:full:8", "simdrive-v1:val:small:1"),
        image_size=setting.of((352, 128), (96, 48)), workers=setting.of(max(cores() - 1, 1), 1),
    )
    fields: dict[str, object] = {
        "model": "student", "model_options": setting.of({"variant": "small"}, tiny), "data": data,
        "grid": setting.of(GRID_60X30, BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6)), "loss": LossConfig(dice=1.0),
        "batch_size": setting.of(16, 2), "optimizer": "muon", "learning_rate": 2e-2, "weight_decay": 1e-2,
        "schedule": "cosine", "warmup_steps": setting.of(100, 1), "ema": 0.995, "precision": "bf16-mixed",
        "accelerator": setting.device, "out": str(setting.folder / "runs"), "steps": 10,
    }  # fmt: skip
    return TrainConfig(**{**fields, **changes})  # type: ignore[arg-type]


def cases(setting: Setting) -> Iterator[Case]:
    """Each part alone, then all of them in turn as a training has them."""
    for name, work in zip(ALONE, (_drives, _rendering, _step), strict=True):
        yield Case(name, partial(work, setting))
    yield Case(TOGETHER, partial(_together, setting))


def _frames(setting: Setting) -> int:
    from mapkd_core.training.drive_batches import FRAMES

    return int(setting.of(FRAMES, 2))


def _drives(setting: Setting) -> Values:
    """Loader processes that are never waited with."""
    from mapkd_core.training.drive_batches import made_drives

    config, count = stream_config(setting), setting.of(64, 2)
    drives = made_drives(config, 0, _frames(setting))
    for _ in range(setting.of(2 * config.data.workers, 1)):  # what was made while they started
        next(drives)
    began = time.perf_counter()
    frames = sum(len(drive.frames.images) for drive in islice(drives, count))
    return {"samples a second": frames / (time.perf_counter() - began), "note": f"{config.data.workers} processes"}


def _rendering(setting: Setting) -> Values:
    from mapkd_core.training.drive_batches import MadeDrives, rendered

    drives = MadeDrives(stream_config(setting), _frames(setting))
    made = [drives[number] for number in range(setting.of(4, 1))]
    rendered(made[0], setting.device)
    took = sum(timed_ms(partial(rendered, drive, setting.device), setting.device) for drive in made)
    return {"samples a second": 1e3 * len(made) * _frames(setting) / took, "note": "with the world's way to the device"}


def _step(setting: Setting) -> Values:
    from mapkd_core.training.drive_batches import DriveBatches
    from mapkd_core.training.loop import open_run
    from mapkd_core.training.perspective import map_objective

    config = stream_config(setting, name="step", log_every=10**6, val_every=10**6, save_every=10**6, steps=10**6)
    batch = next(DriveBatches(config, setting.device, frames=_frames(setting), pool=1))
    with open_run(config, map_objective(config), restart=True) as (run, _):
        for _ in range(setting.of(10, 1)):
            run.advance(iter((batch,)))
        count = setting.of(30, 1)
        took = timed_ms(lambda: [run.advance(iter((batch,))) for _ in range(count)], setting.device)
    rate = 1e3 * count * config.batch_size / took
    return {"samples a second": rate, "note": f"batch {config.batch_size}, {config.precision}"}


def _together(setting: Setting) -> Values:
    import torch

    from mapkd_core.training.drive_batches import DriveBatches
    from mapkd_core.training.loop import open_run
    from mapkd_core.training.perspective import map_objective

    config = stream_config(setting, name="stream", log_every=10**6, val_every=10**6, save_every=10**6, steps=10**6)
    batches = DriveBatches(config, setting.device, frames=_frames(setting), pool=setting.of(64, 2))
    with open_run(config, map_objective(config), restart=True) as (run, _):
        for _ in range(setting.of(20, 1)):
            run.advance(batches)
        before = dict(batches.seconds)
        count = setting.of(100, 1)
        took = timed_ms(lambda: [run.advance(batches) for _ in range(count)], setting.device) / 1e3
    spent = {part: seconds - before[part] for part, seconds in batches.seconds.items()}
    spent["training step"] = took - sum(spent.values())
    shares = ", ".join(f"{part} {100 * seconds / took:.0f} %" for part, seconds in spent.items())
    memory = f"; {torch.cuda.max_memory_allocated() / 1e6:.0f} MB on the GPU" if setting.device == "cuda" else ""
    return {"samples a second": count * config.batch_size / took, "note": shares + memory}


def table(values: dict[str, Values]) -> str:
    """Samples a second by part, and in words which is the slowest."""
    rows = [[name, found["samples a second"], found["note"]] for name, found in values.items()]
    lines = [markdown_table(("part", "samples a second", ""), rows)]
    alone = {name: values[name]["samples a second"] for name in ALONE if name in values}
    if len(alone) == len(ALONE):
        slowest = min(alone, key=alone.__getitem__)
        lines += ["", f"The limit: {slowest}, {alone[slowest]:.1f} samples a second."]
    return "\n".join(lines) + "\n"
