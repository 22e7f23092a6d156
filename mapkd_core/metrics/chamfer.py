"""Chamfer distances between drawn instances, a hundred times faster than full distance tables.

The peers' evaluator asks `torch.cdist` (float32) for every distance between two pixel sets. Pixels are integers, so a
distance transform gives the exact squared distance in cells to the nearest pixel at once. The single-precision form
must also repeat the rounding of `torch.cdist`, which squares out |a|^2 - 2ab + |b|^2 in a matrix product and is off by
up to two centimetres: the rounded minimum can only be reached at pixels whose exact squared distance is the smallest
(the next possible value is a whole cell squared away, more than the rounding), so evaluating the rounded formula at
those few is enough.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_DIRECT_LIMIT = 25
"""torch.cdist takes differences directly up to this many points on both sides, a matrix product beyond."""
_SMALL_PRODUCT = 16
"""Matrix libraries add up products with fewer rows or columns than this in an order that differs between CPUs."""
_BLOCK = 8
"""Side of the blocks, in cells, by which far pairs are told from near ones."""


class PixelSet:
    """The pixels of one instance on a canvas."""

    def __init__(self, rows: NDArray[np.int32], cols: NDArray[np.int32], cell_m: float) -> None:
        self.rows, self.cols = rows, cols
        self.row_m = rows.astype(np.float32) * np.float32(cell_m)
        self.col_m = cols.astype(np.float32) * np.float32(cell_m)
        self.norm = self.row_m * self.row_m + self.col_m * self.col_m

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def bounds(self) -> tuple[int, int, int, int]:
        """First row, first col, end row, end col."""
        return int(self.rows.min()), int(self.cols.min()), int(self.rows.max()) + 1, int(self.cols.max()) + 1


class NearestField:
    """Exact distances to one instance everywhere in the smallest window around it and its `visitors`."""

    def __init__(self, target: PixelSet, visitors: Sequence[PixelSet]) -> None:
        edges = np.array([s.bounds for s in (target, *visitors)])
        self.target = target
        self.row0, self.col0 = edges[:, :2].min(0)
        self.shape = tuple(edges[:, 2:].max(0) - (self.row0, self.col0))
        rows, cols = target.rows - self.row0, target.cols - self.col0
        self.index = np.full(self.shape, -1, np.int32)  # position of a cell in the target, -1 elsewhere
        self.index[rows, cols] = np.arange(len(target), dtype=np.int32)
        outside = (self.index < 0).view(np.uint8)
        self.distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)

    def squared_cells(self, points: PixelSet) -> NDArray[np.int64]:
        """Exact squared distances in cells from a visitor's pixels to the nearest target pixel."""
        distance = self.distance[points.rows - self.row0, points.cols - self.col0].astype(np.float64)
        return np.rint(distance * distance).astype(np.int64)

    def at(self, rows: NDArray[np.int32], cols: NDArray[np.int32]) -> NDArray[np.int32]:
        """Which target pixel lies at a canvas cell, -1 for none."""
        row, col = rows - self.row0, cols - self.col0
        found = self.index[np.clip(row, 0, self.shape[0] - 1), np.clip(col, 0, self.shape[1] - 1)]
        inside = (row >= 0) & (row < self.shape[0]) & (col >= 0) & (col < self.shape[1])
        return np.where(inside, found, -1)


def chamfer_table_m(
    found: Sequence[PixelSet],
    true: Sequence[PixelSet],
    shape: tuple[int, int],
    cell_m: float,
    limit_m: float,
    one_way: bool = False,
    exact: bool = True,
) -> NDArray[np.floating]:
    """(P, G) mean nearest-pixel distances of every pair in metres; infinite where it certainly exceeds `limit_m`.

    Both directions averaged, or `one_way` from `found` to `true`. `exact` is double precision; otherwise every squared
    distance is rounded as `torch.cdist` does it (float32).
    """
    table: NDArray[np.floating] = np.full((len(found), len(true)), np.inf, np.float64 if exact else np.float32)
    if not table.size:
        return table
    # The rounding moves a squared distance by at most the bound, so a distance by at most its square root.
    margin = 0.0 if exact else 2 * np.sqrt(rounding_bound_m2(shape, cell_m))
    forward, backward = _least_cells(found, true)
    least = forward if one_way else (forward + backward) / 2
    near = least * cell_m <= limit_m + margin
    to_true = {
        j: NearestField(true[j], [found[i] for i in np.nonzero(near[:, j])[0]]) for j in np.nonzero(near.any(0))[0]
    }
    to_found = {} if one_way else {
        i: NearestField(found[i], [true[j] for j in np.nonzero(near[i])[0]]) for i in np.nonzero(near.any(1))[0]
    }
    for i, j in zip(*np.nonzero(near), strict=True):
        ways = [(found[i], to_true[j])] if one_way else [(found[i], to_true[j]), (true[j], to_found[i])]
        cells = [field.squared_cells(points) for points, field in ways]
        mean = sum(float(np.sqrt(c).mean()) * cell_m for c in cells) / len(ways)
        if exact:
            table[i, j] = mean
        elif mean <= limit_m + margin:
            if min(len(found[i]), len(true[j])) < _SMALL_PRODUCT:
                means = _means_by_torch_m(found[i], true[j])
            else:
                means = [
                    _mean_single_m(points, field, c, shape, cell_m)
                    for (points, field), c in zip(ways, cells, strict=True)
                ]
            table[i, j] = means[0] if one_way else (means[0] + means[1]) / 2
    return table


