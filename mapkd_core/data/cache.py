"""Reads a training cache: by index from a local folder, or as a stream of shards from anywhere.

Shards are plain tar files in webdataset's layout. Local ones are read by random access, which shuffles perfectly and
resumes to the sample; remote ones (object storage by fsspec, http, https and hf by webdataset) are read from front to
back and shuffled in windows.
"""
from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from mapkd_core.data.cache_place import is_remote
from mapkd_core.data.cache_record import FORMAT, CachedFrame, decode
from mapkd_core.data.cache_write import INDEX, PLAN
from mapkd_core.data.drive_order import FramePose
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.data.object_stream import Stretch, records_ahead
from mapkd_core.data.sample import Sample
from mapkd_core.files import inside
from mapkd_core.schema import FileFault, Misfit, fit, flag, integer, list_of, numbers, parse_json, read_bytes, record
from mapkd_core.schema import text as text_schema
from mapkd_core.storage import is_object_storage, open_storage

_REMEDY = "write the cache again"


def _shard(value: Any) -> None:
    _FILE_AND_ENDS(value)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", value["file"]):
        raise Misfit("the name of a file in the cache's folder", value["file"]).at("file")
    if any(before >= after for before, after in pairwise([0, *value["ends"]])):
        raise Misfit("ends that grow", value["ends"]).at("ends")


_FILE_AND_ENDS = record({"file": text_schema(), "ends": list_of(integer(1))})
_PLAN = record({"reach_m": numbers(2, low=0)}, {"labels": flag, "lidar": flag})
_INDEX = record({"plan": _PLAN, "shards": list_of(_shard)})


@dataclass(frozen=True)
class CacheIndex:
    """What a cache holds and where."""

    location: str
    """Folder or URL."""
    files: tuple[str, ...]
    ends: tuple[tuple[int, ...], ...]
    """For each shard, where each of its records ends, bytes."""
    plan: dict[str, Any]
    """How it was written: image size, reach, LiDAR, source."""

    @classmethod
    def read(cls, location: str | Path) -> CacheIndex:
        """Reads `index.json` of a folder or URL. Raises FileNotFoundError or ValueError if it is no finished cache.

        A URL has one of `cache_place.SCHEMES`; webdataset's others, of which `pipe:` runs a command, are refused.
        """
        place = str(location).rstrip("/")
        if is_remote(place):
            try:
                text = _fetched(place)
            except (OSError, ValueError) as error:
                raise FileNotFoundError(f"there is no cache at {place}: {INDEX} cannot be read ({error})") from error
        else:
            folder = Path(place).expanduser()
            if not (folder / INDEX).is_file():
                if (folder / PLAN).is_file():
                    raise ValueError(f"the cache in {folder} is not finished; run the same `mapkd cache` command again")
                raise FileNotFoundError(f"there is no cache in {folder} ({INDEX} is missing); write one: `mapkd cache`")
            place, text = str(folder), read_bytes(folder / INDEX, "the index of a cache")
        where, what = f"{place}/{INDEX}", "the index of a cache"
        values = parse_json(text, where, what, record({"plan": record({"format": text_schema()})}), _REMEDY)
        found = values["plan"]["format"]
        if found != FORMAT:
            raise FileFault(f"the cache in {place} has format {found!r}; this version reads {FORMAT!r}: {_REMEDY}")
        fit(values, _INDEX, where, what, _REMEDY)
        shards = values["shards"]
        return cls(place, tuple(s["file"] for s in shards), tuple(tuple(s["ends"]) for s in shards), values["plan"])

    def __len__(self) -> int:
        return sum(map(len, self.ends))

    @property
    def reach_m(self) -> tuple[float, float]:
        """Half length and half width of the map it holds around each vehicle."""
        x, y = self.plan["reach_m"]
        return float(x), float(y)

    def check(self, options: SampleOptions) -> None:
        """Raises ValueError for a cache without frames, or if more is asked for than it holds."""
        if not len(self):
            raise ValueError(f"the cache in {self.location} holds no frame; write it again")
        if options.labels and not self.plan.get("labels", True):
            raise ValueError(
                f"labels are asked for, but the cache in {self.location} was written without (--no-labels), so "
                "nothing can be learnt from it or scored; write it again with labels"
            )
        self.check_reach(options)

    def check_reach(self, options: SampleOptions) -> None:
        """Raises ValueError if labels or SD roads are asked for farther out than the cache holds them."""
        x, y = self.reach_m
        wanted = options.reach()
        far_x, far_y = (max(map(abs, limits)) for limits in (wanted.x_m, wanted.y_m))
        if (options.labels or options.sd_map) and (far_x > x or far_y > y):
            raise ValueError(
                f"the cache in {self.location} reaches {x:g} x {y:g} m from the vehicle; the grid with its margin "
                f"needs {far_x:g} x {far_y:g} m: write it with a larger --reach, or use a smaller grid or margin"
            )


