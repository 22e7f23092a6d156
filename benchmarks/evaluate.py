"""How fast maps are scored, by every definition, and beside HDMapNet's own evaluator on the same frames.

    python benchmarks/evaluate.py --out benchmarks/results
    python benchmarks/evaluate.py --hdmapnet /path/to/HDMapNet --peer-frames 20 --out benchmarks/results

Frames are invented: roads with three dividers, two boundaries and two crossings, predicted with noise, misses,
duplicates and false alarms (about nine lines on each side). `--hdmapnet` names a checkout of HDMapNet, whose AP code
is imported and timed on the CPU on masks drawn beforehand; ours includes the drawing. Both sides' numbers are compared.
All run on one thread, and CPU seconds stand beside wall seconds, because a busy machine stretches only the latter.
"""
from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.ap_chamfer import ap_chamfer
from mapkd_core.metrics.ap_hdmapnet import ap_hdmapnet
from mapkd_core.metrics.ap_pmapnet import ap_pmapnet
from mapkd_core.metrics.drawing import draw
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.types import MapElement

GRID = BevGrid()
Elements = list[MapElement]


def invented_truth(rng: np.random.Generator) -> Elements:
    yaw, bend, lane = np.deg2rad(rng.uniform(-6, 6)), rng.uniform(-1, 1) / 600, rng.uniform(3.2, 3.7)
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    x = np.arange(-29.0, 29.01, 1.0)
    lines = [("divider", np.stack([x, k * lane + bend * x * x], 1) @ turn.T) for k in (-1, 0, 1)]
    lines += [("boundary", np.stack([x, k * (2 * lane + 0.4) + bend * x * x], 1) @ turn.T) for k in (-1, 1)]
    for start in (rng.uniform(-20, -12), rng.uniform(9, 17)):
        for edge in (start, start + rng.uniform(3, 5)):
            y = np.arange(-7.0, 7.01, 1.0)
            lines.append(("ped_crossing", np.stack([np.full_like(y, edge), y], 1) @ turn.T))
    return [MapElement(label, points) for label, points in lines]


