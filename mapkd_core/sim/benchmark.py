"""How fast a machine renders simulated drives."""
from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

from mapkd_core.sim.drive import SimDrive

BATCH_FRAMES = 16
"""Frames rendered in one call in the batched measurement: what a GPU wants."""


def measure(seed: int, size: tuple[int, int], frames: int, device: str = "cpu") -> str:
    """Times the parts of a drive and returns a small table: median and least milliseconds, frames a second."""
    import torch

    drive = SimDrive(seed, size=size, frames=max(frames, 2), device=device)
    rows = [("road map", [_timed(lambda: drive.road_map)]), ("world", [_timed(lambda: drive.world)])]
    drive.render(0)
    drive.sweep(drive.time_s(0))
    pictures = [_timed(lambda k=k: drive.render(k), device) for k in range(frames)]  # type: ignore[misc]
    sweeps = [_timed(lambda k=k: drive.sweep(drive.time_s(k)), device) for k in range(frames)]  # type: ignore[misc]
    rows += [("six pictures", pictures), ("LiDAR sweep", sweeps)]
    rows.append(("both", [a + b for a, b in zip(pictures, sweeps, strict=True)]))
    if device != "cpu":
        together = min(BATCH_FRAMES, frames)
        batch = [_timed(lambda: drive.render_tensor(range(together)), device) for _ in range(3)]
        rows.append((f"six pictures of {together} frames at once, each", [
            t / together for t in batch
        ]))
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


def _timed(work: Callable[[], object], device: str = "cpu") -> float:
    import torch

    begun = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - begun
