"""How fast and how well the vectorizer turns predictions into lines, beside HDMapNet's, and what more heads would add.

    python benchmarks/vectorize.py --out benchmarks/results
    python benchmarks/vectorize.py --dataroot /data/nuscenes --hdmapnet ~/HDMapNet --reference ~/reference

`--hdmapnet` is a checkout of HDMapNet's public code (commit 7911227), which then vectorizes the same predictions in the
same process, with embeddings and directions as good as the labels; it takes about two seconds a frame. `--reference` is
a folder whose `frames.py` makes frames with network-like outputs. Times are this thread's processor time, so that other
programs disturb them little: median over frames of the fastest of five runs. Scores are mAP under the definitions of
mapkd_core.metrics, faults repaired ("corrected"): ap_hdmapnet at 0.2/0.5/1 m, ap_pmapnet at 0.5/1/1.5 m,
ap_chamfer at both. Crossings are compared as their two edges, which is how the label rasters hold them.
"""
from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from vectorize_inputs import (
    KINDS,
    Array,
    embedding_and_direction,
    real_maps,
    reference_frames,
    softmax,
    town_maps,
    truths_on,
    worst_cases,
)

from mapkd_core import centreline, linking
from mapkd_core.data.raster import rasterize
from mapkd_core.grid import GRID_60X30, GRID_120X60, BevGrid
from mapkd_core.metrics.ap_chamfer import ap_chamfer
from mapkd_core.metrics.ap_hdmapnet import ap_hdmapnet
from mapkd_core.metrics.ap_pmapnet import ap_pmapnet
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.vectorize import VectorizeConfig, vectorize

EDGES = VectorizeConfig(crossings="edges")
HEADER = (
    "| input | vectorizer | frames | ms median | ms max | ap_chamfer .2/.5/1 | ap_chamfer .5/1/1.5 | ap_hdmapnet | "
    "ap_pmapnet |\n|---|---|---|---|---|---|---|---|---|"
)
Case = tuple[list[MapElement], Array, Array, Array]
"""Truth, semantic logits (4, Y, X), embedding (E, Y, X), direction logits (37, Y, X)."""


def timed(work: Callable[[], list[MapElement]], runs: int) -> tuple[list[MapElement], float]:
    """The result, and the fastest run in milliseconds."""
    best, result = float("inf"), []
    for _ in range(runs):
        start = time.thread_time()
        result = work()
        best = min(best, 1e3 * (time.thread_time() - start))
    return result, best


def row(name: str, who: str, found: list, truths: list, ms: list[float], grid: BevGrid) -> str:
    scores = (
        ap_chamfer(found, truths, (0.2, 0.5, 1.0), corrected=True),
        ap_chamfer(found, truths, (0.5, 1.0, 1.5), corrected=True),
        ap_hdmapnet(found, truths, grid, corrected=True),
        ap_pmapnet(found, truths, grid, corrected=True),
    )
    values = " | ".join(f"{score.mean:.3f}" for score in scores)
    return f"| {name} | {who} | {len(truths)} | {np.median(ms):.2f} | {max(ms):.2f} | {values} |"


def compare(name: str, grid: BevGrid, cases: Iterable[Case], peer: Callable | None, peer_frames: int) -> Iterator[str]:
    """One row for this project's vectorizer over all frames, and where a peer is given one for each over its frames."""
    cases = list(cases)
    truths = [truth for truth, *_ in cases]
    ours = []
    for _, logits, *_ in cases:
        probabilities = softmax(logits)
        ours.append(timed(lambda p=probabilities: vectorize(p, grid, EDGES), 5))  # type: ignore[misc]
    yield row(name, "mapkd", [f for f, _ in ours], truths, [ms for _, ms in ours], grid)
    if peer is not None:
        few = slice(peer_frames)
        if len(cases) > peer_frames:
            yield row(name, "mapkd", [f for f, _ in ours[few]], truths[few], [ms for _, ms in ours[few]], grid)
        theirs = [timed(lambda c=case: peer(*c[1:], grid), 1) for case in cases[few]]
        yield row(name, "HDMapNet", [f for f, _ in theirs], truths[few], [ms for _, ms in theirs], grid)


