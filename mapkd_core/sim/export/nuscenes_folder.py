"""Writes simulated drives as a folder in nuScenes' format, which the official devkit loads unmodified.

    OUT/v1.0-mini/*.json            the 13 tables (annotations are empty)
    OUT/samples/CAM_*/*.jpg         keyframe images
    OUT/samples/LIDAR_TOP/*.pcd.bin keyframe sweeps; OUT/sweeps/LIDAR_TOP with `sweep_hz`
    OUT/maps/expansion/*.json       road maps (1.3), one for each of nuScenes' four locations
    OUT/maps/*.png                  basemaps
    OUT/osm/*.geojson               the weakly aligned SD roads

The devkit only opens maps with the names of nuScenes' four locations, so a procedural neighbourhood stands at its own
place in `boston-seaport` (traffic keeps right) or `singapore-onenorth` (left). An interrupted export goes on where it
stopped: finished images and sweeps are not rendered again.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.sd_map import ORIGINS, degrees_from_metres
from mapkd_core.files import FolderLock, inside, write_atomic
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.export.claim import JPEG_QUALITY, claim
from mapkd_core.sim.export.map_tables import SEMANTIC_PRIOR, MapExpansion
from mapkd_core.sim.export.placement import LIDAR, PlacedDrive, place
from mapkd_core.sim.export.tables import Tables
from mapkd_core.types import CAMERAS
from mapkd_core.worker_process import end_with_parent

OFFICIAL_NAMES = tuple(f"scene-{n:04d}" for n in (61, 103, 553, 655, 757, 796, 916, 1077, 1094, 1100))
"""Scenes of nuScenes' mini split; published code picks scenes by these names."""


@dataclass(frozen=True)
class Task:
    """One file group to render: a keyframe (images and sweep) or a single sweep."""

    drive: int
    keyframe: int | None
    time_s: float


def export(
    drives: Sequence[SimDrive],
    out: Path,
    version: str = "v1.0-mini",
    scenes: Sequence[str] | None = None,
    sweep_hz: float = 0.0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Renders drives into `out` in nuScenes' format and returns `out`; tables are written last.

    `sweep_hz` adds LiDAR sweeps between keyframes. `progress(done, total)` is called after every group of files.
    Raises ValueError for drives that cannot share a folder, FileExistsError where `out` holds something else or an
    export with other options, FolderInUseError while another process exports there.
    """
    scenes = tuple(scenes) if scenes is not None else tuple(f"scene-{9001 + k}" for k in range(len(drives)))
    out = Path(out)
    inside(out, version, "version")
    placed = place(drives, scenes)
    with FolderLock(out):
        claim(out, drives, scenes, version, sweep_hz)
        _export(placed, out, version, sweep_hz, workers, progress)
    return out


def _export(
    placed: list[PlacedDrive],
    out: Path,
    version: str,
    sweep_hz: float,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    tasks = [task for k, p in enumerate(placed) for task in _tasks(k, p.drive, sweep_hz)]
    run = partial(_render, out=out)
    for done, _ in enumerate(_run_all(run, placed, tasks, workers), start=1):
        if progress is not None:
            progress(done, len(tasks))
    _write_maps(placed, out)
    tables = Tables()
    for p in placed:
        tables.add_drive(p, sweep_times(p.drive, sweep_hz) if p.drive.lidar else [])
    tables.save(inside(out, version, "version"))
    write_atomic(
        out / "README.txt",
        "Simulated by mapkd_ros (mapkd sim export), in the folder format of nuScenes v1.0. No real data.\n"
        + "".join(f"{p.scene}: {p.drive.name}, {p.location}, {p.drive.conditions}\n" for p in placed),
    )


def sweep_times(drive: SimDrive, sweep_hz: float) -> list[float]:
    """Times of all LiDAR sweeps that are not keyframes, before the first and between the others."""
    if sweep_hz <= 0:
        return []
    each = max(1, round(drive.keyframe_s * sweep_hz))
    keys = [drive.time_s(k) for k in range(len(drive))]
    return [round(key - drive.keyframe_s + i * drive.keyframe_s / each, 6) for key in keys for i in range(1, each)]


def _tasks(index: int, drive: SimDrive, sweep_hz: float) -> Iterator[Task]:
    for k in range(len(drive)):
        yield Task(index, k, drive.time_s(k))
    if drive.lidar:
        yield from (Task(index, None, time_s) for time_s in sweep_times(drive, sweep_hz))


def _run_all(
    run: Callable[[PlacedDrive, Task], None], placed: list[PlacedDrive], tasks: list[Task], workers: int
) -> Iterator[Task]:
    """Runs all tasks and yields each when it is done."""
    if workers <= 1:
        for task in tasks:
            run(placed[task.drive], task)
            yield task
        return
    # Forked workers would share torch's thread pool in a broken state; spawned ones start clean.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as pool:
        futures = [pool.submit(_run_part, run, placed[task.drive], task) for task in tasks]
        for task, future in zip(tasks, futures, strict=True):
            future.result()
            yield task


_WORLDS: dict[str, PlacedDrive] = {}


def _begin_worker() -> None:
    import torch

    end_with_parent()
    torch.set_num_threads(1)


def _run_part(run: Callable[[PlacedDrive, Task], None], placed: PlacedDrive, task: Task) -> None:
    """In a worker: keeps the drive of the last task, whose world is built by now."""
    parent = parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit(1)  # it was killed, and somebody else may write to the folder by now
    if placed.drive.name not in _WORLDS:
        _WORLDS.clear()
        _WORLDS[placed.drive.name] = placed
    run(_WORLDS[placed.drive.name], task)


def _render(placed: PlacedDrive, task: Task, out: Path) -> None:
    drive = placed.drive
    lidar_us = drive.stamp_ns(task.time_s) // 1000
    if drive.lidar:
        path = out / placed.file_name(LIDAR, lidar_us, task.keyframe is not None)
        if not path.is_file():
            write_atomic(path, drive.sweep(task.time_s).astype("<f4").tobytes())
    if task.keyframe is None:
        return
    stamps = [drive.stamp_ns(t) // 1000 for t in drive.camera_times_s(task.keyframe)]
    paths = [out / placed.file_name(name, us, True) for name, us in zip(CAMERAS, stamps, strict=True)]
    if all(path.is_file() for path in paths):
        return
    for path, image in zip(paths, drive.render(task.keyframe), strict=True):
        done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise ValueError(f"image {path.name} of {image.shape} could not be encoded as JPEG")
        write_atomic(path, data.tobytes())


def _write_maps(placed: list[PlacedDrive], out: Path) -> None:
    maps = {location: MapExpansion(location) for location in SEMANTIC_PRIOR}
    roads: dict[str, list[NDArray[np.float64]]] = {location: [] for location in SEMANTIC_PRIOR}
    for p in placed:
        maps[p.location].add(p.drive.road_map, p.offset_m)
        roads[p.location] += [line + p.offset_m for line in p.drive.road_map.sd_roads_m]
    for location, expansion in maps.items():
        expansion.save(out)
        features = [
            {
                "type": "Feature",
                "properties": {"type": "residential"},
                "geometry": {
                    "type": "LineString",
                    "coordinates": degrees_from_metres(line, ORIGINS[location]).tolist(),
                },
            }
            for line in roads[location]
        ]
        if features:
            path = out / "osm" / f"{location}.geojson"
            write_atomic(path, json.dumps({"type": "FeatureCollection", "features": features}))
