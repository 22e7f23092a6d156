"""Runs a peer's public code from a checkout that the user names: imported from there, never copied."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np


@contextmanager
def importable(checkout: Path, file: str) -> Iterator[None]:
    """A peer's modules can be imported meanwhile; raises FileNotFoundError if the checkout lacks `file`.

    Afterwards they are forgotten, for the peers call their packages alike; what was taken from them lives on.
    They find the names in numpy that their code was written for, as the rest of the process does not.
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
            module = sys.modules[name]
            if checkout.resolve() in Path(getattr(module, "__file__", None) or "/").resolve().parents:
                del sys.modules[name]
                for variable in [key for key, value in vars(module).items() if value is np]:
                    setattr(module, variable, _numpy_of_the_past())


def _numpy_of_the_past() -> ModuleType:
    """numpy with the aliases of Python's own types, which it dropped in 1.24."""
    module = ModuleType("numpy")
    vars(module).update({**vars(np), "int": int, "bool": bool, "float": float, "object": object})
    return module


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
