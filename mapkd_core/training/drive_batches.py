"""Endless training batches of simulated drives that are rendered on the training device, nothing kept on disk (ours).

Loader processes invent roads, worlds and labels on the CPU; this process renders all images of a drive in one call
where the network is, and mixes frames of several drives into a batch. Every drive is new, so nothing is augmented.
"""
from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, count
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mapkd_core.config import TrainConfig
from mapkd_core.data.frame_sample import SampleOptions, assemble, frame_lidar, map_around
from mapkd_core.data.images import IMAGENET_MEAN, IMAGENET_STD
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.render.rendered_image import Shots
from mapkd_core.sim.render.renderer import Renderer
from mapkd_core.sim.world.world import World
from mapkd_core.training.batches import LONGEST_WAIT_S, before_fork, collate_for, own_generator, told
from mapkd_core.types import Batch
from mapkd_core.worker_process import end_with_parent

FIRST_SEED = 5_000_000
"""Of these drives, far from those of simdrive-v1."""
FRAMES = 8
"""Of a drive; a world is costlier than its images."""
EVERY_S = 1.5
"""Between them, so that they differ."""


@dataclass(frozen=True, eq=False)
class MadeDrive:
    """A drive whose images are still to be rendered."""

    world: World
    shots: Shots
    frames: Batch
    """F frames with images of one pixel."""


class MadeDrives(Dataset[MadeDrive]):
    """Drive n: its seed, and with it all that follows, is its number."""

    def __init__(self, config: TrainConfig, frames: int = FRAMES, every_s: float = EVERY_S) -> None:
        self.config, self.frames, self.every_s = config, frames, every_s
        self.collate = collate_for(config)

    def __getitem__(self, number: int) -> MadeDrive:
        data = self.config.data
        drive = SimDrive(
            FIRST_SEED + self.config.seed * 1_000_000 + number, size=data.image_size, lidar=data.lidar,
            frames=self.frames, keyframe_s=self.every_s,
        )
        options = SampleOptions(self.config.grid, data.image_size, data.lidar, data.sd_map)
        pixel = np.zeros((1, 1, 3), np.uint8)
        samples = [
            assemble(
                frame, [(pixel, view.intrinsics) for view in frame.views], map_around(frame, options.reach()),
                frame_lidar(frame) if data.lidar else None, options,
            )
            for frame in drive
        ]
        return MadeDrive(drive.world, drive.shots(range(self.frames)), self.collate(samples))


class _From(Sampler[int]):
    """All numbers from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return count(self.first)


def made_drives(config: TrainConfig, first: int = 0, frames: int = FRAMES) -> Iterator[MadeDrive]:
    """Endless drives from number `first` on, made by `config.data.workers` processes (0: in this one)."""
    workers = config.data.workers
    before_fork(workers)
    return told(  # type: ignore[return-value]
        DataLoader(
            MadeDrives(config, frames), batch_size=None, sampler=_From(first), collate_fn=_as_it_is,
            generator=own_generator(), num_workers=workers, worker_init_fn=end_with_parent,
            timeout=LONGEST_WAIT_S if workers else 0, prefetch_factor=2 if workers else None,
        )
    )  # fmt: skip


def _as_it_is(drive: Any) -> Any:
    return drive


def rendered(drive: MadeDrive, device: torch.device | str) -> Batch:
    """The drive's frames as a batch on the device, images rendered and normalised there."""
    pixels = Renderer(drive.world, device).images_tensor(**drive.shots._asdict())           # F*N H W 3
    count_, cameras = drive.frames.images.shape[:2]
    images = normalised(pixels.to(device)).unflatten(0, (count_, cameras))                  # F N 3 H W
    return replace(drive.frames.to(device), images=images)


def normalised(pixels: Tensor) -> Tensor:
    """M H W 3 uint8 -> M 3 H W float32, (value / 255 - mean) / std, on the tensor's device."""
    mean, std = (torch.tensor(v, device=pixels.device) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((pixels / 255.0 - mean) / std).permute(0, 3, 1, 2).contiguous()


class DriveBatches:
    """Iterator of batches of `config.batch_size` frames of `pool` and more, drawn by the config's seed.

    The drives and their order depend on the seed alone, not on the number of loader processes. A run that goes on at
    `first_batch` sees new drives from there on, but not the frames that were still waiting.
    """

    def __init__(self, config: TrainConfig, device: torch.device | str, first_batch: int = 0, frames: int = FRAMES,
                 pool: int = 64) -> None:
        self.size, self.device = config.batch_size, torch.device(device)
        self.least = max(pool, config.batch_size)
        self.seconds = {"waiting for drives": 0.0, "rendering": 0.0, "drawing": 0.0}
        """Wall time by part so far."""
        self._drives = made_drives(config, first_batch * config.batch_size // frames, frames)
        self._random = np.random.default_rng((config.seed, 5, first_batch))
        self._pool: list[Batch] = []

    def __iter__(self) -> DriveBatches:
        return self

    def __next__(self) -> Batch:
        began = time.perf_counter()
        while len(self._pool) < self.least:
            drive = next(self._drives)
            began = self._spent("waiting for drives", began)
            self._pool += single_frames(rendered(drive, self.device))
            began = self._spent("rendering", began)
        order = self._random.permutation(len(self._pool))
        drawn, left = order[: self.size], order[self.size :]
        batch = joined([self._pool[k] for k in drawn])
        self._pool = [self._pool[k] for k in left]
        self._spent("drawing", began)
        return batch

    def _spent(self, part: str, began: float) -> float:
        """Counts the time since `began`, what the device still does included; returns the time now."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[part] += now - began
        return now


def single_frames(batch: Batch) -> list[Batch]:
    """Batches of one frame each; their tensors are views."""
    return [_frame(batch, place) for place in range(len(batch.images))]


def _frame(batch: Batch, place: int) -> Batch:
    parts = ((f.name, getattr(batch, f.name)) for f in fields(batch))
    return Batch(**{name: value[place : place + 1] for name, value in parts if value is not None})


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of several that have the same parts."""
    parts: dict[str, Any] = {}
    for f in fields(Batch):
        values = [getattr(batch, f.name) for batch in batches]
        if values[0] is not None:
            parts[f.name] = torch.cat(values) if isinstance(values[0], Tensor) else list(chain(*values))
    return Batch(**parts)
