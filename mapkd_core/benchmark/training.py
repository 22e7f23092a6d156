"""Time of a config's training step by part, samples a second, and peak memory.

examples:
  mapkd benchmark training --config config/train/student.yaml
  mapkd benchmark training --config config/train/student.yaml --data.train simdrive-v1:train:full:1 --data.workers 1
  mapkd benchmark training --config config/train/hdmapnet_60x30.yaml --steps 50 --accelerator cuda
  mapkd benchmark training --config config/train/student.yaml --data.workers 0 --against ../mapkd_before
  mapkd benchmark training --config config/train/distill_mapkd.yaml --teacher runs/teacher --coach runs/coach

Runs --warmup and then --steps steps of the config, without validation, logs or checkpoints, and writes nothing. A
config that names a teacher is one of `mapkd distill`. Parts: loading (waiting for the next batch and its copy to the
device), teachers (what frozen networks answer), forward (with the losses), backward, optimizer (with clipping). Loader
processes that keep up show a loading time near nothing.

--against names the checkout of another build: both train the same config, each in a process of its own, step by step in
turn, and the table holds milliseconds of processors, which a busy machine leaves as they are (without those of loader
processes: --data.workers 0 counts loading too). Both must know all keys of the config and read its data.
"""
from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.benchmark.machine import (
    command_line,
    cores,
    describe,
    markdown_table,
    peak_memory_mb,
    summary,
    timed_ms,
)
from mapkd_core.benchmark.worker_of_build import HERE, THIS, WorkerOfBuild, check_checkout
from mapkd_core.files import write_atomic
from mapkd_core.output_file import output_file
from mapkd_core.progress import each

if TYPE_CHECKING:
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.training.objective import Objective

TAKES_OVERRIDES = True
"""`--key value` and `--group.key value` override the config."""
PARTS = ("loading", "teachers", "forward", "backward", "optimizer")
_WORKER = Path(__file__).with_name("training_worker.py")
"""It imports this file of the build that it trains with, and so cannot be imported here."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options; what is left over overrides the config."""
    parser.add_argument("--config", metavar="YAML", help="training config (config/train/*.yaml); defaults without")
    parser.add_argument("--steps", dest="timed_steps", type=int, default=20, help="steps to time (%(default)s)")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them (%(default)s)")
    parser.add_argument("--against", type=Path, metavar="DIR", help="checkout of a build to train beside this one")
    parser.add_argument("--threads", type=int, default=cores(), help="of each build with --against (%(default)s)")
    parser.add_argument("--report", type=output_file, metavar="FILE", help="results file to write")


def run(args: argparse.Namespace) -> int:
    """Trains the steps and prints the table."""
    from mapkd_core.config import load_config

    if args.timed_steps < 1 or args.warmup < 0:
        raise ValueError(f"--steps {args.timed_steps} --warmup {args.warmup}; expected at least 1 and at least 0")
    config = load_config(config_class(), args.config, args.overrides)
    if args.against is not None:
        return _report(_beside(args, config, check_checkout(args.against)), args.report)
    times, device, memory = time_steps(config, args.warmup, args.timed_steps)
    step_ms = [sum(step.values()) for step in times]
    seconds = sum(step_ms) / 1e3
    rows = [[part, *summary([step[part] for step in times])] for part in PARTS]
    text = "\n".join(
        [
            f"# Training step of {config.name}", "", describe(device), "", f"`{command_line()}`", "",
            f"Model {config.model} {config.model_options or ''}, batch {config.batch_size}, {config.precision}, data "
            f"{config.data.train} with {config.data.workers} loader processes, {len(times)} steps.", "",
            f"{len(times) / seconds:.2f} steps/s, {len(times) * config.batch_size / seconds:.1f} samples/s; "
            f"peak memory {memory}.", "",
            markdown_table(("part", "median ms", "p95", "max"), [*rows, ["step", *summary(step_ms)]]),
        ]
    )
    return _report(text, args.report)


def config_class() -> type[DistillConfig]:
    """The config whose keys can be given; without a teacher it is one of `mapkd train`."""
    from mapkd_core.distill.config import DistillConfig

    return DistillConfig


