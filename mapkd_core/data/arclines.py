"""Lane centre lines of nuScenes' map expansion: chains of arc, straight or arc, arc, as points."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.schema import list_of, number, numbers, record, text

TURNS = {"L": 1.0, "S": 0.0, "R": -1.0}
"""Sign of the curvature of a piece: left, straight, right."""
SHAPES = ("LSL", "LSR", "RSL", "RSR", "LRL", "RLR")
ARCLINES = list_of(
    record({
        "start_pose": numbers(3, low=-1e7, high=1e7),
        "shape": text(*SHAPES),
        "radius": number(1e-3),
        "segment_length": numbers(3, low=0, high=1e5),
    })
)  # fmt: skip
"""Schema of a lane's path."""


def lane_centre(paths: Sequence[Mapping[str, Any]], step_m: float = 1.0) -> NDArray[np.float64]:
    """(N, 2) points of a lane, each of its paths cut into equal steps of at most about `step_m`, both ends included."""
    points = [point for path in paths for point in _points(path, step_m)]
    return np.array(points, np.float64).reshape(-1, 2)


def _points(path: Mapping[str, Any], step_m: float) -> Iterator[tuple[float, float]]:
    # Plain numbers: a path has three points or four, for which arrays are five times slower.
    x, y, yaw = path["start_pose"]
    turns = zip(path["shape"], path["segment_length"], strict=True)
    pieces = [(TURNS[turn] / path["radius"], length) for turn, length in turns]
    whole = sum(length for _, length in pieces)
    steps = max(math.ceil(whole / step_m), 1)
    begin, at = 0.0, 0
    for place, (curvature, length) in enumerate(pieces):
        last = place == len(pieces) - 1
        while at <= steps and (last or whole * at / steps < begin + length):
            yield _after(x, y, yaw, curvature, whole * at / steps - begin)
            at += 1
        x, y = _after(x, y, yaw, curvature, length)
        yaw += curvature * length
        begin += length


def _after(x: float, y: float, yaw: float, curvature: float, distance_m: float) -> tuple[float, float]:
    """Where one comes from a point after so many metres with this heading and curvature."""
    half = curvature * distance_m / 2
    chord = distance_m * (math.sin(half) / half if abs(half) > 1e-9 else 1.0)
    return x + chord * math.cos(yaw + half), y + chord * math.sin(yaw + half)
