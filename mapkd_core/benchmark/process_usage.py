"""What processes use of the machine, read while they run: processor time and memory."""
from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psutil

PERIOD_S = 0.5
Own = TypeVar("Own", bound="Watch")


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


class Watch(ABC):
    """Does `look` once a period, in a thread of its own, while the `with` block runs."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self: Own) -> Own:
        """Itself, at work."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Looks no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._period_s):
            self.look()

    @abstractmethod
    def look(self) -> None:
        """What is done again and again."""


class UsageSampler(Watch):
    """Reads processes twice a second."""

    def __init__(self, pids: Mapping[str, int], period_s: float = PERIOD_S) -> None:
        super().__init__(period_s)
        self.samples: dict[str, list[Usage]] = {name: [] for name in pids}
        self.machine: list[Usage] = []
        """The whole machine's processor time, whoever used it."""
        self._pids = dict(pids)

    def look(self) -> None:
        """Adds a sample of the machine, and of each process that is there."""
        self.machine.append(Usage(time.monotonic_ns(), read_machine_cpu_s(), 0.0, 0.0, 0))
        for name, pid in self._pids.items():
            with contextlib.suppress(psutil.Error):  # it has ended
                self.samples[name].append(read_usage(pid))


class MostMemory(Watch):
    """The most resident MB of this process and of any child, looked at ten times a second.

    The system's own peak of child processes holds what this process had when it started them, too.
    """

    def __init__(self) -> None:
        super().__init__(0.1)
        self.own_mb = self.other_mb = 0.0
        self.look()  # a block may be shorter than a period

    def look(self) -> None:
        """Takes what is more than before."""
        this = psutil.Process()
        self.own_mb = max(self.own_mb, read_usage(this.pid).rss_mb)
        for child in this.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has just ended
                if child.exe() == this.exe() and child.cmdline() != this.cmdline():  # not a fork before its exec
                    self.other_mb = max(self.other_mb, read_usage(child.pid).rss_mb)


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
