"""The processes of one build of this project that `mapkd benchmark sim` times."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from mapkd_core.benchmark import sim_worker

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
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Build:
        """Starts them."""
        path = os.pathsep.join(filter(None, [str(self.folder), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": path}
        command = [sys.executable, str(Path(sim_worker.__file__))]
        for _ in range(self.processes):
            self._running.append(subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            ))  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends them."""
        for process in self._running:
            if kind is not None:
                process.kill()
            process.communicate()
        self._running = []

    def render(self, drives: Sequence[Drive]) -> Took:
        """Renders as many drives as there are processes, at the same time; raises ValueError if a process ends."""
        began = time.perf_counter()
        for process, drive in zip(self._running, drives, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(drive._asdict()) + "\n")
            process.stdin.flush()
        answers = [self._answer(process) for process in self._running]
        wall_s = time.perf_counter() - began
        processor = [{part: seconds[1] for part, seconds in answer["parts"].items()} for answer in answers]
        return Took(wall_s, processor, max(answer["peak_mb"] for answer in answers))

    def _answer(self, process: subprocess.Popen[str]) -> dict:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise ValueError(f"the code in {self.folder} ended without an answer; what it said stands above")
        return json.loads(line)
