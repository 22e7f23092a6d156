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

import contextlib
import json
import tempfile
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.sd_map import ORIGINS, degrees_from_metres
from mapkd_core.engine import Engine
from mapkd_core.engine.local import LocalEngine
from mapkd_core.files import FolderLock, inside, write_atomic
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.export.claim import JPEG_QUALITY, NOTE, claim
from mapkd_core.sim.export.map_tables import SEMANTIC_PRIOR, MapExpansion
from mapkd_core.sim.export.placement import LIDAR, PlacedDrive, place
from mapkd_core.sim.export.tables import Tables
from mapkd_core.storage import Storage, is_object_storage, open_storage, shared_with_workers
from mapkd_core.types import CAMERAS

OFFICIAL_NAMES = tuple(f"scene-{n:04d}" for n in (61, 103, 553, 655, 757, 796, 916, 1077, 1094, 1100))
"""Scenes of nuScenes' mini split; published code picks scenes by these names."""
_GROUP, _LARGEST_GROUP = 8, 256
"""Most tasks in a unit of work: where few drives are shared out to many workers, and else."""
_DRIVES_EACH = 4
"""Drives for each worker from which on each drive stays with one."""


@dataclass(frozen=True)
class Task:
    """One file group to render: a keyframe's images and sweep, or a single sweep; what is there already is left out."""

    keyframe: int | None
    time_s: float
    images: bool
    sweep: bool


@dataclass(frozen=True, eq=False)
class DriveTasks:
    """Unit of work: some tasks of one drive, which share its world."""

    placed: PlacedDrive
    tasks: tuple[Task, ...]

    def __str__(self) -> str:
        return f"{len(self.tasks)} groups of {self.placed.scene}"


def export(
    drives: Sequence[SimDrive],
    out: str | Path,
    version: str = "v1.0-mini",
    scenes: Sequence[str] | None = None,
    sweep_hz: float = 0.0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
) -> str | Path:
    """Renders drives into `out` (a folder, or a URL of object storage) in nuScenes' format and returns `out`.

    Tables are written last. `sweep_hz` adds LiDAR sweeps between keyframes. `engine` renders, `workers` processes of
    this machine by default; `progress(done, total)` is called as groups of files are done. Raises ValueError for drives
    that cannot share a folder, FileExistsError where `out` holds something else or an export with other options,
    FolderInUseError while another process exports there.
    """
    scenes = tuple(scenes) if scenes is not None else tuple(f"scene-{9001 + k}" for k in range(len(drives)))
    inside("", version, "version")
    placed = place(drives, scenes)
    storage = open_storage(out)
    with contextlib.nullcontext() if is_object_storage(out) else FolderLock(out):
        claim(storage, drives, scenes, version, sweep_hz)
        _export(placed, storage, version, sweep_hz, engine or LocalEngine(workers), progress)
    return out


def _export(
    placed: list[PlacedDrive],
    storage: Storage,
    version: str,
    sweep_hz: float,
    engine: Engine,
    progress: Callable[[int, int], None] | None,
) -> None:
    there = storage.sizes()
    tasks = [(p, [task for task in _tasks(p, sweep_hz, there) if task.images or task.sweep]) for p in placed]
    total = sum(len(_times(p.drive, sweep_hz)) for p in placed)
    done = total - sum(len(missing) for _, missing in tasks)
    # A world is built for each unit: as few as there is work for all.
    most = _GROUP if len(placed) < _DRIVES_EACH * engine.workers() else _LARGEST_GROUP
    units = (
        DriveTasks(p, tuple(missing[first : first + most]))
        for p, missing in tasks for first in range(0, len(missing), most)
    )  # fmt: skip
    if progress is not None:
        progress(done, total)
    for count in engine.map(RenderGroups(storage), units):
        done += count
        if progress is not None:
            progress(done, total)
    with _written_last(storage) as folder:
        _write_maps(placed, folder)
        tables = Tables()
        for p in placed:
            tables.add_drive(p, sweep_times(p.drive, sweep_hz) if p.drive.lidar else [])
        tables.save(inside(folder, version, "version"))
        write_atomic(
            folder / "README.txt",
            "Simulated by mapkd_ros (mapkd sim export), in the folder format of nuScenes v1.0. No real data.\n"
            + "".join(f"{p.scene}: {p.drive.name}, {p.location}, {p.drive.conditions}\n" for p in placed),
        )


