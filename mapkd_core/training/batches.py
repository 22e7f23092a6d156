"""Batches for training and validation: which frames, in which order, changed how; the same again after a resume.

Every sample of a run has a number; the seed and that number alone decide which frame it is and how it is augmented.
So the order does not depend on the number of loader processes, and a run resumed at sample n continues as if it had
never stopped. With several processes, process r of w takes the samples r, r + w, r + 2w, ... of each batch.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from shapely.geometry import LineString, box
from torch.utils.data import DataLoader, Dataset

from mapkd_core.config import TrainConfig
from mapkd_core.data.augment import augment
from mapkd_core.data.cache import CachedSamples, StreamedSamples
from mapkd_core.data.cache_place import is_streamed
from mapkd_core.data.dataset import Collate, FrameSource
from mapkd_core.data.drive_order import FramePose
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.data.sample import Sample
from mapkd_core.frame_sources import open_frames, with_images, with_maps
from mapkd_core.training.sample_order import (
    NumberedSamples,
    OwnShare,
    SampleSource,
    WindowSamples,
    parts_of_drives,
)
from mapkd_core.training.street_share import StreetShare
from mapkd_core.types import Batch
from mapkd_core.worker_process import end_with_parent

LONGEST_WAIT_S = 900
"""Without a batch from the loader processes: one that fails to hand over its batch, as where shared memory is full,
never tells."""

_LOOKED_AT = 256
"""Training frames, evenly spread, one of which must have a line."""


class FrameSamples:
    """A frame source read as samples."""

    def __init__(self, source: FrameSource, options: SampleOptions) -> None:
        self.source, self.options = source, options

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        return sample_from_frame(self.source[index], self.options)

    def pose(self, index: int) -> FramePose:
        """Where in which drive frame `index` stands."""
        return FramePose.of(self.source[index])


def open_samples(name: str, config: TrainConfig, labels: bool = True) -> SampleSource:
    """Samples of `cache:DIR` (written by `mapkd cache`), or of any name that frame_sources.open_frames knows.

    Frames without images are left out, and where labels (or an SD map) are asked for those without a road map: nothing
    can be learnt from them.
    Raises ValueError for a name of another form, FileNotFoundError for a folder that is not there.
    """
    data, options = config.data, _options(config, labels)
    if name.startswith("cache:"):
        return CachedSamples(name.removeprefix("cache:"), options)
    source, _ = open_frames(name, image_size=data.image_size, lidar=data.lidar)
    source = with_images(source)
    return FrameSamples(with_maps(source) if labels or data.sd_map else source, options)


def _options(config: TrainConfig, labels: bool = True) -> SampleOptions:
    data = config.data
    return SampleOptions(config.grid, data.image_size, lidar=data.lidar, sd_map=data.sd_map, labels=labels)


def _filled(source: SampleSource, name: str, what: str = "training") -> SampleSource:
    if len(source) == 0:
        raise ValueError(
            f"{what} data {name!r} hold no frame with a road map and images; check the map expansion and the split"
        )
    return source


def _with_lines(source: SampleSource, name: str, config: TrainConfig, what: str, looked_at: Sequence[int]) -> None:
    """Raises ValueError unless a frame has a line in the grid; reads frames until one has, mostly the first."""
    (x_min, x_max), (y_min, y_max) = config.grid.x_range_m, config.grid.y_range_m
    window = box(x_min, y_min, x_max, y_max)
    for index in looked_at:
        sample = source[index]
        if sample.labelled and any(LineString(e.points_m[:, :2]).intersects(window) for e in sample.elements):
            return
    raise ValueError(
        f"{what} data {name!r}: none of {len(looked_at)} frames has a map line in the grid, so nothing can be learnt "
        "or scored; do the poses and the road map belong together?"
    )


def open_validation(config: TrainConfig) -> SampleSource:
    """The validation samples, one of which has a line in the grid; raises ValueError if none has.

    Looks at those that validations look at. Raises what `open_samples` raises, too.
    """
    name = config.data.val
    source = _filled(open_samples(name, config), name, "validation")
    most = config.val_batches * config.batch_size * config.devices * config.nodes or len(source)
    _with_lines(source, name, config, "validation", range(min(most, len(source))))
    return source


def collate_for(config: TrainConfig) -> Collate:
    """Joins samples to batches with the labels that the run's network learns from."""
    return Collate(
        config.grid, lidar_points=config.data.lidar_points, outlines=config.model == "vector_student",
        window=config.data.window,
    )


