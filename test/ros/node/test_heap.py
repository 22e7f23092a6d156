"""Memory that stays with the process, seen from outside as page faults that do not come."""
from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from mapkd_ros.node import heap

FAULTS = """
import resource, sys, threading
import numpy as np
if sys.argv[1] == "kept":
    from mapkd_ros.node.heap import keep_large_buffers
    assert keep_large_buffers()

def work():
    for place in range(40):
        if place == 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        layers = [np.ones(6_000_000, np.uint8) for _ in range(3)]
        del layers
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True, text=True).stdout)


def test_buffers_of_a_thread_cost_no_page_faults() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc")
    assert faults("kept") < faults("given back") / 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert heap.keep_large_buffers() is False
