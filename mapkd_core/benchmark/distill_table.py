"""The table of a comparison of distillation methods, from the evaluations of its runs; papers' rows stand apart."""
from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapkd_core.benchmark.machine import describe, markdown_table
from mapkd_core.config import TrainConfig
from mapkd_core.files import write_atomic
from mapkd_core.schema import mapping, number, read_json
from mapkd_core.training.checkpoint import load_checkpoint
from mapkd_core.types import CLASSES

THRESHOLDS = "0.5/1/1.5"
AP = ("ap_chamfer", "ap_pmapnet", "ap_hdmapnet")
SCORES = ("mIoU", "divider", "crossing", "boundary", *(f"`{name}`" for name in AP))
STUDENT_HEADS = (
    "method", "seeds", *SCORES, "gap closed, mIoU %", f"gap closed, `{AP[0]}` %",
    "step ms", "kept for the step back MB", "train-only M",
)  # fmt: skip

PAPERS = (
    ("HDMapNet (no distillation)", "31.16", "23.13"),
    ("BEVDistill, 10 / 30 epochs", "32.33 / 34.74", "24.99 / 29.40"),
    ("UniDistill, 10 / 30 epochs", "32.00 / 35.38", "25.44 / 29.48"),
    ("MapDistill, 10 / 30 epochs", "32.77 / 35.23", "26.90 / 29.89"),
    ("MapKD, 10 epochs", "37.84", "34.07"),
    ("coach (C + simulated LiDAR + SD + HD)", "38.76", "35.07"),
    ("teacher (C + L + SD + HD)", "54.36", "45.46"),
)
"""MapKD (arXiv 2508.15653), nuScenes val, 60x30 m: mIoU and mAP as published; which AP definition is not certain."""

COST = "cost.json"
"""File in a row's folder: what a training step cost."""


@dataclass(frozen=True)
class Entry:
    """One trained network and its evaluation, None where it has not been trained."""

    row: str
    config: TrainConfig
    result: dict[str, Any] | None

    @property
    def folder(self) -> Path:
        """Where its run lies."""
        return self.config.folder()


def miou(result: dict[str, Any]) -> float:
    """Percent."""
    return 100 * float(result["iou"]["miou"])


def mean_ap(result: dict[str, Any], definition: str) -> float:
    """Percent, at 0.5, 1 and 1.5 m."""
    return 100 * float(result["ap"][definition][THRESHOLDS]["mAP"])


def gap_closed(value: float, none: float, teacher: float) -> float:
    """The part of the way from the student alone to the teacher, percent; NaN where the teacher is not better."""
    return 100 * (value - none) / (teacher - none) if teacher > none else float("nan")


def write_table(
    folder: Path, networks: Sequence[Entry], students: Sequence[Entry], plan: str, test: str = ""
) -> str:
    """Writes table.md and table.json into `folder`; returns the Markdown. Without `test` data it holds validation."""
    teacher = next((e.result for e in networks if e.row == "teacher"), None)
    rows = list(dict.fromkeys(e.row for e in students))
    lines = ["# Distillation methods side by side", "", describe(), "", f"`mapkd benchmark distill --plan {plan}`", ""]
    lines += ["## Networks", "", _networks(networks), "", "## Students", "", _budget(students, test), ""]
    values = {row: [e for e in students if e.row == row and e.result is not None] for row in rows}
    alone = values.get("none", [])
    done = [_student_row(row, entries, alone, teacher) for row, entries in values.items() if entries]
    lines.append(markdown_table(STUDENT_HEADS, done))
    left = [row for row, entries in values.items() if not entries]
    if left:
        lines += ["", f"Not run: {', '.join(left)}."]
    lines += ["", *_equal_inference(students), ""]
    lines += ["## The papers' figures (nuScenes; another data set, other networks)", ""]
    lines.append(markdown_table(("network", "mIoU", "mAP"), PAPERS))
    text = "\n".join(lines) + "\n"
    write_atomic(folder / "table.md", text)
    plain = [{"row": e.row, "name": e.config.name, "seed": e.config.seed, "result": _short(e.result)}
             for e in (*networks, *students) if e.result]  # fmt: skip
    write_atomic(folder / "table.json", json.dumps(plain, indent=1) + "\n")
    return text


