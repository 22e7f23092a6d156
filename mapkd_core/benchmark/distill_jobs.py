"""Units of work of `mapkd benchmark distill`: networks, rows that train side by side, runs to score."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mapkd_core.files import write_atomic
from mapkd_core.storage import Storage, shared_with_workers

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig
    from mapkd_core.distill.config import DistillConfig

Config = TypeVar("Config", bound="TrainConfig")

NOTE = "plan.yaml"
"""A copy of the plan in its folder; a worker that does not see it does not see the runs either."""


@dataclass(frozen=True)
class TrainNetwork:
    """Job: trains a network to its end, from where it stopped."""

    storage: Storage

    def __call__(self, config: TrainConfig) -> None:
        """Nothing to do where it is finished."""
        from mapkd_core.heap import keep_all_buffers
        from mapkd_core.training.loop import train

        shared_with_workers(self.storage, NOTE)
        if missing([config]):
            keep_all_buffers()
            train(config)


@dataclass(frozen=True)
class TrainRows:
    """Job: trains students side by side on the same batches, so that teachers predict once for all of them."""

    storage: Storage
    threads: int

    def __call__(self, configs: Sequence[DistillConfig]) -> None:
        """Also notes what a step of each cost."""
        from mapkd_core.benchmark.distill_table import COST
        from mapkd_core.heap import keep_all_buffers
        from mapkd_core.training.lockstep import train_together
        from mapkd_core.training.teachers import frozen_networks

        shared_with_workers(self.storage, NOTE)
        unfinished = missing(configs)
        if unfinished:
            keep_all_buffers()
            costs = train_together(unfinished, frozen_networks(unfinished[0]), self.threads)
            for config in unfinished:
                if config.name in costs:
                    write_atomic(config.folder() / COST, json.dumps(costs[config.name]))


@dataclass(frozen=True)
class ScoreRun:
    """Job: the evaluation of a finished run on test or validation data, kept in its folder."""

    processes: int
    again: bool
    test: str = ""
    """`cache:DIR`; empty for the run's validation data."""

    def __call__(self, config: TrainConfig) -> dict[str, Any] | None:
        """None if there is no such run."""
        from mapkd_core.evaluation.evaluate_cache import scored_once

        folder = config.folder()
        if not _finished(config):
            return None
        key, data = ("the plan's test", self.test) if self.test else ("data.val", config.data.val)
        cache = data.removeprefix("cache:")
        if cache == data:
            raise ValueError(f"{config.name}: {key} is {data!r}; expected cache:DIR to score on")
        out = folder / ("evaluation_test" if self.test else "evaluation")
        return scored_once(folder, cache, out, folder / "best.pt", self.processes, self.again)


def missing(configs: Sequence[Config]) -> list[Config]:
    """Those that have not been trained to their end. Raises ValueError for a finished run under another config."""
    from mapkd_core.config import config_dict
    from mapkd_core.training.checkpoint import refuse_another_run

    found = []
    for config in configs:
        if _finished(config):
            refuse_another_run(config.folder(), config_dict(config))
        else:
            found.append(config)
    return found


def _finished(config: TrainConfig) -> bool:
    from mapkd_core.training.checkpoint import load_checkpoint

    path = config.folder() / "last.pt"
    return path.exists() and load_checkpoint(path)["step"] >= config.steps
