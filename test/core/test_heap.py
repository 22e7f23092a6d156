"""Memory that stays with the process, seen from outside as page faults that do not come."""
from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from mapkd_core import heap

FAULTS = """
import resource, sys, threading
import numpy as np
if sys.argv[1] == "kept":
    from mapkd_core.heap import keep_large_buffers
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


LAYERS = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from mapkd_core.heap import keep_all_buffers
    assert keep_all_buffers()
for place in range(6):
    if place == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layers = [np.ones(50_000_000, np.uint8) for _ in range(2)]  # each above the largest that glibc keeps by itself
    del layers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


GIVEN_BACK = """
import numpy as np
from mapkd_core.heap import give_back, keep_large_buffers

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


def faults(how: str, code: str = FAULTS) -> int:
    return int(subprocess.run([sys.executable, "-c", code, how], capture_output=True, check=True, text=True).stdout)


def test_buffers_of_a_thread_cost_no_page_faults() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc")
    assert faults("kept") < faults("given back") / 10


def test_layers_of_any_size_cost_no_page_faults_in_training() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc")
    assert faults("kept", LAYERS) < faults("given back", LAYERS) / 10


def test_what_is_free_goes_back_when_the_node_is_cleaned_up() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc")
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, check=True, text=True)
    assert float(done.stdout) > 80


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert (heap.keep_large_buffers(), heap.keep_all_buffers(), heap.give_back()) == (False, False, False)
