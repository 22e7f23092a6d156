"""Lines found in a set of fixed predictions stay what they were: a change for readers must not change results.

    python test/core/vectorizer/test_golden.py    writes golden.json anew, after a change that is meant to alter lines
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapkd_core.benchmark.vectorize_inputs import KINDS, branching, softmax, worst_cases
from mapkd_core.grid import GRID_60X30, GRID_60X30_COARSE, GRID_120X60, BevGrid
from mapkd_core.types import MapElement
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize

GOLDEN = Path(__file__).with_name("golden.json")
GRIDS = {"60x30": GRID_60X30, "60x30 coarse": GRID_60X30_COARSE, "120x60": GRID_120X60}
TOLERANCE_M, TOLERANCE_SCORE = 0.01, 0.002
"""Processors blur and exponentiate differently in the last bits, which moves some probabilities by one of 255."""


def town(turn: float) -> list[MapElement]:
    """A road with two dividers, curbs, two crossings, one of which is so narrow that its edges run together, a
    median, and a round island."""
    c, s = np.cos(turn), np.sin(turn)
    angle = np.linspace(0, 2 * np.pi, 40)
    lines = [
        ("divider", [[-35, -1.8], [0, -1.6], [35, -1]]), ("divider", [[-35, 1.8], [0, 2], [35, 2.6]]),
        ("boundary", [[-35, -6], [35, -5.2]]), ("boundary", [[-35, 6], [-12, 6], [-12, 12]]),
        ("boundary", [[18, 12], [18, 6.5], [35, 6.8]]), ("boundary", [[20, -9], [-5, -9], [-5, -9.45], [20, -9.45]]),
        ("ped_crossing", [[-9, -5.2], [-9, 5.4]]), ("ped_crossing", [[-5, -5.2], [-5, 5.4]]),
        ("ped_crossing", [[6, -5], [7, 5.5]]), ("ped_crossing", [[7.5, -5], [8.5, 5.5]]),
        ("boundary", np.stack([3 * np.cos(angle) + 4, 2 * np.sin(angle) + 11], 1)),
    ]  # fmt: skip
    turned = np.array([[c, s], [-s, c]])
    return [MapElement(label, (np.array(points) @ turned).astype(np.float32)) for label, points in lines]


def cases() -> Iterator[tuple[str, BevGrid, np.ndarray]]:
    """Name, grid, and probabilities as bytes (4, Y, X)."""
    for name, grid in GRIDS.items():
        frames = [town(0.35), *(branching(grid, 1) if grid is GRID_60X30 else [])]
        for number, frame in enumerate(frames):
            for kind, predict in KINDS.items():
                logits = predict(frame, grid, number)
                yield f"{name}, {kind}, frame {number}", grid, as_bytes(softmax(logits))
    zebra = [MapElement("ped_crossing", np.float32([[x, -5], [x + 2, 5 + 0.3 * x]])) for x in (-18, -15, -12, -8, 6, 8)]
    for seed in range(3):
        yield f"crossings, broken, {seed}", GRID_60X30, as_bytes(softmax(KINDS["broken"](zebra, GRID_60X30, seed)))
    for name, probability in worst_cases(GRID_60X30_COARSE):
        if "8 cells" in name or name in ("lattice", "empty", "full of boundary"):
            yield name, GRID_60X30_COARSE, as_bytes(probability)


def as_bytes(probability: np.ndarray) -> np.ndarray:
    return np.rint(255 * probability).astype(np.uint8)


def found(grid: BevGrid, probability: np.ndarray) -> dict[str, list[list[Any]]]:
    """By mode of crossings: label, closed, score, and the numbers of the vertices in a row, of every element."""
    return {
        mode: [
            [e.label, e.closed, round(float(e.score), 4), np.round(e.points_m, 3).ravel().tolist()]
            for e in vectorize(probability, grid, VectorizeConfig(crossings=mode))
        ]
        for mode in ("ring", "edges", "filled")
    }


def assert_same(one: list[list[Any]], other: list[list[Any]]) -> None:
    """The same elements, whatever the order of those whose scores differ in the last digit."""
    assert len(one) == len(other)
    ordered = (sorted(elements, key=lambda e: (e[0], e[1], len(e[3]), e[3][:2])) for elements in (one, other))
    for a, b in zip(*ordered, strict=True):
        assert a[:2] == b[:2]
        assert a[2] == pytest.approx(b[2], abs=TOLERANCE_SCORE)
        np.testing.assert_allclose(a[3], b[3], atol=TOLERANCE_M)


def test_lines_are_those_of_the_golden_file() -> None:
    golden = json.loads(GOLDEN.read_text())
    names = []
    for name, grid, probability in cases():
        names.append(name)
        for mode, elements in found(grid, probability).items():
            assert_same(elements, golden[name][mode])
    assert names == list(golden)


if __name__ == "__main__":
    blob = {name: found(grid, probability) for name, grid, probability in cases()}
    rows = [f"{json.dumps(name)}: {json.dumps(modes, separators=(',', ':'))}" for name, modes in blob.items()]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")
