"""How fast simulated frames come: six images and a LiDAR sweep each, on the CPU and, where there is one, a GPU.

    python benchmarks/sim.py --full --out benchmarks/results
    python benchmarks/sim.py --device cuda --batch 32 --out benchmarks/results

Drives are procedural. Processor seconds stand beside wall seconds, because a busy machine stretches only the latter;
medians of several frames, with the fastest in brackets. Building a world is counted on its own: it serves a whole
drive. `--workers` runs that many processes on one thread each, as a training run's loaders do.
"""
from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from mapkd_core.benchmark.sim import Times, batch_times, part_times
from mapkd_core.files import write_atomic
from mapkd_core.progress import each
from mapkd_core.sim.drive import SimDrive

SMALL, NETWORK, FULL = (176, 64), (352, 128), (1600, 900)


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f})"


def one_process_rows(size: tuple[int, int], seeds: list[int], frames: int) -> list[str]:
    """Rows for building maps and worlds, for images and for LiDAR, on one thread."""
    torch.set_num_threads(1)
    parts: dict[str, Times] = {}
    for seed in each(seeds, "sim", "drive"):
        drive = SimDrive(seed=seed, size=size, frames=frames)
        for name, times in part_times(drive, frames).items():
            parts[name] = parts.get(name, Times()) + times
        drive.release()
    return [
        f"| {name}, {size[0]}x{size[1]} | {shown(times.wall)} | {shown(times.processor)} |"
        for name, times in parts.items()
    ]


def one_drive(job: tuple[int, tuple[int, int], int]) -> int:
    """A worker's share: one whole drive, world included."""
    seed, size, frames = job
    torch.set_num_threads(1)
    drive = SimDrive(seed=seed, size=size, frames=frames)
    for index in range(frames):
        drive.render(index)
        drive.points(index)
    return frames


def workers_row(size: tuple[int, int], workers: int, drives: int, frames: int) -> str:
    """Frames per second by the clock of several processes, everything included."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(one_drive, [(1, SMALL, 1)] * workers))  # imports do not count
        began = time.perf_counter()
        done = sum(pool.map(one_drive, [(100 + seed, size, frames) for seed in range(drives)]))
        passed = time.perf_counter() - began
    return f"| {size[0]}x{size[1]} | {workers} | {done} | {done / passed:.2f} |"


def device_row(device: str, size: tuple[int, int], batch: int, rounds: int) -> str:
    """Frames per second of six images each, many frames of one world at once."""
    drive = SimDrive(seed=2, size=size, frames=batch, keyframe_s=0.1, device=device)
    wall = batch_times(drive, batch, rounds, device).wall
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.startswith("cuda") else 0.0
    return f"| {size[0]}x{size[1]} | {batch} | {batch / statistics.median(wall):.1f} | {memory:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for batches of frames on a GPU")
    parser.add_argument("--frames", type=int, default=8, help="frames a drive (default 8)")
    parser.add_argument("--drives", type=int, default=4, help="drives for each figure (default 4)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--batch", type=int, default=16, help="frames rendered at once on a GPU (default 16)")
    parser.add_argument("--full", action="store_true", help="also 900x1600 images; takes minutes")
    parser.add_argument("--out", type=Path, help="folder for a dated Markdown file; printed only if not given")
    args = parser.parse_args()
    lines = [
        f"# Simulated frames, {date.today().isoformat()}",
        "",
        f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} processors "
        f"({platform.processor() or platform.machine()}), load average {os.getloadavg()[0]:.1f} before the run.",
        f"Command: `python benchmarks/sim.py --device {args.device} --frames {args.frames} --drives {args.drives} "
        f"--workers {args.workers} --batch {args.batch}{' --full' if args.full else ''}`",
        "",
    ]
    if args.device == "cpu":
        lines += ["One thread, seconds: median (fastest)", "", "| what | wall | processor |", "|---|---|---|"]
        lines += one_process_rows(NETWORK, list(range(args.drives)), args.frames)
        if args.full:
            lines += one_process_rows(FULL, [0, 1], 2)
        lines += ["", "Frames a second by the clock: maps, worlds, six images and a LiDAR sweep a frame", ""]
        lines += ["| images | processes | frames | frames/s |", "|---|---|---|---|"]
        lines += [workers_row(size, args.workers, args.drives, 20) for size in (SMALL, NETWORK)]
        if args.full:
            lines += [workers_row(FULL, args.workers, args.workers, 3)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        lines += ["", f"Largest memory of one process: {peak:.2f} GiB."]
    else:
        lines += [f"{torch.cuda.get_device_name()}, six images a frame", ""]
        lines += ["| images | frames at once | frames/s | GiB |", "|---|---|---|---|"]
        lines += [device_row(args.device, NETWORK, args.batch, 10), device_row(args.device, FULL, 2, 5)]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        write_atomic(args.out / f"sim_{args.device}_{date.today().isoformat()}.md", text)


if __name__ == "__main__":
    main()
