"""Crossings and boundaries of invented frames, and predictions of them that are off by different amounts."""
from __future__ import annotations

import numpy as np

from mapkd_core.types import MapElement


def ring(rng: np.random.Generator) -> np.ndarray:
    """A closed rectangle, turned."""
    x, y = rng.uniform(-25, 25), rng.uniform(-12, 12)
    length, width, turn = rng.uniform(3, 12), rng.uniform(2, 5), rng.uniform(0, np.pi)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * (length / 2, width / 2)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return corners @ rotation.T + (x, y)


def line(rng: np.random.Generator) -> np.ndarray:
    """An open polyline of uneven steps."""
    x = np.sort(rng.uniform(-30, 30, rng.integers(2, 9)))
    return np.column_stack([x, rng.uniform(-12, 12) + 0.1 * x * rng.uniform(-1, 1)])


def frames(seed: int, off_m: float, count: int = 6) -> tuple[dict, dict]:
    """(predictions, truths) by token: most truths found but moved, some not, and some predictions of nothing."""
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(count):
        true, found = [], []
        for _ in range(rng.integers(1, 6)):
            crossing = rng.random() < 0.5
            label = "ped_crossing" if crossing else "boundary"
            points = ring(rng) if crossing else line(rng)
            true.append(MapElement(label, points, closed=crossing))
            if rng.random() < 0.8:
                moved = points + rng.normal(0, off_m, 2)
                found.append(MapElement(label, moved, float(rng.uniform(0.2, 1)), crossing))
        for _ in range(rng.integers(0, 3)):
            found.append(MapElement("ped_crossing", ring(rng), float(rng.uniform(0, 0.7)), True))
            found.append(MapElement("boundary", line(rng), float(rng.uniform(0, 0.7))))
        true.append(MapElement("divider", line(rng)))
        found.append(MapElement("divider", line(rng), 0.99))
        predictions[f"f{number}"], truths[f"f{number}"] = found, true
    return predictions, truths


CASES = {"near": (1, 0.2), "off": (2, 0.8), "far": (3, 2.5), "exact": (4, 0.0)}