def hdmapnet(checkout: Path) -> Callable[[Array, Array, Array, BevGrid], list[MapElement]]:
    """HDMapNet's public vectorizer behind this project's types."""
    sys.path.insert(0, str(checkout))
    import torch
    from postprocess.vectorize import vectorize as theirs

    np.int, np.bool = int, bool  # type: ignore  # names their code uses, gone since numpy 1.24
    torch.set_num_threads(1)

    def run(logits: Array, embedding: Array, direction: Array, grid: BevGrid) -> list[MapElement]:
        random.seed(0)
        lines, scores, labels = theirs(*(torch.from_numpy(a.copy()) for a in (logits, embedding, direction)), 36)
        return [
            MapElement(CLASSES[label], grid.metres_from_cells(np.asarray(line) + 0.5).astype(np.float32), float(score))
            for line, score, label in zip(lines, scores, labels, strict=True) if len(line) >= 2
        ]

    return run


def cases_on(truths: list[list[MapElement]], kind: str, grid: BevGrid) -> Iterator[Case]:
    for seed, truth in enumerate(truths):
        yield truth, KINDS[kind](truth, grid, seed), *embedding_and_direction(rasterize(truth, grid), seed)


def with_true_instances(work: Callable[[], list[MapElement]], instance: np.ndarray) -> list[MapElement]:
    """Runs the vectorizer with what a perfect embedding allows: cut where the instance changes, join only one."""
    candidates, corners = linking._candidates, centreline.split_at_corners

    def known_at(points: np.ndarray) -> np.ndarray:
        col, row_ = np.clip(np.rint(points).astype(int), 0, np.array(instance.shape)[::-1] - 1).T
        return instance[row_, col]

    def filtered(lines, evidence, max_gap, max_unseen):  # type: ignore[no-untyped-def]
        first, second, closable = candidates(lines, evidence, max_gap, max_unseen)
        known = known_at(lines.points[lines.tips])
        same = (known[first] == known[second]) | (known[first] == 0) | (known[second] == 0)
        return first[same], second[same], closable[same]

    def cut(lines, class_index):  # type: ignore[no-untyped-def]
        lines = corners(lines, class_index)
        known = known_at(lines.points)
        change = np.flatnonzero((known[1:] != known[:-1]) & (known[1:] > 0) & (known[:-1] > 0)) + 1
        starts = np.union1d(lines.starts, change)
        classes = lines.classes[np.searchsorted(lines.starts, starts[:-1], "right") - 1]
        long = np.diff(starts) > 1
        keep = np.repeat(long, np.diff(starts))
        return centreline.Lines(
            lines.points[keep], centreline.starts_of(np.diff(starts)[long]), classes[long], lines.widths[keep]
        )

    linking._candidates, centreline.split_at_corners = filtered, cut
    try:
        return work()
    finally:
        linking._candidates, centreline.split_at_corners = candidates, corners


def with_true_headings(work: Callable[[], list[MapElement]], direction: np.ndarray) -> list[MapElement]:
    """Runs the vectorizer with the headings that a perfect direction head would give for linking."""
    original = linking.headings

    def informed(lines):  # type: ignore[no-untyped-def]
        own = original(lines)
        col, row_ = np.clip(np.rint(lines.points[lines.tips]).astype(int), 0, np.array(direction.shape[1:])[::-1] - 1).T
        angle = (direction[0][row_, col].astype(float) - 1) * np.deg2rad(10)
        told = np.stack([np.cos(angle), np.sin(angle)], 1) * np.where(direction[0][row_, col] > 0, 1, np.nan)[:, None]
        told *= np.sign((told * own).sum(1, keepdims=True))
        return np.where(np.isfinite(told), told, own).astype(np.float32)

    linking.headings = informed
    try:
        return work()
    finally:
        linking.headings = original