def rounding_bound_m2(shape: tuple[int, int], cell_m: float) -> float:
    """Most by which a single-precision squared distance on a canvas can be off near the minimum, square metres."""
    width, height = shape[1] * cell_m, shape[0] * cell_m
    return float(2.0**-24 * (7 * (width * width + height * height) + 2 * height * height))


def _least_cells(found: Sequence[PixelSet], true: Sequence[PixelSet]) -> tuple[NDArray, NDArray]:
    """Lower bounds (P, G) in cells of both mean nearest distances, from the blocks that the instances touch."""
    a_at, a_weight, a_start = _blocks(found)
    b_at, b_weight, b_start = _blocks(true)
    gap = np.maximum(np.abs(a_at[:, None] - b_at[None]) - 1, 0) * np.float32(_BLOCK)
    distance = np.sqrt(np.square(gap).sum(-1))
    forward = np.add.reduceat(np.minimum.reduceat(distance, b_start, axis=1) * a_weight[:, None], a_start, axis=0)
    backward = np.add.reduceat(np.minimum.reduceat(distance, a_start, axis=0) * b_weight, b_start, axis=1)
    return forward, backward


def _blocks(sets: Sequence[PixelSet]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Blocks touched by each instance: (row, col), share of its pixels, and where each instance's blocks start."""
    at, weight, counts = [], [], []
    for pixels in sets:
        key = (pixels.rows // _BLOCK).astype(np.int64) << 32 | (pixels.cols // _BLOCK)
        unique, count = np.unique(key, return_counts=True)
        at.append(np.stack([unique >> 32, unique & 0xFFFFFFFF], 1))
        weight.append(count / len(pixels))
        counts.append(len(unique))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
    return np.concatenate(at).astype(np.float32), np.concatenate(weight).astype(np.float32), starts


def _mean_single_m(
    points: PixelSet, field: NearestField, cells: NDArray[np.int64], shape: tuple[int, int], cell_m: float
) -> np.float32:
    """Mean distance from `points` to the field's target as `torch.cdist` on float32 gives it.

    Equal to the last bit of every squared distance; the square root and the mean are better than torch's, whose last
    bit depends on the machine.
    """
    target = field.target
    if len(points) <= _DIRECT_LIMIT and len(target) <= _DIRECT_LIMIT:
        across, along = points.row_m[:, None] - target.row_m, points.col_m[:, None] - target.col_m
        squared = _fused(along, along, across * across).min(1)
    elif 2 * rounding_bound_m2(shape, cell_m) < cell_m * cell_m:
        squared = _rounded_minimum(points, field, cells)
    else:
        blocks = np.array_split(np.arange(len(points)), len(points) * len(target) // 1_000_000 + 1)
        every = np.arange(len(target))
        squared = np.concatenate([_rounded_squared(points, rows[:, None], target, every).min(1) for rows in blocks])
    distance = np.sqrt(np.maximum(squared, np.float32(0)))
    return np.float32(distance.mean(dtype=np.float64))


def _means_by_torch_m(found: PixelSet, true: PixelSet) -> list[np.float32]:
    """Both mean distances by `torch.cdist` itself, for sets so small that its rounding cannot be told beforehand."""
    import torch

    a, b = (torch.from_numpy(np.stack([s.row_m, s.col_m], 1))[None] for s in (found, true))
    distance = torch.cdist(a, b)[0].numpy()
    return [np.float32(distance.min(axis).mean(dtype=np.float64)) for axis in (1, 0)]


def _rounded_minimum(points: PixelSet, field: NearestField, cells: NDArray[np.int64]) -> NDArray[np.float32]:
    """Smallest rounded squared distance of every point, evaluated at its exactly nearest target pixels only."""
    starts, d_row, d_col = _lattice(max(4096, 1 << int(cells.max() + 1).bit_length()))
    first = starts[cells]
    count = starts[cells + 1] - first
    ends = np.cumsum(count)
    point = np.repeat(np.arange(len(points)), count)
    step = np.arange(ends[-1]) + np.repeat(first - ends + count, count)
    other = field.at(points.rows[point] + d_row[step], points.cols[point] + d_col[step])
    hit = np.nonzero(other >= 0)[0]
    point = point[hit]
    squared = _rounded_squared(points, point, field.target, other[hit])
    # Every point has at least one nearest pixel and points come in order, so each run of equal points is one minimum.
    return np.minimum.reduceat(squared, np.nonzero(np.diff(point, prepend=-1))[0])


def _rounded_squared(a: PixelSet, i: NDArray, b: PixelSet, j: NDArray) -> NDArray[np.float32]:
    """|a_i|^2 - 2 a_i b_j + |b_j|^2 in single precision, in the order in which the matrix product adds it up."""
    two = np.float32(-2)
    total = _fused(two * a.col_m[i], b.col_m[j], (two * a.row_m[i]) * b.row_m[j])
    return np.asarray((total + a.norm[i]) + b.norm[j], np.float32)


def _fused(x: NDArray, y: NDArray, z: NDArray) -> NDArray[np.float32]:
    """X * y + z rounded once to float32: the product of two float32 is exact in float64."""
    return (x.astype(np.float64) * y + z).astype(np.float32)


@lru_cache(maxsize=16)
def _lattice(limit: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """All integer (row, col) steps by squared length: (start of each length, rows, cols), lengths below `limit`."""
    radius = int(np.sqrt(limit))
    row, col = np.meshgrid(*[np.arange(-radius, radius + 1, dtype=np.int32)] * 2, indexing="ij")
    squared = (row * row + col * col).ravel()
    inside = np.nonzero(squared < limit)[0]
    order = inside[np.argsort(squared[inside], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(squared[inside], minlength=limit))])
    return starts, row.ravel()[order], col.ravel()[order]
