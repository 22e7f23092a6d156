"""One artifact run by this build and by the checkout of another, each in a process of its own, in turn."""
from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.benchmark import latency_worker
from mapkd_core.benchmark.machine import markdown_table, summary
from mapkd_core.benchmark.worker_of_build import THIS, WorkerOfBuild

if TYPE_CHECKING:
    from mapkd_core.benchmark.latency_contenders import Images
    from mapkd_core.runtime import RuntimeOptions


class BuildProcess(WorkerOfBuild):
    """A process that runs an artifact with the code of a checkout: `with BuildProcess(...) as build: build.run()`."""

    def __init__(self, folder: Path, card: Path, options: RuntimeOptions, given: Images) -> None:
        super().__init__(folder, Path(latency_worker.__file__))
        intrinsics, poses = given.calibration
        self.ask({
            "card": str(card.resolve()), "jpegs": [base64.b64encode(jpeg).decode() for jpeg in given.jpegs],
            "intrinsics": intrinsics.tolist(), "base_from_camera": poses.tolist(), "device": options.device,
            "backend": options.backend, "precision": options.precision, "threads": options.threads or None,
        })  # fmt: skip
        served = self.answer()
        self.engine = f"{served['backend']} {served['precision']}"

    def run(self) -> dict[str, float]:
        """One set of images: milliseconds by stage, and of the processor."""
        self.ask({})
        return self.answer()


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
