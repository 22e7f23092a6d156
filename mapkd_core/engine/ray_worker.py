"""A unit of work on a worker of a Ray cluster."""
from __future__ import annotations

import contextlib
import functools
import os
import pickle
import platform
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mapkd_core.engine.interface import EngineFault
from mapkd_core.engine.local import use_threads
from mapkd_core.files import code_fingerprint

DONE, FAILED, DIFFERS = "done", "failed", "differs"

_job: tuple[str, Callable[[Any], Any]] | None = None
"""Name and job of the last unit: a worker has the units of one map, one after the other."""


@functools.cache
def here() -> dict[str, str]:
    """What must be the same where units are done: the project by its code, Python to the minor version."""
    return {
        "code": code_fingerprint(Path(__file__).parents[1])[:12],
        "Python": ".".join(platform.python_version_tuple()[:2]),
    }


def answer(name: str, packed: list[Any], unit: bytes) -> tuple[str, Any]:
    """(DONE, result), (FAILED, what the job raised), or (DIFFERS, why this node must not be used).

    `packed` holds a reference to what the engine knows: its build, its folder, threads, and the job.
    """
    global _job
    try:
        if _job is None or _job[0] != name:
            import ray

            expected, folder, threads, job = ray.get(packed[0])
            if (differs := _differs(expected)) is not None:
                return DIFFERS, differs
            with contextlib.suppress(OSError):  # jobs with relative paths tell what they do not find
                os.chdir(folder)
            use_threads(threads)
            _job = name, pickle.loads(job)
        return DONE, _job[1](pickle.loads(unit))
    except OSError as error:
        return FAILED, OSError(f"node {socket.gethostname()}: {' '.join(str(error).split())}")
    except Exception as error:
        return FAILED, _that_travels(error)


def _differs(expected: dict[str, str]) -> str | None:
    """What of this node is not as expected, with the remedy."""
    found = here()
    changed = [key for key in expected if found[key] != expected[key]]
    if not changed:
        return None
    words = ", ".join(f"{key} {found[key]}, here {expected[key]}" for key in changed)
    return f"node {socket.gethostname()} has another build of mapkd_core ({words}); install the same on every node"


def _that_travels(error: Exception) -> Exception:
    """The error, or where it cannot be packed what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return EngineFault(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return error
