"""Writes a training cache: a source's frames, encoded once, scattered over tar shards in webdataset's layout.

The source is read in its own order (a simulated drive is cheap only so), and each frame goes to a shard drawn from
the cache's seed, so that every shard is a sample of the whole. A log tells which frames are safely on disk: writing
that was interrupted goes on there.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from mapkd_core.data.cache_record import FORMAT, CacheOptions, encode
from mapkd_core.data.dataset import FrameSource
from mapkd_core.files import LOCK, FolderLock, write_atomic
from mapkd_core.progress import Progress
from mapkd_core.schema import FileFault, anything, mapping, read_bytes, read_json, record, shown
from mapkd_core.worker_process import end_with_parent

INDEX, PLAN = "index.json", "plan.json"
_LOG = "written.log"
_LINE = re.compile(rb"(\d{1,3}) (\d{1,18}) (\d{1,18})")
_BLOCK = 512  # of a tar file
_CHUNK = 8  # consecutive frames a worker encodes at a time
_MOST_SHARDS = 512  # all are open while writing
_INDEX = record({"plan": mapping(anything)})
_REMEDY = "give another folder"


def write_cache(
    source: FrameSource,
    folder: Path,
    options: CacheOptions,
    shard_frames: int = 256,
    seed: int = 0,
    workers: int = 0,
    name: str = "",
    progress: bool = True,
    data_fingerprint: str = "",
    *,
    locked: bool = False,
) -> Path:
    """Writes all frames of a source to `folder`, going on where an earlier call stopped; returns the index file.

    `name` says in the index where the frames come from, `data_fingerprint` what they are; `locked` says that the caller
    holds the folder's lock. Raises ValueError if the folder holds a cache of something else, FolderInUseError while
    another process writes there, and what `encode` raises for a frame that lacks a part.
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
    with contextlib.nullcontext() if locked else FolderLock(folder):
        return _write(source, Path(folder), plan, options, workers, progress)


def _write(
    source: FrameSource, folder: Path, plan: dict[str, Any], options: CacheOptions, workers: int, progress: bool
) -> Path:
    count, shards = int(plan["frames"]), int(plan["shards"])
    if (folder / INDEX).is_file():
        _check_same(read_json(folder / INDEX, "the index of a cache", _INDEX, _REMEDY)["plan"], plan, folder)
        _tidy(folder)
        return folder / INDEX
    _claim(folder, plan)
    paths = [folder / f"{shard:05d}.tar" for shard in range(shards)]
    written = _restore(folder, paths)
    shard_of = _assignment(count, shards, int(plan["seed"]))
    chunk = _CHUNK if workers else 1
    encoded = DataLoader(
        _Encoded(source, options),
        batch_sampler=[range(i, min(i + chunk, count)) for i in range(len(written), count, chunk)],  # type: ignore
        collate_fn=list,
        num_workers=workers,
        worker_init_fn=end_with_parent,
    )
    bar = Progress(f"cache {folder.name}", count, initial=len(written), shown=progress)
    files = [path.open("ab") for path in paths]
    try:
        with bar, (folder / _LOG).open("a", encoding="utf-8") as log:
            for records in encoded:
                for parts in records:
                    index = len(written)
                    written.append((int(shard_of[index]), *_append(files[shard_of[index]], f"{index:08d}", parts)))
                    log.write(" ".join(map(str, written[-1])) + "\n")
                log.flush()
                bar.update(len(records))
        for file in files:
            file.write(bytes(2 * _BLOCK))
    finally:
        for file in files:
            file.close()
    return _finish(folder, plan, paths, written)


class _Encoded(Dataset[dict[str, bytes]]):
    def __init__(self, source: FrameSource, options: CacheOptions):
        self.source, self.options = source, options

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, bytes]:
        return encode(self.source[index], self.options)


def _assignment(count: int, shards: int, seed: int) -> NDArray[np.int64]:
    """The shard of each frame: of every `shards` frames in a row, each goes to another shard."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(shards) for _ in range(-(-count // shards))])[:count]


def _append(file: IO[bytes], key: str, parts: dict[str, bytes]) -> tuple[int, int]:
    """Adds one record to an open shard and returns where it begins and ends."""
    begin = file.tell()
    for ending, data in parts.items():
        member = tarfile.TarInfo(f"{key}.{ending}")
        member.size, member.mode = len(data), 0o644
        file.write(member.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % _BLOCK))
    file.flush()
    return begin, file.tell()


def _claim(folder: Path, plan: dict[str, object]) -> None:
    path = folder / PLAN
    if path.is_file():
        _check_same(read_json(path, "the plan of a cache", mapping(anything), _REMEDY), plan, folder)
        return
    if folder.exists() and any(path.name != LOCK for path in folder.iterdir()):
        raise ValueError(f"{folder} holds other files; give a new folder for the cache")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(plan))


def _check_same(there: dict[str, object], plan: dict[str, object], folder: Path) -> None:
    there = {"data_fingerprint": plan["data_fingerprint"], **there}  # caches of before have none
    changed = [f"{key} {there.get(key)!r} -> {value!r}" for key, value in plan.items() if there.get(key) != value]
    if changed:
        raise ValueError(f"{folder} holds a cache of something else ({'; '.join(changed)}); give another folder")


def _restore(folder: Path, paths: list[Path]) -> list[tuple[int, int, int]]:
    """(shard, begin, end) of the frames that the log vouches for; what was written after is cut off."""
    log = folder / _LOG
    written: list[tuple[int, int, int]] = []
    data = read_bytes(log, "the log of a cache") if log.is_file() else b""
    whole = data[: data.rfind(b"\n") + 1]
    ends = [0] * len(paths)
    for number, line in enumerate(whole.splitlines(), 1):
        found = _LINE.fullmatch(line)
        shard, begin, end = map(int, found.groups()) if found else (len(paths), 0, 0)
        if shard >= len(paths) or begin != ends[shard] or end <= begin:
            raise FileFault(
                f"{log}:{number} is {shown(line.decode('latin-1'))}; expected a shard, and where a frame in it begins "
                f"and ends: the file is damaged; delete {folder} and write the cache again"
            )
        if not paths[shard].is_file() or paths[shard].stat().st_size < end:
            break
        ends[shard] = end
        written.append((shard, begin, end))
    kept = "".join(f"{' '.join(map(str, entry))}\n" for entry in written).encode()
    if kept != data:
        write_atomic(log, kept)
    for shard, path in enumerate(paths):
        if path.is_file():
            os.truncate(path, max((end for s, _, end in written if s == shard), default=0))
    return written


def _finish(folder: Path, plan: dict[str, object], paths: list[Path], written: list[tuple[int, int, int]]) -> Path:
    entries = [
        {"file": path.name, "ends": [end for s, _, end in written if s == shard]} for shard, path in enumerate(paths)
    ]
    write_atomic(folder / INDEX, json.dumps({"plan": plan, "shards": entries}, separators=(",", ":")))
    _tidy(folder)
    return folder / INDEX


def _tidy(folder: Path) -> None:
    """Removes what only an unfinished cache needs; a kill may have come between."""
    for name in (PLAN, _LOG):
        (folder / name).unlink(missing_ok=True)