class CachedSamples(Dataset[Sample]):
    """A local cache by index: the `Sample`s that its frames give under `options`, on any grid within its reach.

    Raises what `CacheIndex.read` and `CachedFrame.sample` raise, and ValueError for a grid beyond its reach.
    """

    def __init__(self, folder: str | Path, options: SampleOptions):
        if is_remote(str(folder)):
            raise ValueError(f"{folder} is not a local folder; read it with StreamedSamples")
        self.index, self.options = CacheIndex.read(folder), options
        self.index.check(options)
        self.shard = np.repeat(np.arange(len(self.index.ends)), [len(ends) for ends in self.index.ends])
        self.begin = np.concatenate([[0, *ends[:-1]] for ends in self.index.ends if ends]).astype(np.int64)
        self.end = np.concatenate([ends for ends in self.index.ends if ends]).astype(np.int64)
        self._open: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, index: int) -> Sample:
        frame = self.frame(index)
        try:
            return frame.sample(self.options)
        except FileFault:
            raise
        except ValueError as error:
            raise FileFault(f"{self._place(index)}: {error}") from error

    def _place(self, index: int) -> str:
        return f"{self.index.location}/{self.index.files[int(self.shard[index])]} at byte {int(self.begin[index])}"

    def frame(self, index: int) -> CachedFrame:
        """Frame `index` with its images, LiDAR and local map. Raises FileFault if the shard is damaged."""
        shard, begin, end = int(self.shard[index]), int(self.begin[index]), int(self.end[index])
        data = os.pread(self._descriptor(shard), end - begin, begin)
        return decode(_members(data, self._place(index)), self._place(index))

    def pose(self, index: int) -> FramePose:
        """Where in which drive frame `index` stands."""
        return FramePose.of(self.frame(index).frame)

    def _descriptor(self, shard: int) -> int:
        # One per process: a forked worker must not share its parent's.
        key = (os.getpid(), shard)
        if key not in self._open:
            path = inside(self.index.location, self.index.files[shard], "shard")
            try:
                self._open[key] = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise FileNotFoundError(f"the cache lacks its shard {path} ({error.strerror})") from error
        return self._open[key]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": {}}

    def __del__(self) -> None:
        for (process, _), descriptor in getattr(self, "_open", {}).items():
            if process == os.getpid():
                os.close(descriptor)


