"""Which sample of a run is which frame, and how it is changed: the seed and the sample's number alone decide it."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from mapkd_core.config import AugmentConfig
from mapkd_core.data.augment import augment
from mapkd_core.data.drive_order import FramePose, drives_in_order, windows
from mapkd_core.data.sample import Sample
from mapkd_core.training.street_share import StreetShare

T_co = TypeVar("T_co", covariant=True)


class Indexed(Protocol[T_co]):
    """Things by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> T_co: ...


class SampleSource(Indexed[Sample], Protocol):
    """Samples by index."""

    def pose(self, index: int) -> FramePose:
        """Where in which drive a sample's frame stands."""


class Shuffled(Generic[T_co]):
    """Draw n of a run from one source: from a shuffle of its epoch."""

    def __init__(self, source: Indexed[T_co], seed: int) -> None:
        self.source, self.seed = source, seed
        self._epoch = -1
        self._order: NDArray[np.integer] = np.arange(0)

    def __getitem__(self, number: int) -> T_co:
        epoch, place = divmod(number, len(self.source))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.source))
        return self.source[int(self._order[place])]


class NumberedSamples(Dataset[Sample]):
    """Sample n of a run: which source, which frame and which augmentation follow from its number."""

    def __init__(
        self, labelled: SampleSource, unlabelled: SampleSource | None, share: float, change: AugmentConfig, seed: int,
        streets: StreetShare | None = None,
    ) -> None:
        self.labelled = Shuffled(labelled, seed)
        self.unlabelled = Shuffled(unlabelled, seed) if unlabelled is not None else None
        self.share, self.change, self.seed, self.streets = share, change, seed, streets

    def __getitem__(self, number: int) -> Sample:
        source = self.labelled
        if self.unlabelled is not None and np.random.default_rng((self.seed, 3, number)).random() < self.share:
            source = self.unlabelled
        sample = augment(source[number], self.change, np.random.default_rng((self.seed, 2, number)))
        if self.streets is None:
            return sample
        return self.streets.added(sample, np.random.default_rng((self.seed, 4, number)))


class WindowSamples(Dataset[Sample]):
    """Sample n of a run whose samples come in windows: consecutive frames of a drive, all changed alike.

    Every window of the source comes once an epoch. Raises ValueError for a source that has none.
    """

    def __init__(self, source: SampleSource, length: int, change: AugmentConfig, seed: int, name: str) -> None:
        poses = poses_of(source, name)
        found = windows(poses, length)
        if not found:
            raise ValueError(
                f"training data {name!r} hold no {length} frames in a row that follow one another; lower data.window "
                f"(it is {length}), or take longer drives"
            )
        self.source, self.length, self.change, self.seed = source, length, change, seed
        self.windows = Shuffled(found, seed)

    def __getitem__(self, number: int) -> Sample:
        window, place = divmod(number, self.length)
        sample = self.source[self.windows[window][place]]
        return augment(sample, self.change, np.random.default_rng((self.seed, 2, window)))


class OwnShare:
    """Endless lists of sample numbers: this process's windows of every batch, from batch `first` on."""

    def __init__(self, first: int, batch_size: int, rank: int, world_size: int, window: int = 1) -> None:
        self.first, self.windows, self.rank, self.world_size = first, batch_size // window, rank, world_size
        self.window = window

    def __iter__(self) -> Iterator[Sequence[int]]:
        batch = self.first
        while True:
            start, count = batch * self.windows * self.world_size, self.windows * self.world_size
            mine = range(start + self.rank, start + count, self.world_size)
            yield [number * self.window + place for number in mine for place in range(self.window)]
            batch += 1


def parts_of_drives(source: SampleSource, most: int, name: str) -> list[list[int]]:
    """The places of a source's samples, drive by drive in order of time, in parts of at most `most`."""
    drives = drives_in_order(poses_of(source, name))
    return [drive[first : first + most] for drive in drives for first in range(0, len(drive), most)]


def poses_of(source: SampleSource, name: str) -> list[FramePose]:
    """Where all samples stand. Raises ValueError if a pose is not known."""
    poses = [source.pose(index) for index in range(len(source))]
    unknown = [pose for pose in poses if pose.map_from_base is None]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(poses)} frames of {name!r} have no pose, such as one of {unknown[0].scene}; a "
            "network with a memory needs to know how the vehicle moved: train without (model_options.memory: 0, "
            "data.window: 1), or on data with poses"
        )
    return poses
