"""Readers of data sets, with small sound files for each: tables, caches, points, images, drives, locks."""
from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
from damaged_reader import Reader, jpeg, write_json

from mapkd_core.data.cache import CachedSamples, CacheIndex
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.data.images import JpegFile
from mapkd_core.data.lidar import read_point_file
from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.data.splits import scenes_of_split
from mapkd_core.files import FolderLock
from mapkd_core.grid import BevGrid
from mapkd_core.schema import FileFault

_GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def _make_tables(folder: Path) -> None:
    from tiny_nuscenes import write_tiny_nuscenes

    write_tiny_nuscenes(folder, {"scene-a": 2, "scene-b": 2})
    write_json(folder / "v1.0-mini" / "splits.json", {"own": ["scene-a", "scene-b"]})


def _read_tables(folder: Path) -> None:
    source = NuScenesSource(folder, split="own")
    for frame in source:
        if frame.lidar is not None:
            frame.lidar()


def _make_cache(folder: Path) -> None:
    from invented_frames import Drive

    write_cache(Drive(2), folder, CacheOptions((32, 16), lidar=True), shard_frames=1, progress=False)


def _read_shards(folder: Path) -> None:
    cached = CachedSamples(folder, SampleOptions(_GRID, (32, 16), lidar=True, sd_map=True))
    for index in range(len(cached)):
        cached[index]


def _make_unfinished_cache(folder: Path) -> None:
    from invented_frames import Drive

    try:
        write_cache(Drive(4, fails_at=2), folder, CacheOptions((32, 16)), shard_frames=2, progress=False, part_frames=1)
    except ValueError:
        return


def _read_unfinished_cache(folder: Path) -> None:
    from invented_frames import Drive

    try:
        write_cache(Drive(4, fails_at=2), folder, CacheOptions((32, 16)), shard_frames=2, progress=False, part_frames=1)
    except ValueError as error:
        if str(error) != "frame 2 is damaged":
            raise
    finally:
        (folder / "index.json").unlink(missing_ok=True)


def _make_splits(folder: Path) -> None:
    (folder / "own.txt").write_text("# ours\nscene-0061\nscene-0103 # rain\n")
    write_json(folder / "splits.json", {"own": ["scene-0061"], "other": []})


def _read_splits(folder: Path) -> None:
    scenes_of_split(str(folder / "own.txt"), folder)
    scenes_of_split("own", folder)


def _make_points(folder: Path) -> None:
    np.random.default_rng(0).uniform(-50, 50, (20, 5)).astype(np.float32).tofile(folder / "a.bin")


def _make_images(folder: Path) -> None:
    for ending in (".jpg", ".png"):
        (folder / f"a{ending}").write_bytes(jpeg((64, 36), ending))


def _read_images(folder: Path) -> None:
    for ending in (".jpg", ".png"):
        JpegFile(folder / f"a{ending}").rgb((16, 9))


def _make_poses(folder: Path) -> None:
    poses = [
        {"timestamp_us": 500_000 * k, "translation": [4.0 * k, 0.1 * k, 0], "rotation_wxyz": [1, 0, 0, 0.02 * k]}
        for k in range(5)
    ]
    write_json(folder / "poses.json", {"poses": poses})


def _read_poses(folder: Path) -> None:
    from mapkd_core.sim.roads.trajectory import read_poses

    drive = read_poses(folder / "poses.json")
    drive.pose(0.5)


def _make_note(folder: Path) -> None:
    scene = {"seed": 3, "size": [32, 16], "conditions": {"weather": "clear"}}
    write_json(folder / "export.json", {"version": "v1.0-mini", "scenes": {"scene-9001": scene}})


def _read_note(folder: Path) -> None:
    from mapkd_core.sim.export.claim import claim

    try:
        claim(folder, [], [], "v1.0-mini", 0.0)
    except FileExistsError:
        return


def _make_lock(folder: Path) -> None:
    gone = {"pid": 2**22 + 5, "host": socket.gethostname(), "since": "2026-01-01 00:00:00"}
    write_json(folder / ".mapkd.lock", gone)


def _read_lock(folder: Path) -> None:
    from mapkd_core.files import FolderInUseError

    try:
        with FolderLock(folder):
            return
    except FolderInUseError as error:
        raise FileFault(str(error)) from error

READERS = (
    Reader("nuScenes' tables", _make_tables, _read_tables, keep=(
        ".jpg", ".png", "map.json", "attribute.json", "category.json", "instance.json", "sample_annotation.json",
        "visibility.json",
    )),
    Reader("cache indexes", _make_cache, lambda folder: CacheIndex.read(folder), keep=(".tar",)),
    Reader("cache shards", _make_cache, _read_shards, keep=(".json",)),
    Reader("unfinished caches", _make_unfinished_cache, _read_unfinished_cache, costly=True, keep=(".tar",)),
    Reader("images", _make_images, _read_images),
    Reader("LiDAR points", _make_points, lambda folder: read_point_file(folder / "a.bin")),
    Reader("lists of scenes", _make_splits, _read_splits),
    Reader("ego poses", _make_poses, _read_poses),
    Reader("notes of exports", _make_note, _read_note),
    Reader("locks", _make_lock, _read_lock),
)  # fmt: skip
