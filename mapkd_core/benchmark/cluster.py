"""What a worker gives and an engine costs: frames packed here, in local processes, and by Ray; empty units beside them.

examples:
  mapkd benchmark cluster
  mapkd benchmark cluster --data nuscenes:/nfs/nuscenes:v1.0-trainval:train --size 352x128 --workers 2 8
  mapkd benchmark cluster --engine ray://head:10001 --frames 2000 --folder /nfs/tmp
  mapkd benchmark cluster --out benchmarks/results

Each line packs the same frames into parts of a training cache, as `mapkd cache` does, below --folder. `local` works in
processes of this machine, `ray` in a Ray that is started here for it; --engine measures a cluster that is there, as
large as it is. Engines take turns, so that a slow moment meets all. On a busy machine the processor's seconds hold,
frames a second do not. Empty units are units without work: the time from one to the next is the engine's own.
"""
from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.benchmark.machine import command_line, describe, markdown_table
from mapkd_core.benchmark.sim import image_size
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import PART_FRAMES, PLAN, EncodePart, parts_of
from mapkd_core.engine import LOCAL, EngineOptions, open_engine
from mapkd_core.files import write_atomic
from mapkd_core.frame_sources import FORMS, open_frames
from mapkd_core.progress import notice
from mapkd_core.storage import Folder

if TYPE_CHECKING:
    from mapkd_core.frame_sources import Frames

PACKAGES = ("ray", "torch", "numba", "numpy", "opencv-python-headless")
HEADS = (
    "engine", "workers", "start s", "frames a second", "frames a second and worker", "processor s a frame: workers",
    "this process", "MB a frame", "empty units a second", "processor ms of this process an empty unit",
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--data", default="simdrive-v1:val:full", metavar="NAME", help=f"{FORMS} (%(default)s)")
    parser.add_argument("--size", type=image_size, default=(352, 128), metavar="WxH", help="images (default 352x128)")
    parser.add_argument("--frames", type=int, default=96, metavar="N", help="frames packed in a line (%(default)s)")
    parser.add_argument("--empty", type=int, default=400, metavar="N", help="empty units in a line (%(default)s)")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2], metavar="N", help="default: 1 2")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="turns, whose medians count (%(default)s)")
    parser.add_argument("--engine", metavar="NAME", help="a Ray cluster, in place of those that are started here")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where parts go, seen by all nodes")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for a dated results file")


def run(args: argparse.Namespace) -> int:
    """Measures in turn, prints the table."""
    if min(args.frames, args.empty, args.rounds, *args.workers) < 1:
        raise ValueError("--frames, --empty, --rounds and --workers: expected 1 or more of each")
    source, missing = open_frames(args.data, image_size=args.size)
    for line in missing:
        notice(f"left out: {line}")
    engines = [EngineOptions(LOCAL, workers) for workers in args.workers]
    clusters = [args.engine] if args.engine else [f"ray://local-{workers}" for workers in args.workers]
    engines += [EngineOptions(name) for name in clusters]
    found: dict[str, list[Measured]] = {}
    with _folder(args.folder) as folder:
        warm(source, args.size)
        for turn in range(args.rounds):
            for options in engines:
                notice(f"round {turn + 1} of {args.rounds}: {_name(options)}")
                found.setdefault(_name(options), []).append(
                    measure(options, source, args.size, args.frames, args.empty, folder)
                )
    width, height = args.size
    text = "\n\n".join([
        f"# Units of work by engine, {date.today().isoformat()}", describe(packages=PACKAGES), f"`{command_line()}`",
        f"{args.frames} frames of {args.data} at {width}x{height}; medians of {args.rounds} rounds.",
        markdown_table(HEADS, [_row(name, rounds) for name, rounds in found.items()]),
    ])  # fmt: skip
    print(text)
    if args.out:
        path = args.out / f"cluster_{date.today().isoformat()}.md"
        write_atomic(path, text + "\n")
        print(f"\n{path}")
    return 0


@dataclass(frozen=True)
class Measured:
    """One line of one round; seconds."""

    workers: int
    start_s: float
    wall_s: float
    frames: int
    workers_s: float
    """Processor time of all workers together."""
    own_s: float
    """Processor time of this process, which shares out the units; nothing where it does the work itself."""
    size_mb: float
    empty_s: float
    empty_own_s: float
    empty: int


@dataclass
class Pack:
    """Job: a part of a cache; returns its frames, bytes, and the processor time that it took."""

    encode: EncodePart

    def __call__(self, unit: tuple[int, range]) -> tuple[int, int, float]:
        """Frames, bytes, seconds."""
        began = time.process_time()
        _, ends = self.encode(unit)
        return len(ends), ends[-1], time.process_time() - began


@dataclass
class Nothing:
    """Job: none."""

    def __call__(self, unit: int) -> int:
        """The unit."""
        return unit


def measure(
    options: EngineOptions, source: Frames, size: tuple[int, int], frames: int, empty: int, folder: Path
) -> Measured:
    """Opens an engine, packs frames and passes empty units through it."""
    began = time.perf_counter()
    with open_engine(options) as engine:
        for _ in engine.map(Nothing(), range(4 * engine.workers())):  # every worker is there
            pass
        start_s = time.perf_counter() - began
        storage = Folder(str(folder / _name(options)))
        storage.write(PLAN, b"{}")
        parts = [part for part in parts_of(source, PART_FRAMES) if part.start < frames]
        units = [(number, range(part.start, min(part.stop, frames))) for number, part in enumerate(parts)]
        wall, own = time.perf_counter(), time.process_time()
        results = list(engine.map(Pack(EncodePart(source, CacheOptions(size), storage)), units))
        wall, own = time.perf_counter() - wall, time.process_time() - own
        shutil.rmtree(storage.location)
        empty_s, empty_own_s = time.perf_counter(), time.process_time()
        for _ in engine.map(Nothing(), range(empty)):
            pass
        empty_s, empty_own_s = time.perf_counter() - empty_s, time.process_time() - empty_own_s
        workers_s = sum(seconds for *_, seconds in results)
        return Measured(
            engine.workers(), start_s, wall, sum(count for count, *_ in results), workers_s,
            0.0 if engine.alone else own, sum(size for _, size, _ in results) / 1e6, empty_s, empty_own_s, empty,
        )  # fmt: skip


def warm(source: Frames, size: tuple[int, int]) -> None:
    """Encodes a frame: kernels are compiled on the first use of a machine."""
    from mapkd_core.data.cache_record import encode

    encode(source[0], CacheOptions(size))


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    with contextlib.nullcontext(given) if given else tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _name(options: EngineOptions) -> str:
    if not options.elsewhere:
        return f"local {options.processes}"
    return options.name.replace("://local-", " ").replace("://", " ").replace(":", " ")


def _row(name: str, rounds: list[Measured]) -> list[str]:
    def median(values: list[float], digits: int) -> str:
        return f"{statistics.median(values):.{digits}f}"

    return [
        name,
        str(rounds[-1].workers),
        median([m.start_s for m in rounds], 1),
        median([m.frames / m.wall_s for m in rounds], 2),
        median([m.frames / m.wall_s / m.workers for m in rounds], 2),
        median([m.workers_s / m.frames for m in rounds], 4),
        median([m.own_s / m.frames for m in rounds], 4),
        median([m.size_mb / m.frames for m in rounds], 4),
        median([m.empty / m.empty_s for m in rounds], 0),
        median([1e3 * m.empty_own_s / m.empty for m in rounds], 3),
    ]
