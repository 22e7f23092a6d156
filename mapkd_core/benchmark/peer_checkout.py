"""Runs a peer's public code from a checkout that the user names: imported from there, never copied."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def importable(checkout: Path, file: str) -> Iterator[None]:
    """A peer's modules can be imported meanwhile; raises FileNotFoundError if the checkout lacks `file`.

    Afterwards they are forgotten, for the peers call their packages alike; what was taken from them lives on.
    """
    if not (checkout / file).is_file():
        raise FileNotFoundError(f"{checkout} has no {file}; expected a checkout of the peer's public code")
    before = set(sys.modules)
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        for name in set(sys.modules) - before:
            if checkout.resolve() in Path(getattr(sys.modules[name], "__file__", None) or "/").resolve().parents:
                del sys.modules[name]


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
