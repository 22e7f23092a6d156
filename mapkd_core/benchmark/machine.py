"""What machine a benchmark ran on, in words and in limits, and how a list of times is summed up."""
from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

PACKAGES = ("torch", "numpy", "opencv-python-headless", "onnxruntime", "openvino")


class Summary(NamedTuple):
    """Median, 95th percentile and maximum of a list of times, in the unit that they came in."""

    median: float
    p95: float
    max: float


def summary(times_ms: Sequence[float]) -> Summary:
    """Median, 95th percentile and maximum; raises ValueError for an empty list."""
    if len(times_ms) == 0:
        raise ValueError("no times to sum up; expected at least one round")
    values = np.asarray(times_ms, np.float64)
    return Summary(float(np.median(values)), float(np.percentile(values, 95)), float(values.max()))


def timed_ms(work: Callable[[], object], device: str = "cpu") -> float:
    """Milliseconds of wall time that one call takes; on `cuda` until the device has finished."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")  # psutil knows no names
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Installed versions by package; one that is not installed is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float:
    """Most memory that this process has held so far (resident set), in MB; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def matmul_gflops(threads: int | None = None, device: str = "cpu", dtype: str = "float32", size: int = 2048) -> float:
    """GFLOP/s of a large matrix product, best of eight: what this machine does at most.

    `threads` holds during the call only; by default PyTorch's present number.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        a = torch.randn(size, size).to(device, getattr(torch, dtype))
        best_ms = min(timed_ms(lambda: a @ a, device) for _ in range(8))
    finally:
        torch.set_num_threads(before)
    return 2 * size**3 / 1e6 / best_ms


def memory_gbs(device: str = "cpu", megabytes: int = 256) -> float:
    """GB/s that a large copy moves, bytes read and bytes written counted, best of five."""
    import torch

    source = torch.ones(megabytes * 2**18, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # the first touch pays for the pages
    best_ms = min(timed_ms(lambda: target.copy_(source), device) for _ in range(5))
    return 2 * source.numel() * 4 / 1e6 / best_ms


def load_average() -> float:
    """Runnable processes over the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def describe(device: str = "cpu", threads: int | None = None, packages: Iterable[str] = PACKAGES) -> str:
    """One paragraph for the head of a results file: date, machine, threads, versions, load average."""
    where = f"{cpu_name()}, {cores()} cores"
    if device == "cuda":
        import torch

        where = f"{torch.cuda.get_device_name()}, {where}"
    used = f", {threads} threads" if threads else ""
    listed = ", ".join(f"{name} {number}" for name, number in versions(packages).items())
    return (
        f"{date.today().isoformat()}, {where}{used}, Python {platform.python_version()}, {listed}; "
        f"load average {load_average():.1f}"
    )


def command_line() -> str:
    """The command that was typed, so that a results file can be made again."""
    program = Path(sys.argv[0]).name
    return " ".join([program, *sys.argv[1:]])


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats get one decimal, everything else its text."""

    def cell(value: object) -> str:
        return f"{value:.1f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(map(cell, row)) + " |" for row in rows])
