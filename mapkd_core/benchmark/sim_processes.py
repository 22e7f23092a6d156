"""The processes of one build of this project that `mapkd benchmark sim` times."""
from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from mapkd_core.benchmark import sim_worker
from mapkd_core.benchmark.worker_of_build import WorkerOfBuild

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Drive(NamedTuple):
    """A drive to render."""

    seed: int
    size: tuple[int, int]
    frames: int
    every_s: float


class Took(NamedTuple):
    """What drives rendered at the same time took together, and each by part."""

    wall_s: float
    processor_s: list[dict[str, float]]
    peak_mb: float


class Build:
    """`processes` processes that render with the code of a checkout: `with Build(folder, 2) as build: ...`."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.folder, self.processes = folder, processes
        self._stack = ExitStack()
        self._workers: list[WorkerOfBuild] = []

    def __enter__(self) -> Build:
        """Starts them."""
        for _ in range(self.processes):
            worker = WorkerOfBuild(self.folder, Path(sim_worker.__file__), ONE_THREAD)
            self._workers.append(self._stack.enter_context(worker))
        return self

    def __exit__(self, *_: object) -> None:
        """Ends them."""
        self._stack.close()
        self._workers = []

    def render(self, drives: Sequence[Drive]) -> Took:
        """Renders as many drives as there are processes, at the same time; raises ValueError if a process ends."""
        began = time.perf_counter()
        for worker, drive in zip(self._workers, drives, strict=True):
            worker.ask(drive._asdict())
        answers = [worker.answer() for worker in self._workers]
        wall_s = time.perf_counter() - began
        processor = [{part: seconds[1] for part, seconds in answer["parts"].items()} for answer in answers]
        return Took(wall_s, processor, max(answer["peak_mb"] for answer in answers))
