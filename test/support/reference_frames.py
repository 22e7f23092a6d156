"""Numbers to hold the metrics to: ten shipped frames, and the executable definitions where they lie nearby."""
from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mapkd_core.types import CLASSES, MapElement

_GOLDEN = Path(__file__).with_name("golden_frames.json")
_REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "reference"


def elements_of(vectors: list[dict[str, Any]]) -> list[MapElement]:
    return [
        MapElement(CLASSES[v["type"]], np.asarray(v["pts"], np.float64), float(v.get("confidence_level", 1)))
        for v in vectors
    ]


def shipped() -> tuple[list[list[MapElement]], list[list[MapElement]], list[float], dict[str, np.ndarray]]:
    """Predictions, truths, thresholds and expected [class][threshold] of the shipped frames."""
    blob = json.loads(_GOLDEN.read_text())
    expected = {name: np.array(table) for name, table in blob["expected [class][threshold]"].items()}
    predictions = [elements_of(v) for v in blob["predictions"].values()]
    return predictions, [elements_of(v) for v in blob["truth"].values()], blob["thresholds_m"], expected


def reference(name: str) -> ModuleType:
    """One of the reference modules; the test is skipped where they are absent."""
    if not (_REFERENCE / f"{name}.py").is_file():
        pytest.skip(f"the executable reference definitions are not at {_REFERENCE}")
    if str(_REFERENCE) not in sys.path:
        sys.path.append(str(_REFERENCE))
    return importlib.import_module(name)


def reference_frames(count: int) -> tuple[list[list[MapElement]], list[list[MapElement]], dict[str, Any]]:
    """Predictions and truths of the reference's frames, and its printed values; skips where OpenCV draws otherwise."""
    frames = reference("frames")
    golden = json.loads((_REFERENCE / "golden.json").read_text())
    made = frames.make_frames(count)
    return (
        [elements_of(frames.predictions(f)) for f in made],
        [elements_of(frames.as_vectors(f)) for f in made],
        golden,
    )


def tie_tolerance() -> float:
    """How far MapTR's AP may lie from values that were printed on another machine.

    Its evaluator sorts equal scores by NumPy's default sort, which is unstable and another one on other processors:
    ties then fall otherwise, here by up to 0.0023 of AP. On one processor all digits agree, which the tests against
    the executable definition hold; the corrected form, which sorts stably, is held to other values by all digits.
    """
    return 3e-3


def random_lines(rng: np.random.Generator, count: int, step_m: float) -> list[MapElement]:
    """Lines that wander, cross themselves and leave the 60 x 30 m grid."""
    lines = []
    for _ in range(count):
        start = rng.uniform([-36, -18], [36, 18])
        points = start + np.cumsum(rng.normal(0, step_m, (rng.integers(2, 9), 2)), 0)
        lines.append(MapElement(CLASSES[rng.integers(3)], points, float(rng.uniform())))
    return lines
