"""How fast and how well the vectorizer turns semantic maps into lines, and HDMapNet's own beside it.

examples:
  mapkd benchmark vectorize
  mapkd benchmark vectorize --dataroot /data/nuscenes --frames 40 --out benchmarks/results/vectorize_DATE.md
  mapkd benchmark vectorize --inputs branching --peer ~/HDMapNet --peer-frames 8

Times are wall time of single calls on one thread: median, 95th percentile and maximum over frames and rounds, and the
median of the processor time, which other programs disturb less. Scores are mAP under the definitions of
mapkd_core.metrics, faults repaired ("corrected"): ap_chamfer at 0.2/0.5/1 and 0.5/1/1.5 m, ap_hdmapnet at 0.2/0.5/1 m,
ap_pmapnet at 0.5/1/1.5 m. Crossings are compared as their two edges, which is how the label rasters hold them. The
inputs are logits made from known maps: saturated, ridge, noisy, broken (see vectorize_inputs.py).

`--peer` is a checkout of HDMapNet's public code, which then vectorizes some frames of every input in the same
process, about a second a frame. It needs an embedding and a direction of every cell as well: `--peer-heads labels`
makes them as good as the labels, `semantic` lets the embedding tell apart what the semantic map shows apart.
"""
from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mapkd_core.files import write_atomic
from mapkd_core.output_file import output_file

if TYPE_CHECKING:
    from mapkd_core.benchmark.vectorize_inputs import Array
    from mapkd_core.benchmark.vectorize_peer import Vectorizer
    from mapkd_core.grid import BevGrid
    from mapkd_core.types import MapElement

SOURCES = ("towns", "branching", "nuscenes", "reference", "worst")
PACKAGES = ("numpy", "opencv-python-headless", "scipy")


