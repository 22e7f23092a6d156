"""Writes a training cache: a source's frames, encoded once, scattered over tar shards in webdataset's layout.

The source is read in its own order (a simulated drive is cheap only so), in parts of some consecutive frames, which any
number of workers encode. Each frame goes to a shard drawn from the cache's seed, so that every shard is a sample of the
whole; the shards are put together from the parts when all are there. Parts and shards are whole or not there, and those
that are there are not made again: that is how writing that was interrupted goes on.
"""
from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.cache_record import FORMAT, CacheOptions, encode
from mapkd_core.data.dataset import FrameSource
from mapkd_core.engine import Engine
from mapkd_core.engine.local import LocalEngine
from mapkd_core.files import FolderLock
from mapkd_core.progress import Progress
from mapkd_core.schema import FileFault, anything, integer, list_of, mapping, parse_json, record
from mapkd_core.storage import Piece, Storage, is_object_storage, open_storage, shared_with_workers

INDEX, PLAN = "index.json", "plan.json"
PART_FRAMES = 32
"""Most frames in a part: what a worker does at a time, and what a kill costs at most."""
_PARTS = "parts"
_END = bytes(1024)  # of a tar file: two empty blocks
_BLOCK = 512  # of a tar file
_MOST_SHARDS = 512
_INDEX = record({"plan": mapping(anything)})
_NOTE = record({"ends": list_of(integer(1), 1)})
_REMEDY = "give another folder"