def _objective(config: DistillConfig) -> Objective:
    from mapkd_core.distill.objective import DistillObjective
    from mapkd_core.training.perspective import map_objective
    from mapkd_core.training.teachers import frozen_networks

    return DistillObjective(config, frozen_networks(config)) if config.teacher else map_objective(config)


def _report(text: str, path: Path | None) -> int:
    print(text)
    if path is not None:
        write_atomic(path, text + "\n")
    return 0


def _beside(args: argparse.Namespace, config: DistillConfig, other: Path) -> str:
    """Both builds' steps in turn, as a page."""
    folders = {THIS: HERE, str(args.against): other}
    given = {"config": str(Path(args.config).resolve()) if args.config else None, "overrides": args.overrides}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in folders}
    with ExitStack() as held:
        workers = {n: held.enter_context(WorkerOfBuild(f, _WORKER)) for n, f in folders.items()}
        for worker in workers.values():
            worker.ask({**given, "threads": args.threads})
        for _ in each(range(args.warmup + args.timed_steps), "train", "step"):
            for name, worker in workers.items():
                worker.ask({})
                times[name].append(worker.answer())
    timed = [steps[args.warmup :] for steps in times.values()]
    rows = []
    for part in (*PARTS, "step"):
        own, their = ([sum(s.values()) if part == "step" else s.get(part, 0.0) for s in steps] for steps in timed)
        a, b = summary(own), summary(their)
        rows.append([part, a.median, min(own), b.median, min(their), f"{b.median / max(a.median, 1e-9):.2f}"])
    heads = ("part", f"{THIS}, median", "least", "the other build, median", "least", "times this build's")
    return "\n\n".join([
        f"# Training step of {config.name} beside {args.against}", describe(), f"`{command_line()}`",
        f"Model {config.model} {config.model_options or ''}, batch {config.batch_size}, {config.precision}, data "
        f"{config.data.train}, {args.threads} threads, {args.timed_steps} steps of each build in turn; milliseconds of "
        "processors.",
        markdown_table(heads, rows),
    ])  # fmt: skip


def time_steps(config: DistillConfig, warmup: int, steps: int) -> tuple[list[dict[str, float]], str, str]:
    """Milliseconds by part of each step, the device, and the peak memory in words."""
    import torch
    from lightning_fabric import Fabric

    from mapkd_core.losses import weigh
    from mapkd_core.model.build import build_model
    from mapkd_core.training.batches import training_batches
    from mapkd_core.training.loop import make_optimizer
    from mapkd_core.training.precision import precision_plugin

    plugin = precision_plugin(config.precision, config.accelerator)
    fabric = Fabric(accelerator=config.accelerator, devices=1, plugins=[plugin])
    fabric.launch()
    fabric.seed_everything(config.seed, verbose=False)
    device = fabric.device.type
    objective = _objective(config)
    ask = getattr(objective, "ask", lambda batch: None)
    plain = build_model(config.model, config.grid, config.data.image_size, config.model_options).train()
    objective.prepare(plain)
    parameters = [p for p in (*plain.parameters(), *objective.modules.parameters()) if p.requires_grad]
    network, optimizer = fabric.setup(plain, make_optimizer(config, parameters))
    objective.modules.to(fabric.device)
    batches = training_batches(config)
    times = []
    for step in range(warmup + steps):
        kept: dict = {}

        def load(kept: dict = kept) -> None:
            kept["batch"] = next(batches).to(fabric.device)

        def teachers(kept: dict = kept) -> None:
            ask(kept["batch"])

        def forward(kept: dict = kept, step: int = step) -> None:
            kept["loss"] = weigh(*objective.terms(network(kept["batch"]), kept["batch"], step))

        def backward(kept: dict = kept) -> None:
            fabric.backward(kept["loss"])

        def optimize() -> None:
            if config.clip_norm:
                fabric.clip_gradients(network, optimizer, max_norm=config.clip_norm)
            optimizer.step()
            optimizer.zero_grad()

        works = zip(PARTS, (load, teachers, forward, backward, optimize), strict=True)
        measured = {part: timed_ms(work, device) for part, work in works}
        if step >= warmup:
            times.append(measured)
    memory = f"{peak_memory_mb():.0f} MB (this process, without loader processes)"
    if device == "cuda":
        memory = f"{torch.cuda.max_memory_allocated() / 1e6:.0f} MB on the GPU"
    return times, device, memory
