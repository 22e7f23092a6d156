"""Where map elements lie: masks, soft line maps and keypoints, which stand in for the boxes of detection methods.

Every quantity is made when first asked for and kept for the step. Legend: B batch, C map classes without background,
Y X grid, h w the size asked for.
"""
from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mapkd_core.distance import distance_cells
from mapkd_core.geometry import evenly_spaced
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Batch, MapElement

Size = tuple[int, int]


class Regions:
    """Regions of one batch's labels."""

    def __init__(self, batch: Batch, grid: BevGrid, sigma_m: float = 0.5) -> None:
        assert batch.semantic is not None, "distillation is training, whose batches carry labels"
        self.batch, self.grid, self.sigma_m = batch, grid, sigma_m
        self.semantic = batch.semantic

    def foreground(self, size: Size | None = None) -> Tensor:
        """B 1 h w, 1 where a line runs; by maximum, because a thin line averages away."""
        return _max_pooled((self.semantic[:, :1] == 0).float(), size)

    def heat(self, size: Size | None = None) -> Tensor:
        """B C h w, exp(-d^2 / 2 sigma^2) of the distance to the nearest centre line of each class, sigma 0.5 m."""
        return _max_pooled(torch.exp(-(self.distance_m**2) / (2 * self.sigma_m**2)), size)

    @cached_property
    def distance_m(self) -> Tensor:
        """B C Y X, metres to the nearest centre line of each class; far beyond the grid where there is none."""
        maps = np.stack([_distances(elements, self.grid) for elements in self._elements()])
        return torch.from_numpy(maps).to(self.semantic.device)

    def instance_scale(self, size: Size) -> Tensor:
        """B 1 h w, 1 / sqrt(area of the pixel's instance in pixels of this size), 0 on background."""
        ids = self.instance_ids(size).long()                                            # B 1 h w
        flat = ids.flatten(1)
        areas = torch.zeros(len(flat), int(flat.max()) + 1, device=flat.device)         # B K
        areas.scatter_add_(1, flat, torch.ones_like(flat, dtype=areas.dtype))
        scale = areas.clamp(min=1).rsqrt()
        scale[:, 0] = 0
        return scale.gather(1, flat).view(ids.shape)

    def instance_ids(self, size: Size) -> Tensor:
        """B 1 h w, instance number, 0 background; of several in one cell the one drawn last."""
        assert self.batch.instance is not None, "distillation by instances needs instance labels"
        return _max_pooled(self.batch.instance[:, None].float(), size).int()

    def false_positives(self, teacher_logits: Tensor, size: Size, threshold: float = 0.5) -> Tensor:
        """B 1 h w, 1 where the teacher sees a line and none is within 3 pixels."""
        near = functional.max_pool2d(self.foreground(), 7, 1, 3)
        claimed = (teacher_logits[:, 1:].sigmoid().amax(1, keepdim=True) > threshold).float()
        return _max_pooled(claimed * (1 - near), size)

    def keypoints_m(self, count: int) -> list[Tensor]:
        """For each sample E count 2: points evenly spaced along each element, x y in metres."""
        return [self._stacked([along(e, count) for e in elements], (0, count, 2)) for elements in self._elements()]

    def ribbons_m(self, along_count: int, across_m: NDArray[np.float64], most: int, number: int) -> list[Tensor]:
        """For each sample E (along_count * len(across_m)) 2: points along each element and beside it, metres.

        Of a ring, along its outline alone. At most `most` elements of a sample, drawn anew for each `number`, that of
        the step, so that in the course of a training all of them have their turn.
        """
        samples = []
        for sample, elements in enumerate(self._elements()):
            random = np.random.default_rng((number, sample))
            chosen = np.sort(random.permutation(len(elements))[:most])
            ribbons = [_ribbon(elements[i], along_count, across_m) for i in chosen]
            samples.append(self._stacked(ribbons, (0, along_count * len(across_m), 2)))
        return samples

    def sample(self, features: Tensor, points_m: Tensor) -> Tensor:
        """C h w at points ... 2 (x, y metres) -> ... C, bilinear; beyond the grid as at its edge."""
        (x0, x1), (y0, y1) = self.grid.x_range_m, self.grid.y_range_m
        low, high = points_m.new_tensor([x0, y0]), points_m.new_tensor([x1, y1])
        where = (2 * (points_m - low) / (high - low) - 1).to(features.dtype)
        flat = where.reshape(1, 1, -1, 2)
        taken = functional.grid_sample(features[None], flat, padding_mode="border", align_corners=False)
        return taken[0, :, 0].T.reshape(*points_m.shape[:-1], features.shape[0])

    def _elements(self) -> list[tuple[MapElement, ...]]:
        if self.batch.elements is None:
            raise ValueError("this method needs the labels as lines, the batch has only rasters; collate with labels")
        return self.batch.elements

    def _stacked(self, parts: list[NDArray[np.float64]], empty: tuple[int, ...]) -> Tensor:
        array = np.stack(parts) if parts else np.zeros(empty)
        return torch.from_numpy(array.astype(np.float32)).to(self.semantic.device)


def along(element: MapElement, count: int) -> NDArray[np.float64]:
    """(count, 2) points evenly spaced by arc length; on a ring count - 1 of them and its centroid."""
    points = np.asarray(element.points_m, np.float64)[:, :2]
    placed = evenly_spaced(points, count)
    if element.closed and count > 2:
        placed = np.concatenate([placed[:-1], placed[:-1].mean(0, keepdims=True)])
    return placed


def _ribbon(element: MapElement, count: int, across_m: NDArray[np.float64]) -> NDArray[np.float64]:
    points = np.asarray(element.points_m, np.float64)[:, :2]
    if element.closed:  # the last point would be the first again
        line = evenly_spaced(points, count + 1)[:-1]
        step = np.roll(line, -1, 0) - np.roll(line, 1, 0)
    else:
        line = evenly_spaced(points, count)
        step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
    return (line[:, None] + normal[:, None] * across_m[None, :, None]).reshape(-1, 2)


def _distances(elements: tuple[MapElement, ...], grid: BevGrid) -> NDArray[np.float32]:
    """(C, Y, X) metres."""
    far = float(np.hypot(grid.rows, grid.cols))
    result = np.full((len(CLASSES), *grid.shape), far, np.float32)
    for channel, label in enumerate(CLASSES):
        lines = [np.floor(grid.cells_from_metres(e.points_m)).astype(np.int32) for e in elements if e.label == label]
        if lines:
            free = np.ones(grid.shape, np.uint8)
            cv2.polylines(free, lines, False, (0,), 1)
            result[channel] = distance_cells(free)
    return result * np.float32(grid.cell_m)


def _max_pooled(values: Tensor, size: Size | None) -> Tensor:
    if size is None or values.shape[-2:] == torch.Size(size):
        return values
    return functional.adaptive_max_pool2d(values, size)
