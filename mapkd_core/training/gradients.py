"""From gradients to a step: averaged over processes, unscaled, clipped, and named where they are not finite."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricOptimizer
from torch import nn


def average_gradients(fabric: Fabric, module: nn.Module) -> None:
    """Averages the gradients of a module that lies outside the network that DDP wraps."""
    if fabric.world_size > 1:
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = fabric.all_reduce(parameter.grad, reduce_op="mean")  # type: ignore[assignment]


def apply_gradients(
    fabric: Fabric, optimizer: _FabricOptimizer, modules: Mapping[str, nn.Module], max_norm: float
) -> None:
    """One optimizer step, the gradient of each module clipped to `max_norm` by itself (0: not at all).

    By itself, so that a method's large train-only module does not shorten the student's steps. With loss scaling
    (`16-mixed`) gradients may overflow: such a step is left out and the scale lowered.
    Raises FloatingPointError, naming the module, for gradients that are not finite otherwise.
    """
    scaled = loss_scale(fabric) is not None
    if max_norm:
        fabric.strategy.precision.unscale_gradients(optimizer.optimizer)
        for name, module in modules.items():
            parameters = list(module.parameters())
            norm = nn.utils.clip_grad_norm_(parameters, max_norm) if parameters else torch.zeros(())
            if not scaled and not torch.isfinite(norm):
                raise FloatingPointError(f"the gradient of {name} (norm {float(norm):g})")
    optimizer.step()
    optimizer.zero_grad()


def loss_scale(fabric: Fabric) -> float | None:
    """What losses are multiplied with at present (`16-mixed`); None without scaling."""
    scaler: Any = getattr(fabric.strategy.precision, "scaler", None)
    return float(scaler.get_scale()) if scaler is not None else None


def finite_everywhere(fabric: Fabric, value: torch.Tensor) -> bool:
    """Whether a number is finite in every process; all must call this together."""
    finite = torch.isfinite(value.detach()).float()
    if fabric.world_size > 1:
        finite = fabric.all_reduce(finite, reduce_op="mean")  # type: ignore[assignment]
    return bool(finite == 1)