class Case(NamedTuple):
    """One frame: the true map, and a network's prediction."""

    truth: list[MapElement]
    logits: Array
    """(4, Y, X)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--inputs", nargs="+", choices=SOURCES, metavar="NAME",
        help=f"of {', '.join(SOURCES)}; by default all whose data is given",
    )
    parser.add_argument("--grids", nargs="+", choices=("60x30", "120x60"), default=["60x30", "120x60"], metavar="XxY")
    parser.add_argument("--frames", type=int, default=24, metavar="N", help="frames of each input (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="calls per frame (%(default)s)")
    parser.add_argument("--dataroot", type=Path, metavar="DIR", help="a nuScenes folder: its real maps")
    parser.add_argument("--reference", type=Path, metavar="DIR", help="a folder whose frames.py makes frames")
    parser.add_argument("--peer", type=Path, metavar="DIR", help="a checkout of HDMapNet to compare with")
    parser.add_argument("--peer-frames", type=int, default=4, metavar="N", help="frames for it (%(default)s)")
    parser.add_argument("--peer-heads", nargs="+", default=["labels", "semantic"], metavar="NAME")
    parser.add_argument("--note", default="", help="a line for the report, such as what else the machine did")
    parser.add_argument("--out", type=output_file, metavar="FILE.md", help="also write the report here")


def run(args: argparse.Namespace) -> int:
    """Prints the report line by line as it is measured, and writes it."""
    import cv2

    if args.frames < 1 or args.rounds < 1 or args.peer_frames < 1:
        raise ValueError("--frames, --rounds and --peer-frames must be at least 1")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    lines = []
    try:
        for line in report(args):
            print(line, flush=True)
            lines.append(line)
    finally:
        cv2.setNumThreads(threads)
    if args.out:
        write_atomic(args.out, "\n".join(lines) + "\n")
    return 0


def report(args: argparse.Namespace) -> Iterator[str]:
    """The lines of the report, in Markdown."""
    from mapkd_core.benchmark import machine
    from mapkd_core.benchmark.vectorize_inputs import softmax
    from mapkd_core.benchmark.vectorize_peer import hdmapnet

    peer = hdmapnet(args.peer) if args.peer else None
    yield f"# Vectorizer\n\n{machine.describe(threads=1, packages=PACKAGES)}."
    if args.note:
        yield args.note
    yield "\n| input | vectorizer | frames | ms median | ms p95 | ms max | processor ms | chamfer .2/.5/1 | " \
          "chamfer .5/1/1.5 | hdmapnet | pmapnet | with rings ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    ratios: list[float] = []
    peak_mb = 0.0
    for name, grid, cases in _inputs(args):
        yield from _compared(name, grid, cases, args, peer, ratios)
        peak_mb = max(peak_mb, *(_peak_mb(softmax(case.logits), grid) for case in cases[:4]))
    if ratios:
        span = f"{min(ratios):.0f} to {max(ratios):.0f}"
        yield f"\nThe peer takes {span} times as long (medians of processor time, same frames)."
    if _wanted(args, "worst"):
        yield from _worst(args)
    yield from _floor(peak_mb)


def _inputs(args: argparse.Namespace) -> Iterator[tuple[str, BevGrid, list[Case]]]:
    """Every input by name."""
    from mapkd_core.benchmark import vectorize_inputs as inputs
    from mapkd_core.grid import GRID_60X30, GRID_120X60

    for label, grid in (("60x30", GRID_60X30), ("120x60", GRID_120X60)):
        if label not in args.grids:
            continue
        sources: dict[str, Callable[[BevGrid], list[list[MapElement]]]] = {
            "towns": lambda grid: inputs.truths_on(inputs.town_maps(), grid, args.frames),
            "branching": lambda grid: inputs.branching(grid, args.frames),
            "nuscenes": lambda grid: inputs.truths_on(inputs.real_maps(args.dataroot), grid, args.frames),
        }
        for source, truths_on in sources.items():
            if not _wanted(args, source):
                continue
            truths = truths_on(grid)
            for kind, logits_of in inputs.KINDS.items():
                cases = [Case(truth, logits_of(truth, grid, seed)) for seed, truth in enumerate(truths)]
                yield f"{label} {source}, {kind}", grid, cases
        if _wanted(args, "reference"):
            for mode in ("onehot", "ridge"):
                frames = inputs.reference_frames(args.reference, label, mode, args.frames)
                yield f"{label} reference, {mode}", grid, [Case(*frame) for frame in frames]


def _wanted(args: argparse.Namespace, source: str) -> bool:
    needs = {"nuscenes": "dataroot", "reference": "reference"}
    given = source not in needs or getattr(args, needs[source]) is not None
    if args.inputs and source in args.inputs and not given:
        raise ValueError(f"--inputs {source} needs --{needs[source]}")
    return given and (not args.inputs or source in args.inputs)


def _compared(
    name: str, grid: BevGrid, cases: list[Case], args: argparse.Namespace, peer: Vectorizer | None, ratios: list[float]
) -> Iterator[str]:
    """One row for this project's vectorizer over all frames, and where a peer is given one for each over its frames."""
    from mapkd_core.benchmark.vectorize_inputs import softmax
    from mapkd_core.benchmark.vectorize_peer import further_heads
    from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize

    edges = VectorizeConfig(crossings="edges")  # as HDMapNet has them; the node makes rings of them
    ours, rings = [], []
    for case in cases:
        probabilities = softmax(case.logits)
        ours.append(_timed(lambda p=probabilities: vectorize(p, grid, edges), args.rounds))  # type: ignore[misc]
        rings.append(_timed(lambda p=probabilities: vectorize(p, grid), args.rounds))  # type: ignore[misc]
    yield _row(name, "mapkd", ours, cases, grid, f"{_median_ms(rings):.2f}")
    if peer is None:
        return
    spread = slice(None, None, -(-len(cases) // args.peer_frames))  # frames of one map lie together
    few = cases[spread]
    if len(few) < len(cases):
        yield _row(name, "mapkd", ours[spread], few, grid)
    for heads in args.peer_heads:
        theirs = []
        for seed, case in enumerate(few):
            further = further_heads(case.truth, case.logits, grid, seed, heads)
            theirs.append(_timed(lambda c=case, f=further: peer(c.logits, f[0], f[1], grid), 1))  # type: ignore[misc]
        yield _row(name, f"HDMapNet, heads from {heads}", theirs, few, grid)
        ratios.append(_median_ms(theirs) / _median_ms(ours[spread]))


class Timed(NamedTuple):
    """What a vectorizer found in one frame, and how long each call took."""

    elements: list[MapElement]
    wall_ms: list[float]
    processor_ms: list[float]


def _timed(work: Callable[[], list[MapElement]], rounds: int) -> Timed:
    elements: list[MapElement] = []
    wall, processor = [], []
    for _ in range(rounds):
        start, start_processor = time.perf_counter(), time.thread_time()
        elements = work()
        processor.append(1e3 * (time.thread_time() - start_processor))
        wall.append(1e3 * (time.perf_counter() - start))
    return Timed(elements, wall, processor)


def _median_ms(timed: Sequence[Timed]) -> float:
    from mapkd_core.benchmark.machine import summary

    return summary([ms for one in timed for ms in one.processor_ms]).median


def _row(
    name: str, who: str, timed: Sequence[Timed], cases: Sequence[Case], grid: BevGrid, rings_ms: str = "-"
) -> str:
    from mapkd_core.benchmark.machine import summary
    from mapkd_core.metrics.ap_chamfer import ap_chamfer
    from mapkd_core.metrics.ap_hdmapnet import ap_hdmapnet
    from mapkd_core.metrics.ap_pmapnet import ap_pmapnet

    found, truths = [one.elements for one in timed], [case.truth for case in cases]
    scores = (
        ap_chamfer(found, truths, (0.2, 0.5, 1.0), corrected=True),
        ap_chamfer(found, truths, (0.5, 1.0, 1.5), corrected=True),
        ap_hdmapnet(found, truths, grid, corrected=True),
        ap_pmapnet(found, truths, grid, corrected=True),
    )
    wall = summary([ms for one in timed for ms in one.wall_ms])
    processor = summary([ms for one in timed for ms in one.processor_ms])
    times = " | ".join(f"{ms:.2f}" for ms in (*wall, processor.median))
    quality = " | ".join(f"{s.mean:.3f}" for s in scores)
    return f"| {name} | {who} | {len(cases)} | {times} | {quality} | {rings_ms} |"


def _worst(args: argparse.Namespace) -> Iterator[str]:
    from mapkd_core.benchmark.machine import summary
    from mapkd_core.benchmark.vectorize_inputs import worst_cases
    from mapkd_core.grid import GRID_60X30
    from mapkd_core.vectorizer.vectorize import vectorize

    yield "\nInputs without any map (60x30 grid):\n\n| input | ms median | ms p95 | ms max | processor ms | elements |"
    yield "|---|---|---|---|---|---|"
    for name, probabilities in worst_cases(GRID_60X30):
        timed = _timed(lambda p=probabilities: vectorize(p, GRID_60X30), 4 * args.rounds)  # type: ignore[misc]
        times = " | ".join(f"{ms:.2f}" for ms in (*summary(timed.wall_ms), summary(timed.processor_ms).median))
        yield f"| {name} | {times} | {len(timed.elements)} |"


def _peak_mb(probabilities: Array, grid: BevGrid) -> float:
    """The most memory that one call allocates."""
    from mapkd_core.vectorizer.vectorize import vectorize

    tracemalloc.start()
    try:
        vectorize(probabilities, grid)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def _floor(peak_mb: float) -> Iterator[str]:
    """What the machine could do at best: one look at every byte of the input."""
    from mapkd_core.benchmark import machine
    from mapkd_core.grid import GRID_60X30

    megabytes = 4 * 4 * GRID_60X30.rows * GRID_60X30.cols / 1e6
    gbs = machine.memory_gbs()
    yield (
        f"\nFloor: the input, {megabytes:.2f} MB of float32, read once at the {gbs:.1f} GB/s of a large copy takes "
        f"{megabytes / gbs:.2f} ms. A call allocates at most {peak_mb:.1f} MB; the process held "
        f"{machine.peak_memory_mb():.0f} MB at most."
    )
