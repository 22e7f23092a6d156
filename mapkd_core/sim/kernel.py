"""How the functions in `world/compiled` and `render/compiled` are compiled, and where the machine code is kept.

Numba's own cache looks only at the file of the function that is called: after a change in a file beside it, it
would go on with the old code. So the folder that it is given carries a digest of all those files.
"""
from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mapkd_core.progress import notice

CACHE = Path("~/.cache/mapkd/kernels")
ROUNDING = {"contract", "nsz"}
"""A product and a sum may be rounded once; nothing is reordered, and infinity and NaN keep their meaning."""


@cache
def _digest() -> str:
    files = sorted((Path(__file__), *Path(__file__).parent.glob("*/compiled/*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def folder() -> Path:
    """Where the machine code of this version of the kernels is kept: NUMBA_CACHE_DIR, else a folder in `CACHE`."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return Path(named) if named else CACHE.expanduser() / _digest()


@cache
def tell_if_new(name: str) -> None:
    """Says once why the first one takes long, if the kernel `file.function` was never compiled on this machine."""
    tag = f"py{sys.version_info.major}{sys.version_info.minor}"
    if not any(folder().rglob(f"{name}-*.{tag}*.nbi")):
        notice(f"compiling the simulator's kernels once, about half a minute; they are kept in {folder()}")


def kernel(function: Callable) -> Any:
    """Compiles a function that works on many rays when it is first called; products and sums may be fused."""
    return _compiled(function, ROUNDING, False)


def exact_kernel(function: Callable) -> Any:
    """`kernel` that rounds after every step, as NumPy does."""
    return _compiled(function, False, False)


def inline(function: Callable) -> Any:
    """The same for a function of one ray: it becomes part of its callers, as handing it the tables costs more."""
    return _compiled(function, ROUNDING, True)


def exact(function: Callable) -> Any:
    """`inline` that rounds after every step, for hashes that the last bit would turn over."""
    return _compiled(function, False, True)


def _compiled(function: Callable, fastmath: object, inlined: bool) -> Any:
    from numba import config as numba_config
    from numba import njit

    config: Any = numba_config  # its settings are made when it is imported

    options: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "fastmath": fastmath, "forceinline": inlined,
        "_nrt": False,  # nothing here allocates, and counting references to arrays took as long as all the rest
    }
    before = config.CACHE_DIR
    if "NUMBA_CACHE_DIR" not in os.environ:
        config.CACHE_DIR = str(folder())
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written: it is compiled again in every process
        return njit(**options)(function)
    finally:
        config.CACHE_DIR = before
