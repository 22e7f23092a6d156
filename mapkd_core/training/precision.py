"""Mixed precision in the training loop: what Fabric's own would do wrong here."""
from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning_fabric.plugins import MixedPrecision, Precision

from mapkd_core.config import HALF_TYPES


class Bfloat16(Precision):
    """Autocast to bfloat16, which needs no scaling of the loss; what the network gives stays as it was computed.

    Fabric's own class would round the whole batch, as below. It also takes no gradient but that of `fabric.backward`,
    though nothing is scaled here, and hands out copies of features, on which the map does not depend: a method's
    calibration compares gradients at a feature before the step's own.
    """

    precision = "bf16-mixed"

    def __init__(self, device: str) -> None:
        self.device = device

    def forward_context(self) -> AbstractContextManager[Any]:
        """Autocast."""
        return torch.autocast(self.device, torch.bfloat16)


class MixedPrecisionOfWholeInputs(MixedPrecision):
    """Fabric's float16 with scaled losses, but for what goes into the network: it stays as it is.

    Fabric would round the whole batch, calibration and LiDAR points too (a focal length of 1266 pixels becomes 1264),
    and refuses the labels' vectors. Autocast converts images where a convolution reads them.
    """

    def convert_input(self, data: Any) -> Any:
        """The data, unchanged."""
        return data


def precision_plugin(precision: str, accelerator: str) -> Precision:
    """The plugin of a config's `precision` on an accelerator by Fabric's name (`auto`, `cpu`, `cuda`, `gpu`).

    Raises ValueError for `16-mixed` without a GPU.
    """
    if precision not in HALF_TYPES:
        return Precision()
    device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    if precision == "bf16-mixed":
        return Bfloat16(device)
    if device == "cpu":
        raise ValueError("precision is 16-mixed, which needs a GPU; on a CPU use bf16-mixed or 32-true")
    return MixedPrecisionOfWholeInputs("16-mixed", device)
