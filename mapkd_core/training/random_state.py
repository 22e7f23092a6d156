"""Random numbers of a run: kept apart by process and by run, saved and restored, so that a resumed run draws the same.

Data need none of this: each sample's number decides its frame and its augmentation (batches.py).
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from threading import Lock

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

CHANCES = ("p", "drop_prob", "dropout")
"""Attributes of layers that hold a probability of dropping something."""
_one_at_a_time = Lock()


def draws_random_numbers(module: nn.Module) -> bool:
    """Whether a forward pass in training mode draws: a layer with dropout, or one that says `draws_random`."""
    for layer in module.modules():
        chances = (getattr(layer, name, None) for name in CHANCES)
        if getattr(layer, "draws_random", False) or any(isinstance(c, float) and c > 0 for c in chances):
            return True
    return False


def seed_process(seed: int, rank: int) -> None:
    """Gives processes behind the first random numbers of their own; the first goes on as it was seeded."""
    if rank:
        torch.manual_seed(seed + 1_000_003 * rank)


class RandomState:
    """The generators of one run: PyTorch's on the CPU, and on the GPU where the run is there."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self._states = self._now()

    def _now(self) -> tuple[Tensor, ...]:
        gpu = self.fabric.device.type == "cuda"
        return (torch.get_rng_state(), *([torch.cuda.get_rng_state(self.fabric.device)] if gpu else []))

    def _set(self, states: Sequence[Tensor]) -> None:
        torch.set_rng_state(states[0].cpu().clone())  # PyTorch (2.13) wants memory of its own, not a view
        if len(states) > 1 and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(states[1].cpu(), self.fabric.device)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Runs a step with this run's own numbers where several runs share a process; they then wait for each other."""
        with _one_at_a_time:
            self._set(self._states)
            yield
            self._states = self._now()

    def of_all_processes(self) -> list[list[Tensor]]:
        """The states of every process; all must call this together."""
        mine = self._now()
        if self.fabric.world_size == 1:
            return [list(mine)]
        gathered = [self._gathered(state.to(self.fabric.device)) for state in mine]
        return [[state[rank].cpu() for state in gathered] for rank in range(self.fabric.world_size)]

    def _gathered(self, state: Tensor) -> list[Tensor]:
        states = [torch.empty_like(state) for _ in range(self.fabric.world_size)]
        torch.distributed.all_gather(states, state)
        return states

    def restore(self, states: Sequence[Sequence[Tensor]]) -> None:
        """Takes this process's part of what `of_all_processes` gave; a process that had no part keeps its own."""
        if self.fabric.global_rank < len(states):
            self._set(states[self.fabric.global_rank])
        self._states = self._now()
