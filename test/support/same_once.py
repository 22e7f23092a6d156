"""Computes a module once for the same weights and inputs: networks of one family have large parts in common."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class SameOnce:
    """Outputs of modules, kept with all that they depend on: settings, weights and inputs, to the last bit."""

    def __init__(self) -> None:
        self._kept: list[tuple[Any, list[Tensor], tuple[Tensor, ...], Tensor]] = []

    def watch(self, module: nn.Module) -> None:
        """Lets a module in eval mode answer from what was kept, and keep what it computes; its hooks run as ever."""
        settings, weights = _settings(module), [*module.parameters(), *module.buffers()]
        compute = module.forward

        def forward(*inputs: Tensor) -> Tensor:
            for kept_settings, kept_weights, kept_inputs, output in self._kept:
                if kept_settings == settings and _same(kept_weights, weights) and _same(kept_inputs, inputs):
                    return output
            output = compute(*inputs)
            self._kept.append((settings, weights, inputs, output))
            return output

        module.forward = forward  # type: ignore[method-assign]


RESNETS = SameOnce()
"""MapTR-tiny's and MapTRv2's, whose names, and thus the rule's weights, are the same."""


def _settings(module: nn.Module) -> Any:
    """Kinds of all its modules, and what each was built with."""
    return [
        (name, type(part), {key: value for key, value in vars(part).items() if not key.startswith("_")})
        for name, part in module.named_modules()
    ]


def _same(mine: Any, other: Any) -> bool:
    """Whether tensors are equal, each with its counterpart; the same memory need not be read."""
    return len(mine) == len(other) and all(
        a.shape == b.shape and (a.data_ptr() == b.data_ptr() or torch.equal(a, b))
        for a, b in zip(mine, other, strict=True)
    )