def _short(result: dict[str, Any] | None) -> dict[str, Any]:
    assert result is not None
    return {key: result[key] for key in ("frames", "iou", "iou_exact_lines", "ap")}


def _networks(entries: Sequence[Entry]) -> str:
    heads = ["network", "parameters M", "steps x batch", "seed", *SCORES]
    rows = []
    for e in entries:
        c = e.config
        if e.result is None:
            rows.append([e.row, "not run", *[""] * (len(heads) - 2)])
        else:
            about = [e.row, f"{_parameters(e):.2f}", f"{c.steps} x {c.batch_size}", str(c.seed)]
            rows.append([*about, *_scores([e.result])])
    return markdown_table(heads, rows)


def _student_row(
    row: str, entries: Sequence[Entry], alone: Sequence[Entry], teacher: dict[str, Any] | None
) -> list[str]:
    results = [e.result for e in entries if e.result is not None]
    cells = [f"`{row}`", str(len(results)), *_scores(results)]
    for score in (miou, lambda r: mean_ap(r, AP[0])):
        # A row is held against the students alone of the same seeds.
        seeds = {e.config.seed for e in entries}
        none = [score(e.result) for e in alone if e.result is not None and e.config.seed in seeds]
        mean = statistics.mean(score(r) for r in results)
        known = none and teacher is not None and row != "none"
        cells.append(f"{gap_closed(mean, statistics.mean(none), score(teacher)):.0f}" if known else "-")  # type: ignore
    cost = _cost(entries[0])
    cells += [f"{cost['step_ms']:.0f}", f"{cost['kept_mb']:.0f}"] if cost else ["-", "-"]
    return [*cells, f"{_train_only(entries[0]):.2f}"]


def _scores(results: Sequence[dict[str, Any]]) -> list[str]:
    kinds: list[Callable[[dict[str, Any]], float]] = [miou]
    kinds += [lambda r, c=c: 100 * float(r["iou"][c] or 0.0) for c in CLASSES]  # type: ignore[misc]
    kinds += [lambda r, name=name: mean_ap(r, name) for name in AP]  # type: ignore[misc]
    return [_spread([kind(r) for r in results]) for kind in kinds]


def _spread(values: Sequence[float]) -> str:
    """The mean, and half the range where there are several."""
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.1f}"


def _budget(students: Sequence[Entry], test: str) -> str:
    c = students[0].config
    frames = next((e.result["frames"] for e in students if e.result), 0)
    unlabelled = f" ({c.data.unlabelled_share:.0%} of them without labels)" if c.data.unlabelled else ""
    where = f"{test}; checkpoints and recipes were chosen on {c.data.val}" if test else (
        f"{c.data.val}, on which checkpoints were chosen too")  # fmt: skip
    return (
        f"{c.steps} steps of {c.batch_size} frames{unlabelled} each, the same in the same order; scored on "
        f"{frames} frames of {where}. AP at {THRESHOLDS} m. Mean ± half the range over seeds. A step's "
        "milliseconds are the processor time of the student's own part, teachers and loading left out."
    )


def _equal_inference(students: Sequence[Entry]) -> list[str]:
    """One line that says whether all students are the same network once trained."""
    shapes = {}
    for e in students:
        if e.result is not None:
            state = load_checkpoint(e.folder / "best.pt")["network"]
            shapes[e.config.name] = tuple(sorted((k, tuple(v.shape)) for k, v in state.items()))
    same = len(set(shapes.values())) <= 1
    if not shapes:
        return ["No student has been trained."]
    found = "the same network, parameter by parameter, in all rows" if same else "NOT EQUAL between rows"
    return [f"Inference cost: {found} ({_parameters(students[0]):.3f} M parameters)."]


def _parameters(entry: Entry) -> float:
    from mapkd_core.model.build import build_model

    c = entry.config
    return sum(p.numel() for p in build_model(c.model, c.grid, c.data.image_size, c.model_options).parameters()) / 1e6


def _train_only(entry: Entry) -> float:
    state = load_checkpoint(entry.folder / "last.pt")["train_only"]
    return float(sum(v.numel() for k, v in state.items() if not k.startswith("calibration.")) / 1e6)


def _cost(entry: Entry) -> dict[str, float] | None:
    path = entry.folder / COST
    return read_json(path, "the cost of a run", mapping(number(0)), "delete it") if path.exists() else None
