"""Runs a peer's public code from a checkout that the user names: imported from there, never copied."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def importable(checkout: Path, file: str) -> Iterator[None]:
    """HDMapNet's modules can be imported meanwhile; raises FileNotFoundError if the checkout lacks `file`."""
    if not (checkout / file).is_file():
        raise FileNotFoundError(f"{checkout} has no {file}; expected a checkout of HDMapNet")
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))


@contextmanager
def cuda_calls(device: str) -> Iterator[None]:
    """Its code moves everything to a GPU by name; on a CPU that call does nothing for the time being."""
    from torch import Tensor

    original = Tensor.cuda
    if device == "cpu":
        Tensor.cuda = lambda self, *a, **k: self  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Tensor.cuda = original  # type: ignore[method-assign]
