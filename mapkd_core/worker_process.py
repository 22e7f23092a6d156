"""Worker processes that end when the one that started them has, even by SIGKILL."""
from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal

_SET_SIGNAL_OF_PARENTS_DEATH = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def end_with_parent(*_: object) -> None:
    """First thing in a worker process: from now on it does not outlive the process that started it.

    A worker of multiprocessing else waits forever to hand on its last result if that process was killed. It takes (and
    ignores) the number that data loaders give. Does nothing where the system is no Linux.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():  # it had died before
        os._exit(1)
