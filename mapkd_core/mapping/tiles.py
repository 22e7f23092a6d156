"""Places found by where they are, at a cost that does not grow with the map."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

TILE_M = 16.0
"""Edge length of a tile."""
Bounds = tuple[float, float, float, float]
"""Smallest x and y, largest x and y."""


def tiles_of(bounds_m: Bounds) -> Iterator[tuple[int, int]]:
    """Column and row of every tile that a rectangle touches."""
    x0, y0, x1, y1 = (int(np.floor(value / TILE_M)) for value in bounds_m)
    return ((x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1))


class TileIndex:
    """Numbers of things, by the tile in which each lies."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[int, int], NDArray[np.int64]] = {}

    def add(self, numbers: NDArray[np.int64], xy_m: NDArray[np.float64]) -> None:
        """Adds things at places (N, 2)."""
        cells = np.floor(xy_m / TILE_M).astype(np.int64)
        for tile in {(int(x), int(y)) for x, y in cells}:
            new = numbers[(cells == tile).all(1)]
            old = self._tiles.get(tile)
            self._tiles[tile] = new if old is None else np.concatenate([old, new])

    def near(self, bounds_m: Bounds) -> NDArray[np.int64]:
        """Numbers of all things in the tiles that a rectangle touches."""
        found = [self._tiles[tile] for tile in tiles_of(bounds_m) if tile in self._tiles]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def drop(self, gone: NDArray[np.bool_], bounds_m: Bounds) -> None:
        """Forgets the things of which `gone` is true, in the tiles that a rectangle touches."""
        for tile in tiles_of(bounds_m):
            numbers = self._tiles.get(tile)
            if numbers is None or not gone[numbers].any():
                continue
            left = numbers[~gone[numbers]]
            if len(left):
                self._tiles[tile] = left
            else:
                del self._tiles[tile]
