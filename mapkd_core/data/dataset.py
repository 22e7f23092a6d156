"""Samples to batches: labels are drawn, images normalised, everything stacked to tensors.

Legend: B batch, N cameras, H W network image, P points, Y X grid rows and columns.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.data.drive_order import current_from_previous
from mapkd_core.data.images import normalise
from mapkd_core.data.labels import crossing_outlines, on_grid, resample_1m
from mapkd_core.data.lidar import POINTS_FOR_NETWORK, pad_points
from mapkd_core.data.raster import rasterize
from mapkd_core.data.sample import Sample, SeenMap, StreetViews
from mapkd_core.data.sd_map import rasterize_sd
from mapkd_core.grid import BevGrid
from mapkd_core.types import Batch, Frame, MapElement


class FrameSource(Protocol):
    """Frames by index: nuScenes and simulated drives alike."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...


@dataclass(frozen=True)
class Collate:
    """Draws labels and stacks samples to a `Batch`; runs in the loader's workers.

    `hdmapnet_vertices` re-samples lines every metre before drawing, as HDMapNet and P-MapNet do; lines then lose
    up to a metre at their end, so it is only for figures that must compare with theirs.
    """

    grid: BevGrid
    labels: bool = True
    lidar_points: int = POINTS_FOR_NETWORK
    hdmapnet_vertices: bool = False
    outlines: bool = False
    """Crossings as closed outlines too."""
    window: int = 1
    """Samples in a row that may follow one another in a drive, for a network with a memory; 1: each is alone."""

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Raises ValueError if samples differ in image size, or some have LiDAR or an SD map and some have not."""
        if len({sample.images.shape for sample in samples}) > 1:
            raise ValueError(f"images differ in shape within a batch: {[s.images.shape for s in samples]}")
        images = np.empty((len(samples), *np.array(samples[0].images.shape)[[0, 3, 1, 2]]), np.float32)
        for sample, planes in zip(samples, images, strict=True):
            normalise(list(sample.images), out=planes)
        batch = Batch(
            images=torch.from_numpy(images),                                               # B N 3 H W
            intrinsics=_stacked([sample.intrinsics for sample in samples]),                # B N 3 3
            base_from_camera=_stacked([sample.base_from_camera for sample in samples]),    # B N 4 4
            tokens=[sample.token for sample in samples],
            cameras=[sample.cameras for sample in samples],
        )
        if self.window > 1:
            follow_up(batch, samples, self.window)
        if any(sample.lost for sample in samples):
            batch.alive = torch.ones(batch.images.shape[:2], dtype=torch.bool)             # B N
            for place, sample in enumerate(samples):
                batch.alive[place, list(sample.lost)] = False
        if _all_or_none("LiDAR", [sample.lidar for sample in samples]):
            padded = [pad_points(sample.lidar, self.lidar_points) for sample in samples if sample.lidar is not None]
            batch.lidar = _stacked([points for points, _ in padded])                       # B P 5
            batch.lidar_mask = _stacked([mask for _, mask in padded])                      # B P
        if _all_or_none("an SD map", [sample.sd_lines_m for sample in samples]):
            rasters = [rasterize_sd(s.sd_lines_m, self.grid) for s in samples if s.sd_lines_m is not None]
            batch.sd_map = _stacked(rasters)                                               # B 1 Y X
        poses = [sample.base_from_lidar for sample in samples]
        if _all_or_none("a LiDAR's pose", poses):
            batch.base_from_lidar = _stacked([pose for pose in poses if pose is not None])  # B 4 4
        drawn = [sample.line_views for sample in samples]
        if _all_or_none("lines drawn into views", drawn):
            batch.line_views = _stacked([views for views in drawn if views is not None])   # B N 2 h w
        streets = [sample.streets for sample in samples]
        if _all_or_none("real images", streets):
            _add_streets(batch, [views for views in streets if views is not None])
        if self.labels:
            batch = with_labels(batch, [tuple(self._lines(sample)) for sample in samples], self.grid)
            if self.outlines:
                batch.outlines = [
                    tuple(crossing_outlines(sample.outlines_m, sample.crossings_apart, self.grid)) for sample in samples
                ]
            if any(sample.seen is not None for sample in samples):
                _lay_over(batch, [sample.seen for sample in samples])
            if not all(sample.labelled for sample in samples):
                batch.labelled = torch.tensor([sample.labelled for sample in samples])     # B
        return batch

    def _lines(self, sample: Sample) -> list[MapElement]:
        elements = on_grid(sample.elements, self.grid)
        return resample_1m(elements) if self.hdmapnet_vertices else elements


def with_labels(batch: Batch, elements: list[tuple[MapElement, ...]], grid: BevGrid) -> Batch:
    """The batch with these labels, as lines and drawn; its tensors keep their device."""
    drawn = [rasterize(lines, grid) for lines in elements]
    directions = [d.direction for d in drawn if d.direction is not None]
    device = batch.images.device
    return replace(
        batch,
        elements=elements,
        semantic=torch.from_numpy(np.stack([d.semantic for d in drawn])).to(device),       # B 4 Y X
        instance=torch.from_numpy(np.stack([d.instance for d in drawn])).to(device),       # B Y X
        direction=torch.from_numpy(np.stack(directions)).to(device),                       # B 2 Y X
    )


def follow_up(batch: Batch, samples: Sequence[Sample], window: int) -> None:
    """Notes in the batch which sample follows the one before it, in windows of so many, and the motion since."""
    pairs = [(samples[k - 1] if k % window else None, sample) for k, sample in enumerate(samples)]
    motions = [current_from_previous(*pair) for pair in pairs]
    batch.follows = torch.tensor([motion is not None for motion in motions])               # B
    batch.current_from_previous = _stacked([np.eye(4) if m is None else m for m in motions])    # B 4 4


def _lay_over(batch: Batch, seen: Sequence[SeenMap | None]) -> None:
    """Labels of the samples that were seen, in place of those that were drawn."""
    assert batch.semantic is not None
    batch.known_cells = torch.ones((len(seen), *batch.semantic.shape[-2:]), dtype=torch.bool)   # B Y X
    for place, labels in enumerate(seen):
        if labels is not None:
            batch.semantic[place] = torch.from_numpy(labels.semantic).to(batch.semantic.dtype)
            batch.known_cells[place] = torch.from_numpy(labels.known)


def _add_streets(batch: Batch, streets: Sequence[StreetViews]) -> None:
    """All samples' real images, one after the other."""
    images = np.concatenate([views.images for views in streets])
    batch.street_images = torch.from_numpy(normalise(list(images)))                        # M 3 H W
    batch.street_surface = torch.from_numpy(np.concatenate([views.surface for views in streets]))
    batch.street_lines = torch.from_numpy(np.concatenate([views.lines for views in streets]))


def _stacked(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32))


def _all_or_none(what: str, parts: Sequence[object]) -> bool:
    """Whether all samples have a part. Raises ValueError if only some have."""
    present = sum(part is not None for part in parts)
    if present not in (0, len(parts)):
        raise ValueError(f"{present} of {len(parts)} samples of a batch have {what}; expected all or none")
    return present > 0
