"""The average of a network's weights over the steps of a run, which is what is evaluated and shipped."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged_model(network: nn.Module, decay: Callable[[], float]) -> AveragedModel:
    """A frozen copy of the network that follows it by `update_parameters`, buffers included.

    `decay` is asked at every update: how much of the average stays.
    """

    @torch.no_grad()
    def mix(averaged: Sequence[Tensor], present: Sequence[Tensor], _count: Tensor | int) -> None:
        """Moves averaged weights, all of one type, towards the present ones, in place."""
        kept = decay()
        for mine, theirs in zip(averaged, present, strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - kept)
            else:
                mine.copy_(theirs)

    average = AveragedModel(network, multi_avg_fn=mix, use_buffers=True)
    average.n_averaged.fill_(1)  # the fresh weights count: the first step does not replace them
    return average.eval().requires_grad_(False)
