"""Trains several students side by side on the very same batches: data are loaded, and teachers predict, once for all.

A comparison of methods needs the same frames in the same order for each of them anyway. Loading and the frozen networks
cost more than a small student's step, so a table of twenty methods takes a fraction of the time of twenty runs. Each
student keeps a folder of its own that `mapkd export`, `mapkd evaluate` and resuming treat like any other run's.
"""
from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from mapkd_core.config import TrainConfig
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.methods import method_class
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.progress import Progress
from mapkd_core.training.batches import training_batches
from mapkd_core.training.loop import Run, open_run
from mapkd_core.training.random_state import draws_random_numbers
from mapkd_core.types import Batch

OWN = ("name", "model", "model_options", "loss", "method", "method_options", "calibrate_steps", "pseudo_labels",
       "pseudo_confidence", "learning_rate")
"""What may differ between students that share their batches."""


@dataclass
class Timed:
    """A run with what its own steps cost, teachers and loading left out."""

    run: Run
    objective: DistillObjective
    seconds: float = 0.0
    steps: int = 0
    draws: bool = False
    """Whether its steps draw random numbers: they would depend on which thread comes first."""
    kept_bytes: int = 0
    """What a step holds for the way back: activations and targets of student and method."""

    def advance(self, batch: Batch) -> float:
        """One step on this batch; the first of them is the one whose memory is counted."""
        step = self._counted if self.steps == 0 else self._plain
        began = time.thread_time()
        with self.run.random.alone() if self.draws else contextlib.nullcontext():
            loss = step(batch)
        self.seconds += time.thread_time() - began
        self.steps += 1
        return loss

    def cost(self) -> dict[str, float]:
        """Processor milliseconds a step and megabytes kept, as plain values."""
        return {"step_ms": 1e3 * self.seconds / max(self.steps, 1), "kept_mb": self.kept_bytes / 1e6}

    def _plain(self, batch: Batch) -> float:
        return self.run.advance(iter((batch,)))

    def _counted(self, batch: Batch) -> float:
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = self._plain(batch)
        self.kept_bytes = sum(kept.values())
        return loss


def side_by_side(configs: Sequence[DistillConfig]) -> list[list[DistillConfig]]:
    """The configs in groups that `train_together` can train: alike in all but OWN, of methods for one kind of teacher.

    Other groups, such as those of another teacher, see the same batches, but load them for themselves.
    """
    groups: list[list[DistillConfig]] = []
    for config in configs:
        vectors = method_class(config.method).vectors
        for group in groups:
            if not _differing(config, group[0]) and method_class(group[0].method).vectors == vectors:
                group.append(config)
                break
        else:
            groups.append([config])
    return groups


def _differing(one: DistillConfig, other: DistillConfig) -> list[str]:
    return [key for key, value in vars(one).items() if key not in OWN and value != vars(other)[key]]


def train_together(
    configs: Sequence[DistillConfig], frozen: FrozenNetworks, threads: int = 1
) -> dict[str, dict[str, float]]:
    """Trains one student a config to its last step, resuming each where it stopped.

    All configs must agree in everything but OWN. `threads` students step at the same time, each on one core. Returns
    `Timed.cost` by name of those that had a step to do here; validation and checkpoints count.
    Raises ValueError for configs that do not fit together, and what `train` raises.
    """
    for config in configs:
        differing = _differing(config, configs[0])
        if differing:
            raise ValueError(f"{config.name} and {configs[0].name} differ in {differing}; only {OWN} may differ")
        if config.accumulate != 1 or config.devices * config.nodes != 1:
            raise ValueError(f"{config.name}: students train together on one device without accumulation")
    students = []
    with contextlib.ExitStack() as folders:
        for config in configs:
            objective = DistillObjective(config, frozen)
            run, resuming = folders.enter_context(open_run(config, objective))
            if resuming:
                run.resume()
            students.append(Timed(run, objective, draws=draws_random_numbers(run.trained)))
        torch.set_num_threads(threads)  # of this thread: teachers predict here while the students wait
        pool = folders.enter_context(ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)))
        # Runs that an interruption left at different steps cannot share batches; each step's group goes on by itself.
        for step in sorted({student.run.step for student in students}):
            _advance([student for student in students if student.run.step == step], pool)
    return {s.run.config.name: s.cost() for s in students if s.steps}


def _advance(students: list[Timed], pool: ThreadPoolExecutor) -> None:
    config, device = students[0].run.config, students[0].run.fabric.device
    first = students[0].run.step
    if first >= config.steps:
        return
    with Progress(f"{len(students)} students", config.steps, "step", first) as bar:
        for batch in _moved(config, first, device):
            for student in students:
                student.objective.ask(batch)  # each network runs once, on all cores
            losses = list(pool.map(lambda student: student.advance(batch), students))  # noqa: B023 (used at once)
            bar.update()
            bar.note(f"loss {sum(losses) / len(losses):.4f}")


def _moved(config: TrainConfig, first: int, device: torch.device) -> Iterator[Batch]:
    batches = training_batches(config, first)
    for _ in range(first, config.steps):
        yield next(batches).to(device)
