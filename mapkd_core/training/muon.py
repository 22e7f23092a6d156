"""Muon: gradient steps with orthogonal matrices, which train small networks further in the same number of steps."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_SCALE = 0.2
"""Root mean square of a typical Adam step of rate 1 (Liu et al. 2025)."""
_QUINTIC, _ROUNDS = (3.4445, -4.7750, 2.0315), 5
"""The polynomial that brings singular values near 1, and how often it is applied (Jordan et al. 2024)."""


class Muon(torch.optim.Optimizer):
    """Muon for the weights of convolutions and linear layers, AdamW for everything else.

    A weight (out, in, ...) is a matrix out x rest; the step is its momentum with all singular values set near one,
    scaled as an AdamW step is; our networks learn best with some five times AdamW's rate. Biases, norms, and depthwise
    convolutions, whose matrix mixes no channels, get AdamW.
    (`torch.optim.Muon` takes two-dimensional weights only, and most of ours are convolutions'.)
    Sources: Jordan et al., "Muon: an optimizer for hidden layers" (2024); the scale: Liu et al., arXiv 2502.16982,
    section 2.2.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in parameters:
            (matrices if _is_matrix(parameter) else others).append(parameter)
        shared = {"lr": lr, "weight_decay": weight_decay}
        groups: list[dict[str, Any]] = [
            {"params": matrices, "matrices": True, "momentum": momentum, **shared},
            {"params": others, "matrices": False, "betas": betas, "eps": eps, **shared},
        ]
        super().__init__([group for group in groups if group["params"]], {})
        self._adamw = self._adamw_of_the_others()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step from the gradients that are there."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"] if group["matrices"] else ():
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(self._orthogonal(parameter, group), alpha=-group["lr"])
        if self._adamw is not None:
            self._adamw.step()
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Also what `load_state_dict` ends with."""
        super().__setstate__(state)
        self._adamw = self._adamw_of_the_others()

    def _adamw_of_the_others(self) -> torch.optim.AdamW | None:
        """AdamW on our own groups and state, so that schedules, checkpoints and Fabric see one optimizer."""
        groups = [group for group in self.param_groups if not group["matrices"]]
        if not groups:
            return None
        for group in groups:
            for parameter in group["params"]:
                state = self.state.get(parameter, {})
                if "mean" in state:  # written by mapkd 0.1, whose AdamW was its own
                    state.update(exp_avg=state.pop("mean"), exp_avg_sq=state.pop("square"))
                    state["step"] = torch.tensor(float(state["step"]))
        adamw = torch.optim.AdamW(groups)
        adamw.state = self.state
        return adamw

    def _orthogonal(self, parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(average, group["momentum"])  # Nesterov
        matrix = orthogonalised(ahead.flatten(1))
        return (_SCALE * max(matrix.shape) ** 0.5 * matrix).view_as(parameter)


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix (M, N) with its singular vectors kept and all singular values brought to about 0.7 to 1.2."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrix else x.T


def _is_matrix(parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) > 1 and parameter.shape[1] > 1
