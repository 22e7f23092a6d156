"""The training loop of every role on Lightning Fabric: one process or many, resumable to the same losses.

What is minimised is an `Objective`: the map losses by default, the distillation methods in `distill/`.
"""
from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from torch import Tensor, nn

from mapkd_core.config import TrainConfig, config_dict
from mapkd_core.files import FolderLock
from mapkd_core.losses import weigh
from mapkd_core.model.build import build_model
from mapkd_core.progress import Progress, say
from mapkd_core.training.averaging import averaged_model
from mapkd_core.training.batches import open_validation, training_batches, validation_batches
from mapkd_core.training.checkpoint import claim_run_folder, fitting, load_checkpoint, save_checkpoint
from mapkd_core.training.gradients import apply_gradients, average_gradients, finite_everywhere, loss_scale
from mapkd_core.training.muon import Muon
from mapkd_core.training.objective import Objective
from mapkd_core.training.perspective import map_objective
from mapkd_core.training.precision import precision_plugin
from mapkd_core.training.random_state import RandomState, seed_process
from mapkd_core.training.sample_order import SampleSource
from mapkd_core.training.stages import check_stages, freeze_parts, start_from
from mapkd_core.training.validation import validation_of
from mapkd_core.types import Batch


def train(config: TrainConfig, objective: Objective | None = None, restart: bool = False) -> Path:
    """Trains to `config.steps`, resuming what `out/name` holds; returns that folder (last.pt, best.pt, TensorBoard).

    Raises ValueError if the folder belongs to another config, FloatingPointError when a loss stops being finite.
    """
    with open_run(config, objective or map_objective(config), restart) as (run, resuming):
        return run.fit(resuming)


@contextlib.contextmanager
def open_run(config: TrainConfig, objective: Objective, restart: bool = False) -> Iterator[tuple[Run, bool]]:
    """A run on its folder with a fresh network, and whether the folder holds a checkpoint to resume from.

    No other process may train in the folder meanwhile (FolderInUseError).
    """
    check_stages(config.init)
    folder = config.folder()
    validation = open_validation(config)
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        plugins=[precision_plugin(config.precision, config.accelerator)],
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        loggers=TensorBoardLogger(folder, name="", version="log"),
    )
    fabric.launch()
    fabric.seed_everything(config.seed, verbose=False)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    first = fabric.global_rank == 0
    with FolderLock(folder) if first else contextlib.nullcontext():
        resuming = bool(fabric.broadcast(claim_run_folder(folder, config_dict(config), restart) if first else False))
        network = build_model(config.model, config.grid, config.data.image_size, config.model_options)
        check_window(network, config)
        for stage in config.init:
            start_from(network, stage)
        freeze_parts(network, config.frozen)
        objective.prepare(network)
        if config.sync_batchnorm:
            network = synchronized(network, fabric)
        seed_process(config.seed, fabric.global_rank)
        yield Run(config, folder, fabric, network, objective, validation), resuming


def check_window(network: nn.Module, config: TrainConfig) -> None:
    """Raises ValueError for a network with a memory that would be shown single frames alone."""
    if getattr(network, "remembers", False) and config.data.window == 1:
        raise ValueError("model_options.memory learns from frames in a row; set data.window to 2 or more, such as 4")


def synchronized(network: nn.Module, fabric: Fabric) -> nn.Module:
    """The network with batch statistics over all processes; raises ValueError off the GPU, where PyTorch has none."""
    if fabric.device.type != "cuda":
        raise ValueError(f"sync_batchnorm works on GPUs, this run is on {fabric.device}; set sync_batchnorm: false")
    return nn.SyncBatchNorm.convert_sync_batchnorm(network) if fabric.world_size > 1 else network


