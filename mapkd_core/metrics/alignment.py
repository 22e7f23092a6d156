"""Moves the truth of a frame to where it agrees best with a prediction, for maps that lie beside the paint.

nuScenes' maps lie up to a metre beside what the cameras see. A network that is right by the images is then wrong by the
map; a rigid motion within narrow bounds tells the one from the other. The search is the same for everyone (ours).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.distance import distance_cells
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.crossings import closed_line
from mapkd_core.metrics.line_places import LinePlaces
from mapkd_core.types import CLASSES, MapElement

_STEP_M, _STEP_DEG = 0.2, 0.5
"""Of the first search; the second one looks half a step to every side of its best."""
_CELL_M = 0.1
"""Of the distance fields that the search reads; the scores afterwards are exact."""


_FARTHEST_M = 1.5
"""A place farther than this from the other side's lines agrees with nothing."""


@dataclass(frozen=True)
class AlignBounds:
    """How far the truth may be moved to either side."""

    x_m: float
    y_m: float
    yaw_deg: float

    def __post_init__(self) -> None:
        values = (self.x_m, self.y_m, self.yaw_deg)
        if not all(0 <= v <= most for v, most in zip(values, (10.0, 10.0, 10.0), strict=True)):
            raise ValueError(f"alignment within {values} (metres along x, along y, degrees); expected 0 to 10 each")


    @classmethod
    def parse(cls, text: str, where: str) -> AlignBounds:
        """Of `X,Y,YAW`. Raises ValueError that names `where` the text stands."""
        try:
            x, y, yaw = (float(word) for word in text.split(","))
        except ValueError as error:
            raise ValueError(f"{where} {text}: {error}; expected metres, metres, degrees, such as 2,1,1.5") from error
        return cls(x, y, yaw)


@dataclass(frozen=True)
class Alignment:
    """Where the truth went: turned about the vehicle by `yaw_deg` to the left, then moved."""

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_deg: float = 0.0

    def moved(self, elements: Sequence[MapElement]) -> list[MapElement]:
        """The elements at their new places."""
        return [replace(e, points_m=self.points(e.points_m[:, :2]).astype(np.float32)) for e in elements]

    def points(self, points_m: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (..., 2) at their new places."""
        return np.asarray(points_m, np.float64) @ self._rotation().T + (self.x_m, self.y_m)

    def points_back(self, points_m: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where moved points (..., 2) were before."""
        return (np.asarray(points_m, np.float64) - (self.x_m, self.y_m)) @ self._rotation()

    def _rotation(self) -> NDArray[np.float64]:
        angle = np.deg2rad(self.yaw_deg)
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    @property
    def size(self) -> float:
        """Decides between equals: the smaller motion wins; a degree counts as a quarter of a metre."""
        return abs(self.x_m) + abs(self.y_m) + abs(self.yaw_deg) / 4


def best_alignment(
    predicted: Sequence[MapElement], true: Sequence[MapElement], bounds: AlignBounds, grid: BevGrid
) -> Alignment:
    """The motion of the truth, within `bounds`, under which the lines agree best.

    Agreement is F: (true length found + predicted length right) / (true + predicted length), of all classes together,
    averaged over all thresholds from 0 to 1.5 m: a place `d` from the other side's lines counts 1 - d / 1.5, beyond
    that nothing. All steps of 0.2 m and 0.5 degrees are tried, then half a step to every side of the
    best; of equals the smallest motion wins. Places that leave the grid by the motion, or come from beyond it, do not
    count. No motion where either side is empty.
    """
    search = _Search(predicted, true, bounds, grid)
    if not search.sides:
        return Alignment()
    axes = [_steps(bounds.x_m, _STEP_M), _steps(bounds.y_m, _STEP_M), _steps(bounds.yaw_deg, _STEP_DEG)]
    best = search.best([Alignment(x, y, yaw) for yaw in axes[2] for x in axes[0] for y in axes[1]])
    beside = [
        sorted({float(np.clip(round(at + step, 6), -most, most)) for step in (-half, 0.0, half)})
        for at, half, most in zip(
            (best.x_m, best.y_m, best.yaw_deg), (_STEP_M / 2, _STEP_M / 2, _STEP_DEG / 2),
            (bounds.x_m, bounds.y_m, bounds.yaw_deg), strict=True,
        )
    ]  # fmt: skip
    return search.best([Alignment(x, y, yaw) for yaw in beside[2] for x in beside[0] for y in beside[1]])


def _steps(most: float, step: float) -> list[float]:
    """Multiples of `step` from -most to most, and zero in any case."""
    count = int(most / step + 1e-9)
    return [round(k * step, 6) for k in range(-count, count + 1)]


class _Search:
    """Both sides' places with the distance fields of the other side's lines."""

    def __init__(
        self, predicted: Sequence[MapElement], true: Sequence[MapElement], bounds: AlignBounds, grid: BevGrid
    ) -> None:
        self.grid = grid
        corner = float(np.hypot(max(map(abs, grid.x_range_m)), max(map(abs, grid.y_range_m))))
        margin = max(bounds.x_m, bounds.y_m) + corner * np.deg2rad(bounds.yaw_deg) + 1.0
        self.low = np.array([grid.x_range_m[0], grid.y_range_m[0]]) - margin
        cells = [int(np.ceil((high - low + 2 * margin) / _CELL_M)) for low, high in (grid.x_range_m, grid.y_range_m)]
        self.shape = (cells[1], cells[0])
        self.sides: list[tuple[LinePlaces, NDArray[np.float32], bool]] = []
        if not predicted or not true:
            return
        for label in CLASSES:
            for mine, theirs, is_truth in ((true, predicted, True), (predicted, true, False)):
                places = LinePlaces.of(mine, label)
                if len(places.points_m):
                    self.sides.append((places, self._field(theirs, label), is_truth))

    def best(self, candidates: Sequence[Alignment]) -> Alignment:
        """Of the motions, the one that agrees best."""
        return max(candidates, key=lambda a: (round(self.agreement(a), 9), -a.size))

    def agreement(self, alignment: Alignment) -> float:
        """F of the motion, averaged over thresholds."""
        near = whole = 0.0
        for places, field, is_truth in self.sides:
            # The field is that of the other side where it lies; predicted places go back to the truth's frame.
            at = alignment.points(places.points_m) if is_truth else alignment.points_back(places.points_m)
            counted = places.length_m * self.grid.contains(at)
            cells = np.clip(((at - self.low) / _CELL_M).astype(np.intp), 0, np.array(self.shape[::-1]) - 1)
            near += float(counted @ np.maximum(1 - field[cells[:, 1], cells[:, 0]] / _FARTHEST_M, 0))
            whole += float(counted.sum())
        return near / whole if whole else 0.0

    def _field(self, elements: Sequence[MapElement], label: str) -> NDArray[np.float32]:
        """(rows, cols) metres from a cell's centre to the nearest line, to about half a cell."""
        free = np.ones(self.shape, np.uint8)
        for element in elements:
            if element.label == label:
                fixed = (((closed_line(element) - self.low) / _CELL_M - 0.5) * 16).round().astype(np.int32)
                cv2.polylines(free, [fixed], False, 0, 1, cv2.LINE_8, 4)
        return distance_cells(free) * np.float32(_CELL_M)
