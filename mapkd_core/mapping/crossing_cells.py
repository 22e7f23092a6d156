"""Crossings of a growing map as cells with evidence for and against: rings come out of it where somebody wants them.

Outlines that a network finds from set to set differ in their corners, number and order; areas can be added up.
Source: ours.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.sighting import Sighting
from mapkd_core.mapping.tiles import TILE_M, Bounds, tiles_of

CELL_M = 0.25
SIDE = round(TILE_M / CELL_M)
LEAST_AREA_M2 = 3.0
BESIDE_M, LEAST_BESIDE_M2 = 1.0, 8.0
"""So far around a crossing that stays as it was, cells are of it; what adjoins it is another one from this area on."""
RECTANGLE_SHARE = 0.7
"""An area that fills so much of the smallest rectangle around it is taken for that rectangle."""
FAVOR, AGAINST, SEEN, HEIGHT = range(4)
SHIFT = 4
"""Bits behind the point of the corners that OpenCV fills."""


@dataclass(frozen=True, eq=False)
class CrossingRing:
    """A crossing of the map."""

    ring_m: NDArray[np.float64]
    """(N, 3), closed."""
    score: float
    sightings: int


class CrossingCells:
    """Evidence in tiles, which exist where a crossing was ever seen."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], NDArray[np.float32]] = {}
        """(4, SIDE, SIDE): weight for, weight against, sightings, height in metres."""

    @property
    def memory_bytes(self) -> int:
        """Of the tiles."""
        return sum(tile.nbytes for tile in self.tiles.values())

    def update(self, sight: Sighting, options: MappingOptions) -> None:
        """Takes a sighting in: cells inside of its crossings, and cells in view outside of them."""
        touched: dict[tuple[int, int], NDArray[np.float32]] = {}
        for ring, score in sight.crossings:
            (x0, y0), (x1, y1) = ring[:, :2].min(0), ring[:, :2].max(0)
            if max(x1 - x0, y1 - y0) > 4 * TILE_M:  # no crossing, and it must not fill the memory
                continue
            for tile in tiles_of((x0, y0, x1, y1)):
                inside = _filled(ring, tile)
                if inside.any():
                    mask = touched.setdefault(tile, np.zeros((SIDE, SIDE), np.float32))
                    np.maximum(mask, inside * np.float32(max(score, 0.05)), out=mask)
        for tile in touched:
            self.tiles.setdefault(tile, np.zeros((4, SIDE, SIDE), np.float32))
        for tile in tiles_of(sight.bounds_m(0.0)):
            cells = self.tiles.get(tile)
            if cells is None:
                continue
            xy = _OFFSETS_M + np.array(tile) * TILE_M
            weight = sight.seen_weight(xy.reshape(-1, 2)).reshape(SIDE, SIDE)
            if tile not in touched:
                cells[AGAINST] += options.against * weight
                continue
            found = touched[tile]
            shown = (found > 0) & (weight > 0)
            gain = weight * found
            share = np.where(shown, gain / np.maximum(cells[FAVOR] + gain, 1e-9), 0)
            height = sight.height[0] + xy @ sight.height[1:]
            cells[HEIGHT] += share * (height - cells[HEIGHT])
            cells[FAVOR] += gain
            cells[SEEN] += shown
            cells[AGAINST] += np.where(shown, 0, options.against * weight)

    def insert(self, ring_m: NDArray[np.float64], favor: float, against: float, seen: int) -> None:
        """Adds evidence for a crossing (N, 3)."""
        for tile in tiles_of((*ring_m[:, :2].min(0), *ring_m[:, :2].max(0))):
            inside = _filled(ring_m, tile).astype(bool)
            if inside.any():
                cells = self.tiles.setdefault(tile, np.zeros((4, SIDE, SIDE), np.float32))
                cells[HEIGHT][inside] += favor / (cells[FAVOR][inside] + favor) * (
                    ring_m[:, 2].mean() - cells[HEIGHT][inside]
                )
                for layer, value in ((FAVOR, favor), (AGAINST, against), (SEEN, seen)):
                    cells[layer][inside] += value

    def inside(self, ring_m: NDArray[np.float64]) -> NDArray[np.float32]:
        """(4, N) the evidence of the cells in a ring."""
        parts: list[NDArray[np.float32]] = [np.zeros((4, 0), np.float32)]
        for tile in tiles_of((*ring_m[:, :2].min(0), *ring_m[:, :2].max(0))):
            if tile in self.tiles:
                parts.append(self.tiles[tile][:, _filled(ring_m, tile).astype(bool)])
        return np.concatenate(parts, axis=1)

    def rings(
        self, options: MappingOptions, bounds_m: Bounds | None = None, kept_m: Sequence[NDArray[np.float64]] = ()
    ) -> list[CrossingRing]:
        """The crossings of the map, or of the tiles that a rectangle touches, beside those (N, 3) that are kept."""
        keys = list(self.tiles) if bounds_m is None else [key for key in tiles_of(bounds_m) if key in self.tiles]
        taken = _taken(kept_m)
        keys = [
            key for key in keys
            if key not in taken or (is_accepted(self.tiles[key], options) & ~taken[key].astype(bool)).any()
        ]  # fmt: skip
        return [ring for group in _neighbours(keys) for ring in self._rings(group, options, taken)]

    def _rings(
        self, keys: list[tuple[int, int]], options: MappingOptions, taken: dict[tuple[int, int], NDArray[np.uint8]]
    ) -> list[CrossingRing]:
        """The crossings of tiles that touch each other, as one raster."""
        first, last = np.min(keys, axis=0), np.max(keys, axis=0)
        shape = tuple((last - first + 1)[::-1] * SIDE)
        canvas, others = np.zeros((4, *shape), np.float32), np.zeros(shape, np.uint8)
        for x, y in keys:
            row, col = (y - first[1]) * SIDE, (x - first[0]) * SIDE
            canvas[:, row : row + SIDE, col : col + SIDE] = self.tiles[x, y]
            if (x, y) in taken:
                others[row : row + SIDE, col : col + SIDE] = taken[x, y]
        favor, against, seen, height = canvas
        share = favor / np.maximum(favor + against, 1e-6)
        there = is_accepted(canvas, options).astype(np.uint8) & ~others
        there = cv2.morphologyEx(there, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, parts = cv2.connectedComponents(there, connectivity=4)
        beside = set(np.unique(parts[cv2.dilate(others, np.ones((5, 5), np.uint8)) > 0]).tolist())
        origin = first * TILE_M
        found = []
        for part in range(1, count):
            mask = parts == part
            if mask.sum() * CELL_M**2 < (LEAST_BESIDE_M2 if part in beside else LEAST_AREA_M2):
                continue
            outline = _outline(mask.astype(np.uint8))
            ring = np.column_stack([outline * CELL_M + origin, np.full(len(outline), float(height[mask].mean()))])
            found.append(CrossingRing(np.vstack([ring, ring[:1]]), float(share[mask].mean()), int(seen[mask].max())))
        return found


def is_accepted(cells: NDArray[np.float32], options: MappingOptions) -> NDArray[np.bool_]:
    """Whether cells (4, ...) belong to the map by their evidence."""
    share = cells[FAVOR] / np.maximum(cells[FAVOR] + cells[AGAINST], 1e-6)
    return np.asarray((share >= options.least_share) & (cells[SEEN] >= options.least_sightings))


def evidence_of(cells: NDArray[np.float32]) -> float:
    """All that speaks for or against cells (4, N): it grows whenever a set has something to say of one."""
    return float(cells[[FAVOR, AGAINST, SEEN]].sum(dtype=np.float64))


def _taken(rings_m: Sequence[NDArray[np.float64]]) -> dict[tuple[int, int], NDArray[np.uint8]]:
    """(SIDE, SIDE) of each tile: 1 where a ring, or the `BESIDE_M` around it, is."""
    found: dict[tuple[int, int], NDArray[np.uint8]] = {}
    for ring in rings_m:
        wider = shapely.make_valid(shapely.Polygon(ring[:, :2])).buffer(BESIDE_M, join_style="mitre")
        for part in shapely.get_parts(wider):
            corners = shapely.get_coordinates(shapely.get_exterior_ring(part))
            for tile in tiles_of((*corners.min(0), *corners.max(0))):
                inside = _filled(corners, tile)
                if inside.any():
                    found[tile] = np.maximum(found[tile], inside) if tile in found else inside
    return found


def _outline(mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, 2) corners of an area in cells from the raster's corner; its smallest rectangle where it nearly is one."""
    contour = max(cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
    rows, cols = np.nonzero(mask)
    corners = np.concatenate([np.column_stack([cols + dx, rows + dy]) for dx in (0, 1) for dy in (0, 1)])
    rectangle = cv2.minAreaRect(corners.astype(np.float32))
    if mask.sum() >= RECTANGLE_SHARE * rectangle[1][0] * rectangle[1][1] or len(contour) < 4:
        return np.asarray(cv2.boxPoints(rectangle), np.float64)
    outline = cv2.approxPolyDP(contour, 1.5, True)[:, 0].astype(np.float64) + 0.5
    return outline if len(outline) >= 3 else np.asarray(cv2.boxPoints(rectangle), np.float64)


def _filled(ring: NDArray[np.float64], tile: tuple[int, int]) -> NDArray[np.uint8]:
    """(SIDE, SIDE) 1 where a cell of a tile lies in a ring."""
    cells = (ring[:, :2] - np.array(tile) * TILE_M) / CELL_M - 0.5
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(cells * (1 << SHIFT)).astype(np.int32)], 1, shift=SHIFT)
    return mask


_OFFSETS_M = np.stack(np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5), -1) * CELL_M
"""(SIDE, SIDE, 2) centers of cells from a tile's corner."""


def _neighbours(keys: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Tiles in groups that touch each other."""
    left, groups = set(keys), []
    while left:
        group, edge = [], [left.pop()]
        while edge:
            x, y = edge.pop()
            group.append((x, y))
            beside = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
            new = [key for key in beside if key in left]
            left.difference_update(new)
            edge += new
        groups.append(group)
    return groups
