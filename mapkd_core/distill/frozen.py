"""The networks that teach: frozen; they predict once a batch for all students."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from mapkd_core.model.precision import half_precision
from mapkd_core.types import Batch, Prediction

DrawLabels = Callable[[Batch, Prediction], Batch]
"""A batch and the teacher's prediction of it -> the batch fully labelled."""


def freeze(network: nn.Module) -> nn.Module:
    """In eval mode and without gradients; nothing of it changes any more."""
    return network.eval().requires_grad_(False)


class Teachers(nn.Module):
    """Several teachers as one: the mean of their logits, the inner features of the first."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, batch: Batch) -> Prediction:
        """Prediction with the first one's embedding, direction and taps."""
        first, *others = (network(batch) for network in self.networks)
        semantic = torch.stack([first.semantic, *(other.semantic for other in others)]).mean(0)
        return replace(first, semantic=semantic)

    def __getattr__(self, name: str) -> Any:
        """A method that looks for a head or a decoder finds the first one's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            first: nn.Module = super().__getattr__("networks")[0]  # type: ignore[index,assignment]
            return getattr(first, name)


class FrozenNetworks:
    """Teacher and coach. Not a module: what a module holds would be optimised, set to training mode and saved."""

    def __init__(
        self, teacher: nn.Module | None, coach: nn.Module | None = None, draw: DrawLabels | None = None,
        precision: str = "32-true",
    ) -> None:
        """`draw` puts the teacher's map in the place of labels that are not known; `precision` as the config's."""
        self.teacher = freeze(teacher) if teacher is not None else None
        self.coach = freeze(coach) if coach is not None else None
        self._draw, self.precision = draw, precision
        self._lock = Lock()
        self._asked: Tensor | None = None
        self._answers: dict[str, Prediction] = {}
        self._drawn: Batch | None = None

    def answers(self, batch: Batch, ask_coach: bool) -> tuple[Prediction, Prediction | None]:
        """The teacher's and, if asked for and there, the coach's predictions, without gradients.

        Students that train on the same batch in turn, or in threads, share them. There must be a teacher.
        """
        with self._lock:
            self._start(batch)
            teacher = self._answer("teacher", self.teacher, batch)
            coach = self._answer("coach", self.coach, batch) if ask_coach and self.coach is not None else None
        assert teacher is not None, "a method that distils has a teacher"
        return teacher, coach

    def with_drawn_labels(self, batch: Batch) -> Batch:
        """The batch with every sample labelled: the teacher's map stands where labels are not known.

        Raises ValueError if some are not and nobody can draw them.
        """
        if batch.labelled is None:
            return batch
        if self.teacher is None or self._draw is None:
            raise ValueError("the batch has samples without labels, and there is no teacher that draws them")
        with self._lock:
            self._start(batch)
            if self._drawn is None:
                teacher = self._answer("teacher", self.teacher, batch)
                assert teacher is not None
                self._drawn = self._draw(batch, teacher)
            return self._drawn

    def _start(self, batch: Batch) -> None:
        if self._asked is not batch.images:
            self._asked, self._answers, self._drawn = batch.images, {}, None

    @torch.no_grad()
    def _answer(self, role: str, network: nn.Module | None, batch: Batch) -> Prediction | None:
        if network is None:
            return None
        if role not in self._answers:
            if next(network.parameters()).device != batch.images.device:
                network.to(batch.images.device)
            with half_precision(self.precision, batch.images.device):
                self._answers[role] = network(batch).in_single_precision()
        return self._answers[role]
