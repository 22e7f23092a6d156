"""Simulated frames a second: road maps, worlds, images and LiDAR by part, size and number of processes.

examples:
  mapkd benchmark sim
  mapkd benchmark sim --against ../mapkd_before --out benchmarks/results
  mapkd benchmark sim --sizes 352x128 --frames 20 --every 0.5 --drives 6 --processes 2

Every process renders whole drives on one thread, each another one: road map, world, and --frames times six images
and a LiDAR sweep. A first drive of each process is not counted: the ray caster is compiled then, if it is new.
--against names the checkout of another build, rendered in processes of its own in turn with this one, drive by drive
with the same seeds, so that a slow moment of the machine meets both. The ratio by processor time holds on a busy
machine too. The floor is what no renderer could be faster than: writing the images once, and reading one ground texel
of four bytes for every pixel.
"""
from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from mapkd_core.benchmark.machine import command_line, describe, markdown_table, memory_gbs
from mapkd_core.benchmark.sim_processes import Build, Drive, Took
from mapkd_core.benchmark.sim_worker import PARTS
from mapkd_core.benchmark.worker_of_build import HERE, THIS, check_checkout
from mapkd_core.files import write_atomic
from mapkd_core.progress import Progress

PACKAGES = ("torch", "numba", "numpy", "shapely", "scipy", "opencv-python-headless")
FIRST_SEED = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--sizes", nargs="+", type=image_size, default=[(352, 128), (1600, 900)], metavar="WxH",
                        help="of the images (default: 352x128 1600x900)")
    parser.add_argument("--frames", nargs="+", type=int, default=[8, 2], metavar="N",
                        help="of a drive, for each size; the last one holds for the rest (default: 8 2)")
    parser.add_argument("--every", type=float, default=1.5, metavar="S", help="seconds between frames (%(default)s)")
    parser.add_argument("--drives", type=int, default=6, help="timed drives of each line (default: %(default)s)")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], metavar="N", help="default: 1 2")
    parser.add_argument("--against", type=Path, metavar="DIR", help="checkout of a build to render beside this one")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for a dated results file")  # fmt: skip


def image_size(text: str) -> tuple[int, int]:
    """Reads 800x450."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 800x450") from None
    if width < 16 or height < 16:
        raise argparse.ArgumentTypeError(f"{text!r} is too small; at least 16x16")
    return width, height


def run(args: argparse.Namespace) -> int:
    """Renders in turn, prints the tables."""
    if min(args.frames + args.processes + [args.drives]) < 1 or args.every <= 0:
        raise ValueError("--frames, --processes and --drives: expected at least 1 of each, and --every above 0")
    folders = {THIS: HERE}
    if args.against is not None:
        folders[str(args.against)] = check_checkout(args.against, "mapkd_core/sim/drive.py")
    rounds = len(args.sizes) * sum(count + -(-args.drives // count) * count for count in args.processes)
    rates, parts = [], []
    with Progress("benchmark sim", rounds * len(folders), "drive") as bar, ExitStack() as stack:
        for place, image in enumerate(args.sizes):
            frames = args.frames[min(place, len(args.frames) - 1)]
            drive = Drive(FIRST_SEED, image, frames, args.every)
            for count in args.processes:
                builds = {name: Build(folder, count) for name, folder in folders.items()}
                for build in builds.values():
                    stack.enter_context(build)
                took = in_turn(builds, drive, args.drives, bar)
                stack.pop_all().close()
                rates += rate_rows(took, image, frames, count)
                if count == min(args.processes):
                    parts += part_rows(took, image, frames)
    text = "\n".join([
        f"# Simulated frames, {date.today().isoformat()}", "", describe("cpu", packages=PACKAGES), "",
        f"`{command_line()}`", "",
        f"Drives with {args.every:g} s between frames, maps and worlds included; each process has one thread.", "",
        markdown_table(
            ("images", "frames a drive", "processes", "build", "frames/s", "processor ms a frame", "times this build's",
             "peak MB of a process"), rates,
        ), "",
        f"Processor ms, median of the drives with {min(args.processes)} process(es):", "",
        markdown_table(("images", "build", *(f"{part} a {per}" for part, per in PER.items())), parts), "",
        *(floor(image) for image in args.sizes),
    ])  # fmt: skip
    print(text)
    if args.out:
        write_atomic(args.out / f"sim_{date.today().isoformat()}.md", text + "\n")
    return 0


PER = dict(zip(PARTS, ("drive", "drive", "frame", "frame"), strict=True))


def in_turn(builds: dict[str, Build], drive: Drive, drives: int, bar: Progress) -> dict[str, list[Took]]:
    """What each build took for at least `drives` drives, one round of all its processes at a time."""
    for build in builds.values():
        build.render([drive._replace(seed=drive.seed - 1, frames=1)] * build.processes)
        bar.update(build.processes)
    took: dict[str, list[Took]] = {name: [] for name in builds}
    processes = next(iter(builds.values())).processes
    for first in range(0, drives, processes):
        together = [drive._replace(seed=drive.seed + first + k) for k in range(processes)]
        for name, build in builds.items():
            took[name].append(build.render(together))
            bar.update(processes)
    return took


def rate_rows(took: dict[str, list[Took]], image: tuple[int, int], frames: int, processes: int) -> list[list[object]]:
    """Frames a second by the clock, processor time a frame, its ratio to the first build's, memory."""
    rows = []
    own = None
    for name, rounds in took.items():
        count = len(rounds) * processes * frames
        processor_ms = 1e3 * sum(sum(drive.values()) for each in rounds for drive in each.processor_s) / count
        own = own or processor_ms
        rate, peak = count / sum(each.wall_s for each in rounds), max(each.peak_mb for each in rounds)
        rows.append([
            f"{image[0]}x{image[1]}", frames, processes, name, f"{rate:.2f}", processor_ms,
            f"{processor_ms / own:.2f}", f"{peak:.0f}",
        ])  # fmt: skip
    return rows


def part_rows(took: dict[str, list[Took]], image: tuple[int, int], frames: int) -> list[list[object]]:
    """Milliseconds of processor time by part."""
    rows: list[list[object]] = []
    for name, rounds in took.items():
        drives = [drive for each in rounds for drive in each.processor_s]
        ms = {part: 1e3 * statistics.median(drive[part] for drive in drives) for part in PARTS}
        rows.append([f"{image[0]}x{image[1]}", name, *(
            ms[part] / (frames if per == "frame" else 1) for part, per in PER.items()
        )])  # fmt: skip
    return rows


def floor(image: tuple[int, int]) -> str:
    """What one thread of this machine cannot do faster, in words."""
    pixels = 6 * image[0] * image[1]
    moved = pixels * (3 + 4)
    return (
        f"Floor of six {image[0]}x{image[1]} images: {pixels} pixels, {moved / 1e6:.1f} MB moved in "
        f"{moved / 1e6 / memory_gbs():.2f} ms."
    )