def make_optimizer(config: TrainConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that the config names."""
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "muon": Muon}[config.optimizer]
    return kind(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


class Run:
    """One training run's state: network, optimizer, averaged weights, step."""

    def __init__(
        self, config: TrainConfig, folder: Path, fabric: Fabric, network: nn.Module, objective: Objective,
        validation: SampleSource,
    ) -> None:
        self.config, self.folder, self.fabric, self.objective = config, folder, fabric, objective
        self.validation = validation
        self.average = averaged_model(network, self._decay) if config.ema else None
        # Both in one module, so that the optimizer, DDP and checkpoints never forget the train-only part.
        self.trained = nn.ModuleDict({"network": network, "train_only": objective.modules})
        parameters = [p for p in self.trained.parameters() if p.requires_grad]
        self.network, self.optimizer = fabric.setup(network, make_optimizer(config, parameters))
        objective.modules.to(fabric.device)
        if self.average is not None:
            self.average.to(fabric.device)
        self.random = RandomState(fabric)
        self.step, self.best = 0, -math.inf
        self.least_score: float | None = None

    def fit(self, resuming: bool) -> Path:
        """Steps until `config.steps`."""
        if resuming:
            self.resume()
        config, fabric = self.config, self.fabric
        batches = training_batches(config, self.step * config.accumulate, fabric.global_rank, fabric.world_size)
        with Progress(config.name, config.steps, "step", self.step, fabric.global_rank == 0) as bar:
            while self.step < config.steps:
                total = self.advance(batches)
                bar.update()
                bar.note(f"loss {total:.4f}")
        return self.folder

    def resume(self) -> None:
        """Continues from the checkpoint in the run's folder, which only the first process has to see."""
        path = self.folder / "last.pt"
        state = load_checkpoint(path) if self.fabric.global_rank == 0 else None
        with fitting(path):
            self._restore(self.fabric.broadcast(state))  # type: ignore[arg-type]

    def advance(self, batches: Iterator[Batch]) -> float:
        """One optimizer step with what is due after it: logs, validation, checkpoint. Returns the step's loss."""
        config = self.config
        began = time.monotonic()
        values = self._one_step(batches)
        self.step += 1
        last = self.step == config.steps
        if self.step % config.log_every == 0 or last:
            values = self._averaged(values)
            rates = {"learning_rate": self.rate(), "steps_per_second": 1 / max(time.monotonic() - began, 1e-9)}
            if (scale := loss_scale(self.fabric)) is not None:
                rates["loss_scale"] = scale
            self.fabric.log_dict({**{f"train/{k}": v for k, v in values.items()}, **rates}, self.step)
        if self.step % config.val_every == 0 or last:
            self._validate()
        if self.step % config.save_every == 0 or last:
            self._save("last.pt")
        return values["total"]

    def rate(self) -> float:
        """Learning rate of the coming step."""
        config = self.config
        rate = config.learning_rate
        if config.warmup_steps and self.step < config.warmup_steps:
            return rate * (self.step + 1) / config.warmup_steps
        if config.schedule == "cosine":
            done = (self.step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
            return rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        if config.schedule == "step" and config.decay_steps:
            return float(rate * 0.1 ** (self.step // config.decay_steps))
        return rate

    def _one_step(self, batches: Iterator[Batch]) -> dict[str, float]:
        config = self.config
        self.network.train()
        freeze_parts(self._plain(), config.frozen)
        self.objective.modules.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        sums: dict[str, float] = {}
        for part in range(config.accumulate):
            batch = next(batches).to(self.fabric.device)
            with self.fabric.no_backward_sync(self.network, enabled=part + 1 < config.accumulate):
                terms, weights = self.objective.terms(self.network(batch), batch, self.step)
                total = weigh(terms, weights) / config.accumulate
                if not finite_everywhere(self.fabric, total):
                    self._stop_at(batch, terms)
                self.fabric.backward(total)
            for name, value in {**terms, "total": total * config.accumulate}.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / config.accumulate
        average_gradients(self.fabric, self.objective.modules)
        parts = {"the network": self.network, "the method's train-only modules": self.objective.modules}
        try:
            apply_gradients(self.fabric, self.optimizer, parts, config.clip_norm)
        except FloatingPointError as error:
            self._stop_at(batch, terms, str(error))
        if self.average is not None:
            self.average.update_parameters(self._plain())
        return sums

    def _averaged(self, values: dict[str, float]) -> dict[str, float]:
        """Losses averaged over all processes, as if one process had seen the whole batch."""
        if self.fabric.world_size == 1:
            return values
        together = self.fabric.all_reduce(torch.tensor(list(values.values()), device=self.fabric.device))
        return dict(zip(values, together.tolist(), strict=True))  # type: ignore[union-attr]

    def _decay(self) -> float:
        # Early on the plain average of few steps is better than one that still remembers the random start.
        return min(self.config.ema, (1 + self.step) / (10 + self.step))

    def _plain(self) -> nn.Module:
        return self.trained["network"]

    @torch.no_grad()
    def _validate(self) -> None:
        network = self.average if self.average is not None else self.network
        network.eval()
        validation = validation_of(self.config)
        rank, world_size = self.fabric.global_rank, self.fabric.world_size
        for batch in validation_batches(self.config, rank, world_size, self.validation):
            moved = batch.to(self.fabric.device)
            with self.fabric.autocast():
                prediction = network(moved)
            validation.see(moved, prediction)
        scores = validation.result(self.fabric)
        self.least_score = validation.least_score
        self.fabric.log_dict({f"val/{name}": value for name, value in scores.items()}, self.step)
        if self.fabric.global_rank == 0:
            validation.images.write(self.fabric.logger, self.step)
            say(f"step {self.step}: " + ", ".join(f"{k} {100 * v:.2f}" for k, v in scores.items()))
        if scores[validation.score] > self.best:
            self.best = scores[validation.score]
            self._save("best.pt")

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "best": self.best,
            "least_score": self.least_score,
            "network": self._plain().state_dict(),
            "train_only": self.objective.modules.state_dict(),
            "average": self.average.module.state_dict() if self.average is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "random": self.random.of_all_processes(),
            "loss_scaling": self.fabric.strategy.precision.state_dict(),
            "config": config_dict(self.config),
            "cameras": list(self._cameras),
        }

    @cached_property
    def _cameras(self) -> tuple[str, ...]:
        """Names, for the card; none where nothing is validated."""
        return self.validation[0].cameras if self.validation else ()

    def _save(self, name: str) -> None:
        state = self._state()
        if self.fabric.global_rank == 0:
            save_checkpoint(self.folder / name, state)
        self.fabric.barrier()

    def _restore(self, state: dict[str, Any]) -> None:
        self._plain().load_state_dict(state["network"])
        self.objective.modules.load_state_dict(state["train_only"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.random.restore(state["random"])
        self.fabric.strategy.precision.load_state_dict(state["loss_scaling"])
        self.step, self.best = state["step"], state["best"]
        self.least_score = state.get("least_score")

    def _stop_at(self, batch: Batch, terms: dict[str, Tensor], what: str = "the loss") -> NoReturn:
        rank = f"_process{self.fabric.global_rank}" if self.fabric.world_size > 1 else ""
        path = self.folder / f"not_finite_step{self.step}{rank}.pt"
        plain = {k: v for k, v in vars(batch).items() if v is not None and k not in ("elements", "outlines")}
        save_checkpoint(path, {"step": self.step, **plain})
        values = ", ".join(f"{name} {float(term.detach()):g}" for name, term in terms.items())
        raise FloatingPointError(
            f"{what} at step {self.step} is not finite ({values}); the batch is in {path}. "
            "Lower learning_rate, or use precision 32-true"
        )
