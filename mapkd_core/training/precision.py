"""Mixed precision in the training loop: what Fabric's own would do wrong here."""
from __future__ import annotations

from typing import Any, Literal, cast

import torch
from lightning_fabric.plugins import MixedPrecision, Precision

from mapkd_core.config import HALF_TYPES


class MixedPrecisionOfWholeInputs(MixedPrecision):
    """Fabric's mixed precision, but for what goes into the network: it stays as it is.

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
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    if precision == "16-mixed" and not on_gpu:
        raise ValueError("precision is 16-mixed, which needs a GPU; on a CPU use bf16-mixed or 32-true")
    return MixedPrecisionOfWholeInputs(cast(Literal["16-mixed", "bf16-mixed"], precision), "cuda" if on_gpu else "cpu")
