"""One artifact run by this build and by the checkout of another, each in a process of its own, in turn."""
from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import mapkd_core
from mapkd_core.benchmark import latency_worker
from mapkd_core.benchmark.machine import markdown_table, summary

if TYPE_CHECKING:
    from mapkd_core.benchmark.latency_contenders import Images
    from mapkd_core.runtime import RuntimeOptions

HERE = Path(mapkd_core.__file__).resolve().parent.parent
THIS = "this build"


class BuildProcess:
    """A process that runs an artifact with the code of a checkout: `with BuildProcess(...) as build: build.run()`.

    Raises ValueError, naming the checkout, if the process ends without an answer.
    """

    def __init__(self, folder: Path, card: Path, options: RuntimeOptions, given: Images) -> None:
        self.folder = folder
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, str(Path(latency_worker.__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        intrinsics, poses = given.calibration
        self._ask({
            "card": str(card.resolve()), "jpegs": [base64.b64encode(jpeg).decode() for jpeg in given.jpegs],
            "intrinsics": intrinsics.tolist(), "base_from_camera": poses.tolist(), "device": options.device,
            "backend": options.backend, "precision": options.precision, "threads": options.threads or None,
        })  # fmt: skip
        served = self._answer()
        self.engine = f"{served['backend']} {served['precision']}"

    def run(self) -> dict[str, float]:
        """One set of images: milliseconds by stage, and of the processor."""
        self._ask({})
        return self._answer()

    def _ask(self, what: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ValueError(self._silence()) from error

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(self._silence())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _silence(self) -> str:
        return f"the code in {self.folder} ended without an answer; what it said stands above"

    def __enter__(self) -> BuildProcess:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def check_checkout(folder: Path) -> Path:
    """The folder, absolute. Raises ValueError if it holds no checkout of this project."""
    if not (folder / "mapkd_core/predictor.py").is_file():
        raise ValueError(f"--against {folder} has no mapkd_core/predictor.py; name a checkout of this project")
    return folder.resolve()


def against_table(times: Mapping[str, Mapping[str, list[dict[str, float]]]]) -> str:
    """Artifact and engine -> build (this one first) -> rounds, as a table of medians, p95 and their ratios."""
    heads = ("network", "stage", THIS, "p95", "the other build", "p95", "ratio", "ratio of p95")
    rows: list[list[object]] = []
    for name, builds in times.items():
        own, other = builds.values()
        stages = [stage for stage in own[0] if stage != latency_worker.PROCESSOR]
        for stage in (*stages, "total", latency_worker.PROCESSOR):
            a, b = (summary([_of(each, stage, stages) for each in rounds]) for rounds in (own, other))
            ratios = (f"{a.median / b.median:.2f}", f"{a.p95 / b.p95:.2f}")
            rows.append([name, stage, a.median, a.p95, b.median, b.p95, *ratios])
    return markdown_table(heads, rows)


def _of(times: dict[str, float], stage: str, stages: list[str]) -> float:
    return sum(times[name] for name in stages) if stage == "total" else times[stage]
