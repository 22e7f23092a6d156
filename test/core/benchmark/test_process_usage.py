"""What processes use; sums and slopes of known samples."""
from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

import psutil
import pytest

from mapkd_core.benchmark.process_usage import (
    MostMemory,
    Usage,
    UsageSampler,
    cpu_percent,
    mb_per_minute,
    read_machine_cpu_s,
    read_usage,
)


def usage(second: float, cpu_s: float = 0.0, private_mb: float = 0.0) -> Usage:
    return Usage(round(second * 1e9), cpu_s, 300.0, private_mb, 4)


def test_cpu_is_the_share_of_one_core_between_two_moments() -> None:
    samples = [usage(0, 5.0), usage(1, 6.0), usage(2, 7.5), usage(3, 9.0), usage(4, 99.0)]
    assert cpu_percent(samples, round(0.5e9), round(3.5e9)) == pytest.approx(150.0)
    assert cpu_percent(samples, 0, 0) is None


def test_slope_of_memory_is_that_of_a_straight_line() -> None:
    growing = [usage(30 * i, private_mb=200 + 1.5 * i) for i in range(6)]
    assert mb_per_minute(growing, 0, 10**12) == pytest.approx(3.0)
    # A saw tooth that always comes back is no growth.
    steady = [usage(10 * i, private_mb=200 + (5 if i % 2 else 0)) for i in range(61)]
    assert mb_per_minute(steady, 0, 10**12) == pytest.approx(0.0, abs=0.01)
    assert mb_per_minute(growing[:2], 0, 10**12) is None


def test_this_process_uses_something() -> None:
    before = read_usage(os.getpid())
    sum(range(3_000_000))
    after = read_usage(os.getpid())
    assert after.cpu_s > before.cpu_s and after.monotonic_ns > before.monotonic_ns
    assert after.rss_mb > after.private_mb > 1 and after.threads >= 1


class Times(NamedTuple):
    """What psutil gives on Linux."""

    user: float = 100.0
    nice: float = 20.0
    system: float = 30.0
    idle: float = 99999.0
    iowait: float = 8888.0
    irq: float = 4.0
    softirq: float = 5.0
    steal: float = 6.0
    guest: float = 7.0
    guest_nice: float = 7.0


def test_the_machine_works_unless_it_idles_or_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_times", Times)
    assert read_machine_cpu_s() == pytest.approx(165)


def test_the_sampler_outlives_its_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with UsageSampler({"child": child.pid, "never there": 2**22 + 1}, period_s=0.01) as sampler:
            while len(sampler.samples["child"]) < 3:
                assert child.poll() is None
            child.kill()
            child.wait()
    finally:
        child.kill()
    assert sampler.samples["never there"] == []
    assert sampler.machine[-1].cpu_s >= sampler.machine[0].cpu_s > 0


def test_the_memory_of_a_child_is_its_own() -> None:
    held = bytearray(150_000_000)
    with MostMemory() as memory:
        subprocess.run([sys.executable, "-c", "held = bytearray(60_000_000); import time; time.sleep(0.5)"], check=True)
    assert memory.own_mb > len(held) / 1e6 and 60 < memory.other_mb < 120


def test_memory_of_a_block_shorter_than_a_period_is_known() -> None:
    with MostMemory() as memory:
        pass
    assert memory.own_mb > 1