def head_rows(name: str, grid: BevGrid, truths: list[list[MapElement]]) -> Iterator[str]:
    """What perfect embedding and direction heads would add to the semantic map alone."""
    for kind in KINDS:
        found: dict[str, list] = {"semantic": [], "+ true instances": [], "+ true directions": []}
        for seed, truth in enumerate(truths):
            labels, p = rasterize(truth, grid), softmax(KINDS[kind](truth, grid, seed))

            def work(p: Array = p) -> list[MapElement]:
                return vectorize(p, grid, EDGES)

            found["semantic"].append(work())
            found["+ true instances"].append(with_true_instances(work, labels.instance))
            assert labels.direction is not None
            found["+ true directions"].append(with_true_headings(work, labels.direction))
        cells = " | ".join(
            " / ".join(f"{ap_chamfer(f, truths, t, corrected=True).mean:.3f}" for t in ((0.2, 0.5, 1), (0.5, 1, 1.5)))
            for f in found.values()
        )
        yield f"| {name}, {kind} | {cells} |"


def report(args: argparse.Namespace) -> Iterator[str]:
    peer = hdmapnet(args.hdmapnet) if args.hdmapnet else None
    yield f"# Vectorizer, {date.today()}"
    yield ""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, OpenCV {cv2.__version__}"
    yield f"{machine()}, {versions}, one thread."
    yield f"Load average {os.getloadavg()[0]:.1f} at the start. {args.note}".rstrip()
    yield ""
    yield f"`python benchmarks/vectorize.py {' '.join(hide_paths(sys.argv[1:]))}`"
    yield ""
    yield HEADER
    for label, grid in (("60x30", GRID_60X30), ("120x60", GRID_120X60)):
        if args.reference:
            for mode in ("onehot", "ridge"):
                cases = reference_frames(args.reference, label, mode, args.frames)
                yield from compare(f"{label} reference, {mode}", grid, cases, peer, args.peer_frames)
        for source, truths in sources(args, grid):
            for kind in KINDS:
                cases = cases_on(truths, kind, grid)
                yield from compare(f"{label} {source}, {kind}", grid, cases, peer, args.peer_frames)
    yield ""
    yield "Inputs without any map (60x30 grid), milliseconds:"
    yield ""
    yield "| input | ms | elements |\n|---|---|---|"
    for name, probabilities in worst_cases(GRID_60X30):
        found, ms = timed(lambda p=probabilities: vectorize(p, GRID_60X30), 5)
        yield f"| {name} | {ms:.2f} | {len(found)} |"
    yield ""
    yield "What perfect further heads would add (ap_chamfer .2/.5/1 / .5/1/1.5, 60x30 grid):"
    yield ""
    yield "| input | semantic alone | + true instances (embedding) | + true directions |\n|---|---|---|---|"
    for source, truths in sources(args, GRID_60X30):
        yield from head_rows(source, GRID_60X30, truths)


def sources(args: argparse.Namespace, grid: BevGrid) -> Iterator[tuple[str, list[list[MapElement]]]]:
    yield "towns", truths_on(town_maps(), grid, args.frames)
    if args.dataroot:
        yield "nuScenes", truths_on(real_maps(args.dataroot), grid, args.frames)


def hide_paths(arguments: list[str]) -> list[str]:
    shown = arguments[: arguments.index("--note")] if "--note" in arguments else arguments
    return [Path(a).name if "/" in a else a for a in shown]


def machine() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.is_file() else []
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40, help="frames of each input (%(default)s)")
    parser.add_argument("--dataroot", type=Path, help="a nuScenes folder: adds its real maps")
    parser.add_argument("--hdmapnet", type=Path, help="a checkout of HDMapNet to compare with")
    parser.add_argument("--peer-frames", type=int, default=4, help="frames for the comparison (%(default)s)")
    parser.add_argument("--reference", type=Path, help="a folder with frames.py")
    parser.add_argument("--note", default="", help="a line for the report, such as what else the machine did")
    parser.add_argument("--out", type=Path, help="folder for the report, besides the screen")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    lines = []
    for line in report(args):
        print(line, flush=True)
        lines.append(line)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"vectorize_{date.today()}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
