"""Map elements drawn as a perfect network would, and how far a found line lies from a true one."""
from __future__ import annotations

import numpy as np

from mapkd_core.data.raster import rasterize
from mapkd_core.grid import GRID_60X30, BevGrid
from mapkd_core.types import MapElement


def element(label: str, points: object, closed: bool = False) -> MapElement:
    """A line or ring of these vertices (metres)."""
    return MapElement(label, np.array(points, np.float32), closed=closed)


def drawn(elements: list[MapElement], grid: BevGrid = GRID_60X30) -> np.ndarray:
    """(4, rows, cols) class map of the elements, one-hot."""
    return rasterize(elements, grid, with_direction=False).semantic.astype(np.float32)


def dense(points: np.ndarray, step: float = 0.02) -> np.ndarray:
    """The line every `step` metres."""
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(lengths)])
    at = np.linspace(0, along[-1], int(along[-1] / step) + 2)
    return np.stack([np.interp(at, along, points[:, k]) for k in (0, 1)], 1)


def distance(one: MapElement, other: MapElement) -> float:
    """Mean nearest-point distance in metres, both ways, the larger."""
    a, b = dense(one.points_m), dense(other.points_m)
    table = np.linalg.norm(a[::5, None] - b[None, ::5], axis=-1)
    return float(max(table.min(0).mean(), table.min(1).mean()))
