"""What processes use of the machine, read while they run: processor time, memory, Fast DDS files."""
from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SHARED = Path("/dev/shm")
_FAST_DDS = re.compile("fastdds|fastrtps")  # the latter until version 2, that is in Humble and Jazzy
PERIOD_S = 0.5


@dataclass(frozen=True)
class Usage:
    """One process at one moment."""

    monotonic_ns: int
    cpu_s: float
    """Processor time so far, of all threads."""
    rss_mb: float
    """Resident memory, shared memory included (MB = 10**6 bytes)."""
    private_mb: float
    """Of it, memory that is no file's and no shared segment's: where a leak would show."""
    threads: int


def read_usage(pid: int) -> Usage:
    """Raises psutil.NoSuchProcess (a psutil.Error) if there is no such process."""
    process = psutil.Process(pid)
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        return Usage(
            time.monotonic_ns(),
            times.user + times.system,
            memory.rss / 1e6,
            (memory.rss - memory.shared) / 1e6,
            process.num_threads(),
        )


def read_machine_cpu_s() -> float:
    """Seconds that all processors together have worked so far, for whatever process."""
    times = psutil.cpu_times()
    # A guest's time is part of `user` and `nice`.
    return sum(times) - sum(getattr(times, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))


def shared_files(pid: int) -> set[Path]:
    """Fast DDS's shared-memory files that a process has mapped; empty if it has ended."""
    try:
        paths = {Path(mapped.path) for mapped in psutil.Process(pid).memory_maps()}
    except psutil.Error:
        return set()
    return {path for path in paths if path.parent == SHARED and _FAST_DDS.search(path.name)}


def remove_left_over(files: set[Path]) -> list[Path]:
    """Removes those of the files that no process has mapped any more, as killed processes leave them; returns them."""
    if not files:
        return []
    in_use = set().union(*(shared_files(pid) for pid in psutil.pids()))
    removed = [path for path in sorted(files - in_use) if path.exists()]
    for path in removed:
        path.unlink(missing_ok=True)
    return removed


class UsageSampler:
    """Reads processes twice a second in a thread of its own while the `with` block runs."""

    def __init__(self, pids: Mapping[str, int], period_s: float = PERIOD_S) -> None:
        self.samples: dict[str, list[Usage]] = {name: [] for name in pids}
        self.machine: list[Usage] = []
        """The whole machine's processor time, whoever used it."""
        self._pids, self._period_s = dict(pids), period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> UsageSampler:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._period_s):
            self.machine.append(Usage(time.monotonic_ns(), read_machine_cpu_s(), 0.0, 0.0, 0))
            for name, pid in self._pids.items():
                try:
                    self.samples[name].append(read_usage(pid))
                except psutil.Error:  # it has ended
                    continue


def cpu_percent(samples: Sequence[Usage], begin_ns: int, end_ns: int) -> float | None:
    """Share of one core between two moments; None with fewer than two samples between them."""
    inside = [usage for usage in samples if begin_ns <= usage.monotonic_ns <= end_ns]
    if len(inside) < 2:
        return None
    wall_s = (inside[-1].monotonic_ns - inside[0].monotonic_ns) / 1e9
    return 100 * (inside[-1].cpu_s - inside[0].cpu_s) / wall_s


def mb_per_minute(samples: Sequence[Usage], begin_ns: int, end_ns: int) -> float | None:
    """Slope of a straight line through the private memory; None with fewer than three samples."""
    inside = [usage for usage in samples if begin_ns <= usage.monotonic_ns <= end_ns]
    if len(inside) < 3:
        return None
    minutes = [(usage.monotonic_ns - begin_ns) / 60e9 for usage in inside]
    mean_x, mean_y = sum(minutes) / len(inside), sum(usage.private_mb for usage in inside) / len(inside)
    spread = sum((x - mean_x) ** 2 for x in minutes)
    return sum((x - mean_x) * (usage.private_mb - mean_y) for x, usage in zip(minutes, inside, strict=True)) / spread
