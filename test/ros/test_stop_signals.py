"""Signals end a node in good order, however often they come."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mapkd_ros.stop_signals import SIGNALS, StopSignals


@pytest.fixture(autouse=True)
def handlers_of_the_test_runner() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Executor:
    """Sends a signal to this process in its third turn."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.turns = 0

    def spin_once(self, timeout_sec: float) -> None:
        self.turns += 1
        if self.turns == 3:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", SIGNALS)
def test_spinning_ends_with_a_signal_and_a_second_one_does_no_harm(number):
    signals, executor = StopSignals(), Executor(number)
    signals.spin(executor)
    assert executor.turns == 3
    os.kill(os.getpid(), number)
    assert signals.stopping.is_set()


def test_spinning_ends_when_it_is_not_wanted_any_more():
    executor = Executor(signal.SIGINT)
    StopSignals().spin(executor, lambda: executor.turns < 2)
    assert executor.turns == 2


def test_a_signal_during_interpreter_shutdown_changes_no_exit_code():
    script = """
import atexit, os, signal, sys
from mapkd_ros.stop_signals import StopSignals
signals = StopSignals()
os.kill(os.getpid(), signal.SIGINT)
assert signals.stopping.is_set()
signals.ignore()
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
sys.exit(0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=30).returncode == 0
