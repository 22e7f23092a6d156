"""Units in this process, or in worker processes of this machine."""
from __future__ import annotations

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any

from mapkd_core.engine.interface import ATTEMPTS, EngineFault, Result, Unit, UnitNeeds
from mapkd_core.worker_process import end_with_parent

_AHEAD = 2
"""Units that wait for each worker, so that none is idle while results are taken."""


class LocalEngine:
    """`processes` workers on this machine; with 0 or 1 the units are done here, one after the other.

    Workers are fresh interpreters (about a second): a fork of a process that has run torch or OpenCV threads can hang.
    """

    def __init__(self, processes: int = 0, needs: UnitNeeds | None = None) -> None:
        self.processes, self.needs = processes, needs or UnitNeeds()

    @property
    def alone(self) -> bool:
        """As `Engine.alone`."""
        return self.processes <= 1

    def workers(self) -> int:
        """As many as there are processes."""
        return max(self.processes, 1)

    def map(self, job: Callable[[Unit], Result], units: Iterable[Unit]) -> Iterator[Result]:
        """As `Engine.map`."""
        if self.alone:
            return map(job, units)
        return self._in_processes(job, iter(units))

    def _in_processes(self, job: Callable[[Unit], Result], units: Iterator[Unit]) -> Iterator[Result]:
        packed = pickle.dumps(job)  # ours, unpacked by `_begin` once the threads are set: it imports torch and OpenCV
        waiting: deque[tuple[Unit, Future[Result] | None]] = deque()
        losses = 0
        pool = self._pool(packed)
        try:
            while True:
                try:
                    while len(waiting) < _AHEAD * self.processes:
                        try:
                            unit = next(units)
                        except StopIteration:
                            break
                        waiting.append((unit, None))
                    for place, (unit, future) in enumerate(waiting):
                        if future is None:
                            waiting[place] = unit, pool.submit(_work, unit)
                    if not waiting:
                        return
                    first = waiting[0][1]
                    assert first is not None
                    result = first.result()
                except BrokenProcessPool:
                    losses += 1
                    if losses >= ATTEMPTS:
                        raise EngineFault(
                            f"worker processes were lost {losses} times at a unit of work ({str(waiting[0][0])[:80]}); "
                            "is the machine out of memory (fewer workers), or are they killed?"
                        ) from None
                    pool.shutdown()
                    pool = self._pool(packed)
                    waiting = deque((unit, _kept(future)) for unit, future in waiting)
                    continue
                losses = 0
                waiting.popleft()
                yield result
        finally:
            pool.shutdown(cancel_futures=True)

    def _pool(self, packed: bytes) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.processes, get_context("spawn"), initializer=_begin, initargs=(packed, self.needs.cpus)
        )


def _kept(future: Future[Result] | None) -> Future[Result] | None:
    """What was done before a worker was lost; the rest is to be submitted again."""
    done = future is not None and future.done() and not isinstance(future.exception(), BrokenProcessPool)
    return future if done else None


_job: Callable[[Any], Any] | None = None


def _begin(packed: bytes, threads: int) -> None:
    """In a new worker: the job, and a share of the cores."""
    global _job
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches every process of a terminal; one of them says so
    end_with_parent()
    use_threads(threads)
    _job = pickle.loads(packed)


def _work(unit: Any) -> Any:
    parent = parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit(1)  # it was killed, and somebody else may write to its folder by now
    assert _job is not None
    return _job(unit)


def use_threads(count: int) -> None:
    """Makes the libraries of this process, those not imported yet too, use `count` threads; units share a machine."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    import sys

    import cv2

    cv2.setNumThreads(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