class StreamedSamples(IterableDataset[tuple[int, Sample]]):
    """An endless, shuffled stream of a cache's samples from a folder or URL, shared out to processes and workers.

    In every epoch the shards are put in a new order, and each loader worker of each process reads its own stretch of
    it, once, shuffled in windows of `window` samples (which it holds in memory, packed). Yields (number, sample): the
    number is different for every draw of a run, to seed an augmentation with. The same arguments give the same
    stream. To resume, give the number of batches this process has had as `start_batch`, with the same `batch_size`
    and number of workers as before.
    """

    def __init__(
        self,
        location: str | Path,
        options: SampleOptions,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_size: int = 1,
        start_batch: int = 0,
        window: int = 128,
    ):
        self.index = CacheIndex.read(location)
        self.index.check(options)
        self.options, self.seed, self.window = options, seed, window
        self.rank, self.world, self.batch_size, self.start_batch = rank, world, batch_size, start_batch

    def __iter__(self) -> Iterator[tuple[int, Sample]]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        # A loader asks its workers in turn, so worker k of a resumed loader goes on where k + start_batch stopped.
        number = (number + self.start_batch) % workers
        before = self.start_batch // workers + (number < self.start_batch % workers)
        lane, lanes = self.rank * workers + number, self.world * workers
        for drawn, parts in self._drawn(lane, lanes, before * self.batch_size):
            where = f"{parts.get('__url__', self.index.location)} record {parts.get('__key__', '?')}"
            yield drawn * lanes + lane, decode(parts, where).sample(self.options)

    def _drawn(self, lane: int, lanes: int, start: int) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Records of a lane from its `start`-th on, numbered over all epochs."""
        total = len(self.index)
        first, last = lane * total // lanes, (lane + 1) * total // lanes
        if first == last:
            raise ValueError(f"{total} cached samples for {lanes} workers; expected one for each at least")
        epoch, position = divmod(start, last - first)
        while True:
            window, skip = divmod(position, self.window)
            at = first + window * self.window
            while at < last:
                until = min(at + self.window, last)
                records = list(self._stretch(epoch, at, until))
                order = np.random.default_rng((self.seed, epoch, at)).permutation(len(records))
                for k, choice in enumerate(order[skip:], start=at - first + skip):
                    yield epoch * (last - first) + k, records[choice]
                at, skip = until, 0
            epoch, position = epoch + 1, 0

    def _stretch(self, epoch: int, first: int, last: int) -> Iterator[dict[str, bytes]]:
        """Records first .. last - 1 of an epoch's sequence of shards."""
        stretches, at = [], 0
        for shard in np.random.default_rng((self.seed, epoch)).permutation(len(self.index.files)):
            ends = self.index.ends[shard]
            if at < last and at + len(ends) > first:
                stretches.append(
                    Stretch(self.index.files[shard], ends, max(first - at, 0), min(last - at, len(ends)))
                )
            at += len(ends)
        if not is_object_storage(self.index.location):
            yield from self._by_webdataset(stretches)
            return
        for found in records_ahead(open_storage(self.index.location), stretches):
            yield _members(found.data, found.where)

    def _by_webdataset(self, stretches: list[Stretch]) -> Iterator[dict[str, bytes]]:
        from webdataset.tariterators import tarfile_samples

        for stretch in stretches:
            url = f"{self.index.location}/{stretch.shard}"
            try:
                yield from islice(tarfile_samples([{"url": url}]), stretch.first, stretch.last)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise FileFault(f"{url} is damaged or cannot be reached ({error}); {_REMEDY}") from error


def _fetched(place: str) -> bytes:
    """The index at a URL."""
    if is_object_storage(place):
        return open_storage(place).read(INDEX)
    from webdataset.gopen import gopen

    with gopen(f"{place}/{INDEX}") as stream:
        return bytes(stream.read())


def _members(data: bytes, where: str) -> dict[str, bytes]:
    """The files of one record in a piece of a tar file, by name ending.

    Header by header, as `cache_write` puts them: a length that does not fit is refused before it is followed.
    """
    members: dict[str, bytes] = {}
    at = 0
    try:
        while at < len(data):
            entry = tarfile.TarInfo.frombuf(data[at : at + tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
            begin, (_, dot, ending) = at + tarfile.BLOCKSIZE, entry.name.partition(".")
            if not entry.isreg() or not dot or ending in members:
                raise FileFault(f"{where}: the shard holds {entry.name!r}; {_REMEDY}")
            if not 0 <= entry.size <= len(data) - begin:
                raise FileFault(f"{where}: {entry.name!r} in the shard has {entry.size} bytes; {_REMEDY}")
            members[ending] = data[begin : begin + entry.size]
            at = begin + entry.size + -entry.size % tarfile.BLOCKSIZE
    except (tarfile.TarError, ValueError, OverflowError) as error:
        if isinstance(error, FileFault):
            raise
        raise FileFault(f"{where}: the shard is damaged ({error}); {_REMEDY}") from error
    return members
