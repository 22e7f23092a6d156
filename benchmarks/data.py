"""How fast frames become training batches: map, labels, rasters, images, and loaders from nuScenes and from a cache.

    python benchmarks/data.py --dataroot /data/nuscenes --out benchmarks/results

The data root needs only a few frames with a map: they are read over and over, from the operating system's cache, so
disks do not count. Figures are medians of several rounds, with the fastest round in brackets. Steps of one frame are
processor time (they run on one thread), which other programs disturb little; loaders are by the clock.
"""
from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mapkd_core.benchmark.machine import cores, cpu_name
from mapkd_core.data.cache import CachedSamples, StreamedSamples
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.data.dataset import Collate
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.data.labels import map_elements, resample_1m
from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.data.nuscenes_map import load_vector_map
from mapkd_core.data.raster import rasterize
from mapkd_core.files import write_atomic
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import GRID_60X30, GRID_120X60, GRID_240X60
from mapkd_core.types import Frame
from mapkd_core.vector_map import VectorMap

BATCH = 8


class Repeated(Dataset):
    """`count` samples (or frames) from a few."""

    def __init__(self, few: list[Frame], count: int, options: SampleOptions | None = None):
        self.few, self.count, self.options = few, count, options

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if index >= self.count:
            raise IndexError(index)
        frame = self.few[index % len(self.few)]
        return frame if self.options is None else sample_from_frame(frame, self.options)


def rounds(work: Callable[[], object], count: int, divisor: int = 1) -> tuple[float, float]:
    """Median and minimum processor seconds of `count` rounds, divided by what a round handles."""
    seconds = []
    for _ in range(count):
        began = time.process_time()
        work()
        seconds.append((time.process_time() - began) / divisor)
    return statistics.median(seconds), min(seconds)


def milliseconds(pair: tuple[float, float]) -> str:
    return f"{pair[0] * 1e3:.2f} ({pair[1] * 1e3:.2f})"


def poses_on_lanes(vector_map: VectorMap, count: int) -> list[np.ndarray]:
    """Poses on the map's lanes, heading along them."""
    rng = np.random.default_rng(0)
    lanes = [lane for lane in vector_map.lane_centres_m if len(lane) > 2]
    poses = []
    for k in rng.integers(len(lanes), size=count):
        i = rng.integers(len(lanes[k]) - 1)
        (x, y), (dx, dy) = lanes[k][i], lanes[k][i + 1] - lanes[k][i]
        poses.append(transform_from_yaw(x, y, float(np.arctan2(dy, dx))))
    return poses


def label_rows(vector_map: VectorMap, count: int) -> Iterable[str]:
    for name, grid in (("60x30", GRID_60X30), ("120x60", GRID_120X60), ("240x60", GRID_240X60)):
        poses = poses_on_lanes(vector_map, 100)
        map_elements(vector_map, poses[0], grid)
        cut = rounds(lambda: [map_elements(vector_map, p, grid) for p in poses], count, len(poses))  # noqa: B023
        exact = [map_elements(vector_map, p, grid) for p in poses]
        fine = [resample_1m(elements) for elements in exact]
        drawn = rounds(lambda: [rasterize(e, grid) for e in exact], count, len(poses))  # noqa: B023
        drawn_fine = rounds(lambda: [rasterize(e, grid) for e in fine], count, len(poses))  # noqa: B023
        lines = np.mean([len(e) for e in exact])
        yield (
            f"| {name} m, {grid.rows}x{grid.cols} cells | {lines:.1f} | {milliseconds(cut)} | {milliseconds(drawn)} "
            f"| {milliseconds(drawn_fine)} |"
        )