@contextlib.contextmanager
def _written_last(storage: Storage) -> Iterator[Path]:
    """A folder for maps and tables: the export's own, or one whose files go to object storage, tables last."""
    if not is_object_storage(storage.location):
        yield Path(storage.location)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: (path.suffix == ".json" and path.parent.parent == folder, path)):
            storage.write(path.relative_to(folder).as_posix(), path.read_bytes())


def sweep_times(drive: SimDrive, sweep_hz: float) -> list[float]:
    """Times of all LiDAR sweeps that are not keyframes, before the first and between the others."""
    if sweep_hz <= 0:
        return []
    each = max(1, round(drive.keyframe_s * sweep_hz))
    keys = [drive.time_s(k) for k in range(len(drive))]
    return [round(key - drive.keyframe_s + i * drive.keyframe_s / each, 6) for key in keys for i in range(1, each)]


def _times(drive: SimDrive, sweep_hz: float) -> list[tuple[int | None, float]]:
    """(keyframe, time) of every group of files; no keyframe for a single sweep."""
    keyframes: list[tuple[int | None, float]] = [(k, drive.time_s(k)) for k in range(len(drive))]
    return keyframes + [(None, time_s) for time_s in (sweep_times(drive, sweep_hz) if drive.lidar else [])]


def _tasks(placed: PlacedDrive, sweep_hz: float, there: Container[str]) -> Iterator[Task]:
    for keyframe, time_s in _times(placed.drive, sweep_hz):
        images = keyframe is not None and any(name not in there for name in _image_names(placed, keyframe))
        sweep = placed.drive.lidar and _sweep_name(placed, keyframe, time_s) not in there
        yield Task(keyframe, time_s, images, sweep)


def _image_names(placed: PlacedDrive, keyframe: int) -> list[str]:
    stamps = [placed.drive.stamp_ns(t) // 1000 for t in placed.drive.camera_times_s(keyframe)]
    return [placed.file_name(name, us, True) for name, us in zip(CAMERAS, stamps, strict=True)]


def _sweep_name(placed: PlacedDrive, keyframe: int | None, time_s: float) -> str:
    return placed.file_name(LIDAR, placed.drive.stamp_ns(time_s) // 1000, keyframe is not None)


@dataclass
class RenderGroups:
    """Job: groups of files of one drive; returns how many."""

    storage: Storage
    _drive: SimDrive | None = field(default=None, init=False)

    def __call__(self, unit: DriveTasks) -> int:
        """Renders and writes them. The world of the last unit's drive is kept for the next."""
        shared_with_workers(self.storage, NOTE)
        if self._drive is None or self._drive.name != unit.placed.drive.name:
            if self._drive is not None:
                self._drive.release()
            self._drive = unit.placed.drive
        for task in unit.tasks:
            self._render(self._drive, unit.placed, task)
        return len(unit.tasks)

    def _render(self, drive: SimDrive, placed: PlacedDrive, task: Task) -> None:
        if task.sweep:
            points = drive.sweep(task.time_s).astype("<f4").tobytes()
            self.storage.write(_sweep_name(placed, task.keyframe, task.time_s), points)
        if task.images:
            assert task.keyframe is not None
            for name, image in zip(_image_names(placed, task.keyframe), drive.render(task.keyframe), strict=True):
                done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
                if not done:
                    raise ValueError(f"image {name} of {image.shape} could not be encoded as JPEG")
                self.storage.write(name, data.tobytes())


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