def training_batches(config: TrainConfig, first_batch: int = 0, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
    """Endless batches of `config.batch_size` samples, from batch `first_batch` on.

    A cache at a URL is streamed; its order then does depend on the number of processes and loader processes.
    """
    data = config.data
    if is_streamed(data.train):
        if data.unlabelled or data.streets or data.window > 1:
            raise ValueError(
                f"data.train {data.train!r} is streamed; with data.unlabelled, data.streets or data.window it must be "
                "a local folder"
            )
        return _streamed_batches(data.train.removeprefix("cache:"), config, first_batch, rank, world_size)
    labelled = _filled(open_samples(data.train, config), data.train)
    spread = np.linspace(0, len(labelled) - 1, min(len(labelled), _LOOKED_AT)).astype(int)
    _with_lines(labelled, data.train, config, "training", spread.tolist())
    samples: Dataset[Sample]
    if data.window > 1:
        samples = WindowSamples(labelled, data.window, config.augment, config.seed, data.train)
    else:
        samples = NumberedSamples(labelled, _unlabelled(config), data.unlabelled_share, config.augment, config.seed,
                                  StreetShare.of(config))
    workers = data.workers
    before_fork(workers)
    loader = DataLoader(
        samples,
        batch_sampler=OwnShare(  # type: ignore[arg-type]
            first_batch, config.batch_size, rank, world_size, data.window
        ),
        collate_fn=collate_for(config),
        generator=own_generator(),
        num_workers=workers,
        worker_init_fn=end_with_parent,
        timeout=LONGEST_WAIT_S if workers else 0,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )
    return told(loader)


def _unlabelled(config: TrainConfig) -> SampleSource | None:
    name = config.data.unlabelled
    return _filled(open_samples(name, config, labels=False), name) if name else None


def _streamed_batches(
    url: str, config: TrainConfig, first_batch: int, rank: int, world_size: int
) -> Iterator[Batch]:
    workers = config.data.workers
    before_fork(workers)
    loader = DataLoader(
        StreamedSamples(url, _options(config), config.seed, rank, world_size, config.batch_size, first_batch),
        batch_size=config.batch_size,
        collate_fn=_ChangedBatch(config),
        generator=own_generator(),
        num_workers=workers,
        worker_init_fn=end_with_parent,
        timeout=LONGEST_WAIT_S if workers else 0,
        prefetch_factor=4 if workers else None,
    )
    return told(loader)


class _ChangedBatch:
    """Augments numbered samples and joins them."""

    def __init__(self, config: TrainConfig) -> None:
        self.change, self.seed, self.collate = config.augment, config.seed, collate_for(config)

    def __call__(self, drawn: Sequence[tuple[int, Sample]]) -> Batch:
        rngs = (np.random.default_rng((self.seed, 2, number)) for number, _ in drawn)
        return self.collate([augment(s, self.change, rng) for (_, s), rng in zip(drawn, rngs, strict=True)])


def validation_batches(
    config: TrainConfig, rank: int = 0, world_size: int = 1, source: SampleSource | None = None
) -> Iterator[Batch]:
    """This process's part of the validation frames (`open_validation`), in order; the last batch may be short.

    With `data.window` above 1 a batch is of one drive, in order of time, and nothing is remembered from batch to batch.
    """
    source = source or open_validation(config)
    before_fork(config.data.workers)
    size = config.batch_size
    if config.data.window > 1:
        batches, window = parts_of_drives(source, size, config.data.val)[rank::world_size], size
    else:
        mine, window = range(rank, len(source), world_size), 1
        batches = [list(mine[first : first + size]) for first in range(0, len(mine), size)]
    loader: DataLoader[Any] = DataLoader(
        source,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=replace(collate_for(config), window=window),
        generator=own_generator(),
        num_workers=config.data.workers,
        worker_init_fn=end_with_parent,
        timeout=LONGEST_WAIT_S if config.data.workers else 0,
    )
    for count, batch in enumerate(told(loader)):
        if config.val_batches and count >= config.val_batches:
            return
        yield batch


def told(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's batches. Raises OSError, with the remedy, where its processes die or hand nothing over."""
    batches = iter(loader)

    def each() -> Iterator[Any]:
        try:
            yield from batches
        except RuntimeError as error:
            if not str(error).startswith("DataLoader "):  # PyTorch has no class of its own for these
                raise
            raise OSError(
                f"the loader processes gave no batch ({' '.join(str(error).split())[:200]}); is the shared memory full "
                "(df -h /dev/shm), or the machine out of memory? --data.workers 0 loads without processes"
            ) from error

    return each()


def own_generator() -> torch.Generator:
    """For a loader, which else takes a number from PyTorch's own whenever it starts: networks draw theirs there."""
    return torch.Generator().manual_seed(0)


def before_fork(workers: int) -> None:
    """OpenCV's threads do not survive the fork of a loader process: its next use there would wait for them for ever.

    A loader process then works on one core, as torch makes it do anyway; the network has the others.
    """
    if workers:
        import cv2

        cv2.setNumThreads(1)