def loader_speed(data: Dataset, workers: int, count: int, collate: Callable) -> tuple[float, float]:
    """Samples a second of a running loader, and this process's processor ms a sample; starting workers is free."""
    loader = DataLoader(
        data, batch_size=BATCH, num_workers=workers, collate_fn=collate, worker_init_fn=one_thread, drop_last=True
    )
    batches = iter(loader)
    for _ in range(max(2, workers * 2)):
        next(batches)
    began, began_cpu, seen = time.perf_counter(), time.process_time(), 0
    for _ in range(count // BATCH):
        next(batches)
        seen += BATCH
    return seen / (time.perf_counter() - began), 1e3 * (time.process_time() - began_cpu) / seen


def one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def loader_rows(few: list[Frame], options: SampleOptions, repeats: int, rounds_: int) -> Iterable[str]:
    collate = Collate(options.grid)
    total = repeats + 8 * BATCH
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        write_cache(
            Repeated(few, total), Path(folder) / "cache", CacheOptions(options.image_size, lidar=options.lidar),
            shard_frames=64, progress=False,
        )
        writing = total / (time.perf_counter() - began)
        size_kb = sum(p.stat().st_size for p in (Path(folder) / "cache").glob("*.tar")) / total / 1e3
        places = {
            "nuScenes files": Repeated(few, total, options),
            "cache, by index": CachedSamples(Path(folder) / "cache", options),
            "cache, streamed": StreamedSamples(Path(folder) / "cache", options, batch_size=BATCH),
        }
        for name, data in places.items():
            streamed = isinstance(data, StreamedSamples)
            join = (lambda pairs: collate([sample for _, sample in pairs])) if streamed else collate
            rates = []
            for workers in (0, 1, 2):
                measured = [loader_speed(data, workers, repeats, join) for _ in range(rounds_)]
                if workers == 0:
                    rates.append(f"{min(ms for _, ms in measured):.1f}")
                speeds = [speed for speed, _ in measured]
                rates.append(f"{statistics.median(speeds):.0f} ({max(speeds):.0f})")
            yield f"| {'camera + LiDAR' if options.lidar else 'camera'} | {name} | {' | '.join(rates)} |"
    yield f"| | writing: {writing:.0f} frames/s in one process, {size_kb:.0f} kB a frame | | | | |"


def report(args: argparse.Namespace) -> str:
    one_thread(0)
    source = NuScenesSource(args.dataroot, args.version, lidar_sweeps=3).mapped()
    began = time.perf_counter()
    vector_map = load_vector_map(Path(args.dataroot), args.map)
    opened = time.perf_counter() - began
    began = time.perf_counter()
    map_elements(vector_map, transform_from_yaw(0, 0, 0), GRID_60X30)
    indexed = time.perf_counter() - began
    options = SampleOptions(GRID_60X30, sd_map=True)
    few = list(source)
    read = rounds(lambda: [sample_from_frame(frame, options) for frame in few], 4 * args.rounds, len(few))
    samples = [sample_from_frame(frame, options) for frame in few]
    collate = Collate(GRID_60X30)
    joined = rounds(lambda: collate(samples), 4 * args.rounds, len(samples))
    with_lidar = [frame for frame in few if frame.lidar is not None]
    lines = [
        f"# Data path, {date.today()}",
        "",
        f"Command: `python benchmarks/data.py --dataroot DATAROOT --version {args.version} --samples {args.samples}`  ",
        f"Machine: {cpu_name()}, {cores()} cores  ",
        f"Versions: Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}, "
        f"OpenCV {cv2.__version__}, shapely {version('shapely')}, webdataset {version('webdataset')}; "
        "one thread a process  ",
        *([f"Note: {args.note}"] if args.note else []),
        "",
        f"Opening the map of {args.map}: {opened:.2f} s through the devkit; union of the road surface and search "
        f"index: {indexed:.2f} s. Once a process.",
        "",
        "## Labels, ms of processor time a frame (100 poses on its lanes)",
        "",
        "| grid | lines a frame | vector elements | three rasters, exact lines | three rasters, a vertex a metre |",
        "|---|---|---|---|---|",
        *label_rows(vector_map, args.rounds),
        "",
        "## One frame, 60x30 m",
        "",
        "| step | ms of processor time |",
        "|---|---|",
        f"| six JPEGs 1600x900 from files to 352x128, labels and SD roads cut | {milliseconds(read)} |",
        f"| labels and SD map drawn, images normalised, stacked to tensors | {milliseconds(joined)} |",
        "",
        f"## Loaders, samples/s, batches of {BATCH}, 60x30 m grid with all labels and SD map",
        "",
        "| sensors | read from | ms of processor time a sample | in the training process | 1 worker | 2 workers |",
        "|---|---|---|---|---|---|",
        *loader_rows(few, options, args.samples, args.rounds),
    ]
    if with_lidar:
        lidar = SampleOptions(GRID_60X30, lidar=True, sd_map=True)
        lines += loader_rows(with_lidar, lidar, args.samples, args.rounds)
        lines += ["", f"LiDAR: {len(with_lidar[0].lidar())} points a frame."]  # type: ignore[misc]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", required=True)
    parser.add_argument("--version", default="v1.0-mini")
    parser.add_argument("--map", default="boston-seaport")
    parser.add_argument("--samples", type=int, default=160, help="samples a round of a loader")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="a line for the report, such as what else the machine did")
    parser.add_argument("--out", type=Path, help="folder for the report, besides the screen")
    args = parser.parse_args()
    text = report(args)
    print(text)
    if args.out:
        write_atomic(args.out / f"data_{date.today()}.md", text)


if __name__ == "__main__":
    main()
