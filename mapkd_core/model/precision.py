"""Half precision for networks, and full precision inside them where metres and pixels are worked out."""
from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch

from mapkd_core.config import HALF_TYPES


def half_precision(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast on a device as a config's `precision` asks for it; nothing for `32-true`."""
    if precision not in HALF_TYPES:
        return contextlib.nullcontext()
    return torch.autocast(device.type, getattr(torch, HALF_TYPES[precision]))


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast inside: a product with a rotation in bfloat16 is 12 cm off at 30 m, and pixels by several."""
    if not torch.is_autocast_enabled(device.type):  # so that an exported graph holds nothing of this
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)