def invented_prediction(truth: Elements, rng: np.random.Generator) -> Elements:
    found = []
    for element in truth:
        for _ in range(rng.choice([0, 1, 2], p=[0.12, 0.78, 0.10])):
            error = abs(rng.normal(0, 1.2 if rng.uniform() < 0.25 else 0.3))
            away = rng.uniform(0, 2 * np.pi)
            points = element.points_m + error * np.array([np.cos(away), np.sin(away)])
            points = points + rng.normal(0, 0.05, points.shape)
            score = float(np.clip(0.9 - 0.4 * error + rng.normal(0, 0.12), 0.05, 0.999))
            found.append(MapElement(element.label, points, score))
    for _ in range(rng.poisson(1)):
        start, step = rng.uniform([-25, -12], [25, 12]), rng.normal(0, 6, 2)
        label = str(rng.choice(["divider", "ped_crossing", "boundary"]))
        found.append(MapElement(label, np.stack([start, start + step]), float(rng.uniform(0.05, 0.6))))
    return found


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Median wall, least wall and least CPU seconds (of this process)."""
    wall, cpu = [], []
    for _ in range(rounds):
        start, start_cpu = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return statistics.median(wall), min(wall), min(cpu)


def peer(checkout: Path, predictions: list[Elements], truths: list[Elements]) -> tuple[float, float, np.ndarray]:
    """Wall and CPU seconds a frame of HDMapNet's AP code on one thread, and its (classes, thresholds) AP."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(checkout))
    torch.Tensor.cuda = lambda self, *a, **k: self  # its evaluator moves everything to a GPU; here there may be none
    from evaluation.AP import instance_mask_AP

    drawn = [(draw(p, GRID), draw(t, GRID)) for p, t in zip(predictions, truths, strict=True)]
    sums, counts = torch.zeros(3, 3), torch.zeros(3, 3)
    start, start_cpu = time.perf_counter(), time.process_time()
    for found, true in tqdm(drawn, desc="HDMapNet", unit="frame"):
        confidence = torch.from_numpy(np.pad(found.confidence, (0, 300 - len(found.confidence)), constant_values=-1))
        masks = [torch.from_numpy(side.ids)[None] for side in (found, true)]
        instance_mask_AP(
            sums, counts, *masks, 0.15, 0.15, confidence[None], [0.2, 0.5, 1.0],
            sampled_recalls=torch.linspace(0.1, 1, 10),
        )
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return wall / len(drawn), cpu / len(drawn), (sums / counts).numpy()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--hdmapnet", type=Path, help="checkout of HDMapNet to time beside ours")
    parser.add_argument("--peer-frames", type=int, default=20, help="frames given to HDMapNet's evaluator")
    parser.add_argument("--out", type=Path, help="folder for the dated results file")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    truths = [invented_truth(rng) for _ in range(args.frames)]
    predictions = [invented_prediction(t, rng) for t in truths]
    lines = (sum(map(len, truths)), sum(map(len, predictions)))

    works: dict[str, Callable[[], object]] = {}
    for corrected in (False, True):
        end = "_corrected" if corrected else ""
        works[f"ap_hdmapnet{end}"] = partial(ap_hdmapnet, predictions, truths, GRID, corrected=corrected)
        works[f"ap_pmapnet{end}"] = partial(ap_pmapnet, predictions, truths, GRID, corrected=corrected)
        works[f"ap_chamfer{end}"] = partial(ap_chamfer, predictions, truths, corrected=corrected)
    works[f"ap_hdmapnet, {args.processes} processes"] = partial(
        ap_hdmapnet, predictions, truths, GRID, processes=args.processes
    )
    masks = rng.integers(0, 4, (args.frames, *GRID.shape)).astype(np.uint8)
    hot = [(m[None] == np.arange(4)[:, None, None]) for m in masks]

    def iou() -> None:
        meter = IouMeter()
        for mask, truth in zip(masks, hot, strict=True):
            meter.update_classes(mask, truth)

    works["IoU"] = iou
    rows, ours = [], {}
    for name, work in tqdm(works.items(), desc="ours", unit="definition"):
        middle, least, cpu = timed(work, args.rounds)
        ours[name] = cpu
        own_cpu = "-" if "processes" in name else f"{cpu:.2f}"  # the children's time is not this process's
        rows.append(f"| `{name}` | {middle:.2f} | {least:.2f} | {own_cpu} | {1e3 * least / args.frames:.2f} |")

    text = [
        f"# Scoring speed, {date.today().isoformat()}", "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        + ", ".join(f"{p} {version(p)}" for p in ("numpy", "scipy", "shapely", "opencv-python-headless", "torch")), "",
        f"{args.frames} invented frames, {lines[0]} true and {lines[1]} predicted lines, 60x30 m at 0.15 m; "
        f"three thresholds; {args.rounds} rounds. Load average when it ended: {os.getloadavg()[0]:.1f}.", "",
        f"Command: `python benchmarks/evaluate.py {' '.join(sys.argv[1:])}`", "",
        "| definition | wall s, median | wall s, least | CPU s, least | ms a frame (wall, least) |",
        "| --- | --- | --- | --- | --- |", *rows,
    ]
    if args.hdmapnet:
        count = min(args.peer_frames, args.frames)
        wall, cpu, ap = peer(args.hdmapnet, predictions[:count], truths[:count])
        own = ap_hdmapnet(predictions[:count], truths[:count], GRID).ap
        gap = float(np.nanmax(np.abs(own - ap)))
        fast = cpu * args.frames / ours["ap_hdmapnet"]
        text += [
            "", f"HDMapNet's own evaluator (AP only, {count} frames, one thread): {1e3 * cpu:.0f} ms CPU "
            f"({1e3 * wall:.0f} ms wall) a frame. By CPU time `ap_hdmapnet` is {fast:.0f} times as fast. "
            f"Largest difference of the AP values: {gap:.1g}.",
        ]
    report = "\n".join(text) + "\n"
    print(report)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"evaluate-{date.today().isoformat()}.md").write_text(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