def write_cache(
    source: FrameSource,
    folder: str | Path,
    options: CacheOptions,
    shard_frames: int = 256,
    seed: int = 0,
    workers: int = 0,
    name: str = "",
    progress: bool = True,
    data_fingerprint: str = "",
    *,
    locked: bool = False,
    engine: Engine | None = None,
    part_frames: int = PART_FRAMES,
) -> str:
    """Writes all frames of a source to a folder, or a URL of object storage; goes on where an earlier call stopped.

    `name` says in the index where the frames come from, `data_fingerprint` what they are; `locked` says that the caller
    holds the folder's lock. `engine` is what encodes (`workers` processes of this machine by default). Returns the
    place of the index. Raises ValueError if the folder holds a cache of something else, FolderInUseError while another
    process writes there, and what `encode` raises for a frame that lacks a part.
    """
    count = len(source)
    if count == 0:
        raise ValueError("the source has no frames to cache")
    shards = min(-(-count // shard_frames), _MOST_SHARDS)
    plan = {
        "format": FORMAT, "frames": count, "shards": shards, "seed": seed, "source": name,
        "data_fingerprint": data_fingerprint, **asdict(options),
    }  # fmt: skip
    plan = json.loads(json.dumps(plan))
    storage = open_storage(folder)
    alone = locked or is_object_storage(folder)  # which knows no locks: two that write the same cache write the same
    with contextlib.nullcontext() if alone else FolderLock(folder):
        return _write(source, storage, plan, options, engine or LocalEngine(workers), progress, part_frames)


def _write(
    source: FrameSource, storage: Storage, plan: dict[str, Any], options: CacheOptions, engine: Engine, progress: bool,
    part_frames: int,
) -> str:  # fmt: skip
    index = f"{storage.location}/{INDEX}"
    there = storage.sizes()
    if INDEX in there:
        _check_same(_read(storage, INDEX, "the index of a cache", _INDEX)["plan"], plan, storage.location)
        _tidy(storage)
        return index
    _claim(storage, plan, part_frames, there)
    frames_of = parts_of(source, part_frames)
    ends_of = _parts_there(storage, frames_of)
    count, done = int(plan["frames"]), sum(map(len, ends_of.values()))
    label = f"cache {storage.location.rpartition('/')[2]}"
    with Progress(label, count, initial=done, shown=progress) as bar:
        missing = [(number, part) for number, part in enumerate(frames_of) if number not in ends_of]
        for number, ends in engine.map(EncodePart(source, options, storage), missing):
            ends_of[number] = ends
            bar.update(len(ends))
    shards = _shards(frames_of, ends_of, count, int(plan["shards"]), int(plan["seed"]))
    there = storage.sizes()
    with Progress(f"{label}: shards", len(shards), "shard", shown=progress) as bar:
        unmade = [shard for shard in shards if there.get(shard.name) != shard.size()]
        bar.update(len(shards) - len(unmade))
        for _ in engine.map(JoinShard(storage), unmade):
            bar.update()
    entries = [{"file": shard.name, "ends": shard.ends()} for shard in shards]
    storage.write(INDEX, json.dumps({"plan": plan, "shards": entries}, separators=(",", ":")).encode())
    _tidy(storage)
    return index


def parts_of(source: FrameSource, most: int) -> list[range]:
    """A source's frames in parts of at most `most`; none goes over the end of a drive, where a new world begins."""
    ends = getattr(source, "drive_ends", None) or [len(source)]
    return [
        range(first, min(first + most, end)) for begin, end in pairwise([0, *ends]) for first in range(begin, end, most)
    ]


@dataclass
class EncodePart:
    """Job: a part's records, one after the other, in a file; returns where each ends."""

    source: FrameSource
    options: CacheOptions
    storage: Storage

    def __call__(self, unit: tuple[int, range]) -> tuple[int, list[int]]:
        """The number of the part, and where its records end."""
        shared_with_workers(self.storage, PLAN)
        number, frames = unit
        records = [_tarred(f"{index:08d}", encode(self.source[index], self.options)) for index in frames]
        ends = list(accumulate(map(len, records)))
        self.storage.write(_part(number, "tar"), b"".join(records))
        self.storage.write(_part(number, "json"), json.dumps({"ends": ends}).encode())
        return number, ends


@dataclass(frozen=True)
class Shard:
    """A shard to be put together."""

    name: str
    pieces: tuple[Piece, ...]
    """Its records, in parts."""

    def ends(self) -> list[int]:
        """Where its records end."""
        return list(accumulate(end - begin for _, begin, end in self.pieces))

    def size(self) -> int:
        """Bytes of the whole."""
        return self.ends()[-1] + len(_END)


@dataclass
class JoinShard:
    """Job: a shard from the pieces of parts."""

    storage: Storage

    def __call__(self, shard: Shard) -> None:
        """Writes it."""
        shared_with_workers(self.storage, PLAN)
        self.storage.write(shard.name, b"".join([*self.storage.read_pieces(shard.pieces), _END]))


def _shards(
    frames_of: list[range], ends_of: dict[int, list[int]], count: int, shards: int, seed: int
) -> list[Shard]:
    pieces: list[list[Piece]] = [[] for _ in range(shards)]
    shard_of = _assignment(count, shards, seed)
    for number, frames in enumerate(frames_of):
        for index, (begin, end) in zip(frames, pairwise([0, *ends_of[number]]), strict=True):
            pieces[int(shard_of[index])].append((_part(number, "tar"), begin, end))
    return [Shard(f"{shard:05d}.tar", tuple(found)) for shard, found in enumerate(pieces)]


def _assignment(count: int, shards: int, seed: int) -> NDArray[np.int64]:
    """The shard of each frame: of every `shards` frames in a row, each goes to another shard."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(shards) for _ in range(-(-count // shards))])[:count]


def _tarred(key: str, parts: dict[str, bytes]) -> bytes:
    """One record as members of a tar file."""
    pieces = []
    for ending, data in parts.items():
        member = tarfile.TarInfo(f"{key}.{ending}")
        member.size, member.mode = len(data), 0o644
        pieces += [member.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % _BLOCK)]
    return b"".join(pieces)


def _part(number: int, ending: str) -> str:
    return f"{_PARTS}/{number:07d}.{ending}"


def _claim(storage: Storage, plan: dict[str, Any], part_frames: int, there: Mapping[str, int]) -> None:
    plan = {**plan, "part_frames": part_frames}
    if PLAN in there:
        found = _read(storage, PLAN, "the plan of a cache", mapping(anything))
        if "part_frames" not in found and found.get("format") == FORMAT:
            raise ValueError(
                f"{storage.location} holds an unfinished cache of an earlier version of this software; delete it, or "
                f"{_REMEDY}"
            )
        _check_same(found, plan, storage.location)
        return
    if storage.occupied():
        raise ValueError(f"{storage.location} holds other files; give a new folder for the cache")
    storage.write(PLAN, json.dumps(plan).encode())


def _check_same(there: dict[str, object], plan: dict[str, object], folder: str) -> None:
    there = {"data_fingerprint": plan["data_fingerprint"], **there}  # caches of before have none
    changed = [f"{key} {there.get(key)!r} -> {value!r}" for key, value in plan.items() if there.get(key) != value]
    if changed:
        raise ValueError(f"{folder} holds a cache of something else ({'; '.join(changed)}); give another folder")


def _read(storage: Storage, name: str, what: str, schema: Any) -> dict[str, Any]:
    return dict(parse_json(storage.read(name), f"{storage.location}/{name}", what, schema, _REMEDY))


def _parts_there(storage: Storage, frames_of: list[range]) -> dict[int, list[int]]:
    """Where the records of each finished part end; a part whose note does not fit it is none."""
    sizes = storage.sizes(_PARTS)
    found = {}
    for number, frames in enumerate(frames_of):
        if _part(number, "json") in sizes and _part(number, "tar") in sizes:
            with contextlib.suppress(FileFault):
                ends = _read(storage, _part(number, "json"), "the note of a part", _NOTE)["ends"]
                grow = all(before < after for before, after in pairwise([0, *ends]))
                if grow and len(ends) == len(frames) and ends[-1] == sizes[_part(number, "tar")]:
                    found[number] = ends
    return found


def _tidy(storage: Storage) -> None:
    """Removes what only an unfinished cache needs; a kill may have come between."""
    parts = sorted(storage.sizes(_PARTS), key=lambda name: name.endswith(".tar"))  # the notes first
    storage.delete([*parts, PLAN])
