"""Simulated frames a second on the training device: a part of `mapkd benchmark gpu`."""
from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING

from mapkd_core.benchmark.gpu_cases import Case, Setting, Values
from mapkd_core.benchmark.machine import markdown_table, timed_ms

if TYPE_CHECKING:
    from mapkd_core.sim.drive import SimDrive

SEED = 11


def cases(setting: Setting) -> Iterator[Case]:
    """By size and how many frames are rendered at once; then the CPU's own ray caster, LiDAR, and a new world."""
    sizes = setting.of(((352, 128), (1600, 900)), ((32, 18),))
    for size in sizes:
        for together in setting.of((1, 4, 16, 64) if size[0] < 1000 else (1, 4, 16), (1, 2)):
            name = f"{size[0]}x{size[1]}, {together} at once, {setting.device}"
            yield Case(name, partial(_rendered, setting, size, together))
    size = sizes[0]
    yield Case(f"{size[0]}x{size[1]}, 1 at once, compiled for the CPU", partial(_compiled, setting, size))
    yield Case(f"LiDAR sweep, {setting.device}", partial(_swept, setting, size))
    yield Case("a new road map and world (CPU)", partial(_made, setting, size))


@cache
def _drive(size: tuple[int, int], frames: int, device: str) -> SimDrive:
    from mapkd_core.sim.drive import SimDrive

    return SimDrive(SEED, size=size, frames=frames, keyframe_s=0.5, device=device)


def _rendered(setting: Setting, size: tuple[int, int], together: int) -> Values:
    import torch

    drive = _drive(size, setting.of(64, 2), setting.device)
    indices = range(together)
    drive.render_tensor(indices)
    if setting.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = [timed_ms(lambda: drive.render_tensor(indices), setting.device) for _ in range(setting.of(5, 1))]
    memory = torch.cuda.max_memory_allocated() / 1e6 if setting.device == "cuda" else 0.0
    return {"ms a frame": min(times) / together, "GPU MB": memory}


def _compiled(setting: Setting, size: tuple[int, int]) -> Values:
    drive = _drive(size, setting.of(64, 2), "cpu")
    drive.render(0)
    return {"ms a frame": min(timed_ms(lambda: drive.render(1)) for _ in range(setting.of(5, 1))), "GPU MB": 0.0}


def _swept(setting: Setting, size: tuple[int, int]) -> Values:
    drive = _drive(size, setting.of(64, 2), setting.device)
    drive.points(0)
    times = [timed_ms(lambda: drive.points(1), setting.device) for _ in range(setting.of(5, 1))]
    return {"ms a frame": min(times), "GPU MB": 0.0}


def _made(setting: Setting, size: tuple[int, int]) -> Values:
    from mapkd_core.sim.drive import SimDrive

    times = []
    for seed in range(setting.of(5, 1)):
        began = time.perf_counter()
        SimDrive(SEED + 1 + seed, size=size, frames=8, keyframe_s=1.5).world  # noqa: B018  made when asked for
        times.append(1e3 * (time.perf_counter() - began))
    return {"ms a frame": min(times), "GPU MB": 0.0}


def table(values: dict[str, Values]) -> str:
    """Milliseconds, and how many a second that is."""
    rows = [
        [name, f"{found['ms a frame']:.2f}", f"{1e3 / found['ms a frame']:.1f}", f"{found['GPU MB']:.0f}"]
        for name, found in values.items()
    ]
    heads = ("six images (or what it says)", "ms a frame, least", "a second", "peak MB on the GPU")
    return f"{markdown_table(heads, rows)}\n"
