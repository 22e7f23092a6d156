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


GIVEN_BACK = """
import numpy as np
from mapkd_ros.node.heap import give_back, keep_large_buffers

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

assert keep_large_buffers()
layers = [np.ones(4_000_000, np.uint8) for _ in range(25)]
end = np.ones(1000)
del layers
before = resident_mb()
assert give_back()
print(before - resident_mb())
"""


def faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True, text=True).stdout)


def test_buffers_of_a_thread_cost_no_page_faults() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc")
    assert faults("kept") < faults("given back") / 10


def test_what_is_free_goes_back_when_the_node_is_cleaned_up() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc")
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, check=True, text=True)
    assert float(done.stdout) > 80


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert heap.keep_large_buffers() is False and heap.give_back() is False
