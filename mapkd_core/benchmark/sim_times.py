"""How fast a machine renders one simulated drive, by part: what `mapkd sim bench` shows.

Several sizes, processes and builds side by side: `mapkd benchmark sim`.
"""
from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mapkd_core.sim.drive import SimDrive

BATCH_FRAMES = 16
"""Frames rendered in one call in the batched measurement: what a GPU wants."""


@dataclass
class Times:
    """Seconds of every call: by the clock, and of the processor, which a busy machine does not stretch."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def timed(work: Callable[[int], object], count: int, device: str = "cpu") -> Times:
    """Times `work(0)`, `work(1)`, ... `work(count - 1)`, each with what it started on the device."""
    import torch

    times = Times()
    for index in range(count):
        began, began_processor = time.perf_counter(), time.process_time()
        work(index)
        if device != "cpu":
            torch.cuda.synchronize()
        times.wall.append(time.perf_counter() - began)
        times.processor.append(time.process_time() - began_processor)
    return times


def part_times(drive: SimDrive, frames: int, device: str = "cpu") -> dict[str, Times]:
    """Times of a fresh drive's parts, warmed up where a part serves every frame."""
    parts = {"road map": timed(lambda _: drive.road_map, 1), "world": timed(lambda _: drive.world, 1)}
    drive.render(0)
    drive.points(0)
    parts["six images"] = timed(drive.render, frames, device)
    parts["LiDAR sweep"] = timed(drive.points, frames, device)
    return parts


def batch_times(drive: SimDrive, together: int, rounds: int, device: str) -> Times:
    """Times of rendering the first `together` frames of a drive at once, warmed up."""
    frames = range(together)
    timed(lambda _: drive.render_tensor(frames), 1, device)
    return timed(lambda _: drive.render_tensor(frames), rounds, device)


def measure(seed: int, size: tuple[int, int], frames: int, device: str = "cpu") -> str:
    """Times the parts of a drive and returns a small table: median and least milliseconds, frames a second."""
    import torch

    drive = SimDrive(seed, size=size, frames=max(frames, 2), device=device)
    parts = part_times(drive, frames, device)
    rows = [(name, times.wall) for name, times in parts.items()]
    both = zip(parts["six images"].wall, parts["LiDAR sweep"].wall, strict=True)
    rows.append(("both", [a + b for a, b in both]))
    if device != "cpu":
        together = min(BATCH_FRAMES, frames)
        batch = batch_times(drive, together, 3, device)
        rows.append((f"six images of {together} frames at once, each", [t / together for t in batch.wall]))
    what = torch.cuda.get_device_name() if device != "cpu" else f"{torch.get_num_threads()} threads"
    lines = [
        f"{size[0]}x{size[1]} on {device} ({what}), torch {torch.__version__}, Python {platform.python_version()}",
        "",
        "| part | median ms | least ms | frames/s (median) |",
        "|---|---|---|---|",
    ]
    for name, seconds in rows:
        middle = statistics.median(seconds)
        lines.append(f"| {name} | {middle * 1e3:.1f} | {min(seconds) * 1e3:.1f} | {1 / middle:.2f} |")
    return "\n".join(lines)
