"""How fast maps are scored, by every definition, and beside HDMapNet's own evaluator on the same frames.

examples:
  mapkd benchmark evaluate --out evaluate.md
  mapkd benchmark evaluate --hdmapnet ../HDMapNet --peer-frames 20 --out evaluate.md
  mapkd benchmark evaluate --whole 6000 --frames 20

Frames are invented: roads with three dividers, two boundaries and two crossings, predicted with noise, misses,
duplicates and false alarms (about nine lines on each side). --hdmapnet names a checkout of HDMapNet, whose AP code is
imported and timed on the CPU on masks drawn beforehand; ours includes the drawing. Both sides' numbers are compared.
All run on one thread, and CPU seconds stand beside wall seconds, because a busy machine stretches only the latter.
--whole adds one evaluation of so many frames from files on, as `mapkd evaluate` does it, with its memory.
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from mapkd_core.benchmark.evaluate_whole import whole_evaluation
from mapkd_core.benchmark.machine import command_line, cores, describe, markdown_table
from mapkd_core.benchmark.peer_checkout import cuda_calls, importable
from mapkd_core.files import write_atomic
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.ap_chamfer import ap_chamfer
from mapkd_core.metrics.ap_hdmapnet import ap_hdmapnet
from mapkd_core.metrics.ap_pmapnet import ap_pmapnet
from mapkd_core.metrics.drawing import draw
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.output_file import output_file
from mapkd_core.progress import each
from mapkd_core.types import MapElement

GRID = BevGrid()
Elements = list[MapElement]
PACKAGES = ("numpy", "scipy", "shapely", "opencv-python-headless", "torch")


def invented_truth(rng: np.random.Generator) -> Elements:
    """A bent road of two lanes each way, with two crossings."""
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
    """What a middling network would find of it."""
    found = []
    for element in truth:
        for _ in range(rng.choice([0, 1, 2], p=[0.12, 0.78, 0.10])):
            error = abs(rng.normal(0, 1.2 if rng.uniform() < 0.25 else 0.3))
            away = rng.uniform(0, 2 * np.pi)
            points = element.points_m + error * np.array([np.cos(away), np.sin(away)])
            points = points + rng.normal(0, 0.05, points.shape)
            score = float(np.clip(0.9 - 0.4 * error + rng.normal(0, 0.12), 0.05, 0.999))
            found.append(MapElement(element.label, points.astype(np.float32), score))
    for _ in range(rng.poisson(1)):
        start, step = rng.uniform([-25, -12], [25, 12]), rng.normal(0, 6, 2)
        label = str(rng.choice(["divider", "ped_crossing", "boundary"]))
        found.append(MapElement(label, np.stack([start, start + step]), float(rng.uniform(0.05, 0.6))))
    return found


def invented_frame(rng: np.random.Generator) -> tuple[Elements, Elements]:
    """A prediction and its truth."""
    truth = invented_truth(rng)
    return invented_prediction(truth, rng), truth


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
    with importable(checkout, "evaluation/AP.py"):
        from evaluation.AP import instance_mask_AP  # type: ignore[import-not-found]

    drawn = [(draw(p, GRID), draw(t, GRID)) for p, t in zip(predictions, truths, strict=True)]
    sums, counts = torch.zeros(3, 3), torch.zeros(3, 3)
    start, start_cpu = time.perf_counter(), time.process_time()
    with cuda_calls("cpu"):
        for found, true in each(drawn, "HDMapNet"):
            padding = (0, 300 - len(found.confidence))
            confidence = torch.from_numpy(np.pad(found.confidence, padding, constant_values=-1))
            masks = [torch.from_numpy(side.ids)[None] for side in (found, true)]
            instance_mask_AP(
                sums, counts, *masks, 0.15, 0.15, confidence[None], [0.2, 0.5, 1.0],
                sampled_recalls=torch.linspace(0.1, 1, 10),
            )
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return wall / len(drawn), cpu / len(drawn), (sums / counts).numpy()


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=cores(), help="of the parallel row (%(default)s)")
    parser.add_argument("--hdmapnet", type=Path, metavar="DIR", help="checkout of HDMapNet to time beside ours")
    parser.add_argument("--peer-frames", type=int, default=20, help="frames given to HDMapNet's evaluator")
    parser.add_argument("--whole", type=int, default=0, metavar="N", help="frames of a whole evaluation; 0 for none")
    parser.add_argument("--out", type=output_file, metavar="FILE", help="results file to write")


def run(args: argparse.Namespace) -> int:
    """Times every definition, HDMapNet's if it is given, and prints the table."""
    if args.frames < 1 or args.rounds < 1 or args.whole < 0:
        raise ValueError(
            f"--frames {args.frames} --rounds {args.rounds} --whole {args.whole}; expected at least 1 of each, or no "
            "--whole"
        )
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    truths = [invented_truth(rng) for _ in range(args.frames)]
    predictions = [invented_prediction(truth, rng) for truth in truths]
    rows, ours = [], {}
    for name, work in each(_works(predictions, truths, args.processes, rng).items(), "ours", "definition"):
        middle, least, cpu = timed(work, args.rounds)
        ours[name] = cpu
        own_cpu = "-" if "processes" in name else f"{cpu:.2f}"  # the children's time is not this process's
        rows.append([f"`{name}`", f"{middle:.2f}", f"{least:.2f}", own_cpu, f"{1e3 * least / args.frames:.2f}"])
    lines = (sum(map(len, truths)), sum(map(len, predictions)))
    text = [
        "# Scoring speed", "", describe(packages=PACKAGES), "",
        f"{args.frames} invented frames, {lines[0]} true and {lines[1]} predicted lines, 60x30 m at 0.15 m; "
        f"three thresholds; {args.rounds} rounds.", "", f"`{command_line()}`", "",
        markdown_table(("definition", "wall s, median", "wall s, least", "CPU s, least", "ms a frame (least)"), rows),
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
    if args.whole:
        text += ["", whole_evaluation(args.whole, args.processes, GRID, invented_frame)]
    report = "\n".join(text)
    print(report)
    if args.out:
        write_atomic(args.out, report + "\n")
    return 0


def _works(
    predictions: list[Elements], truths: list[Elements], processes: int, rng: np.random.Generator
) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    works: dict[str, Callable[[], object]] = {}
    for corrected in (False, True):
        end = "_corrected" if corrected else ""
        works[f"ap_hdmapnet{end}"] = partial(ap_hdmapnet, predictions, truths, GRID, corrected=corrected)
        works[f"ap_pmapnet{end}"] = partial(ap_pmapnet, predictions, truths, GRID, corrected=corrected)
        works[f"ap_chamfer{end}"] = partial(ap_chamfer, predictions, truths, corrected=corrected)
    works[f"ap_hdmapnet, {processes} processes"] = partial(ap_hdmapnet, predictions, truths, GRID, processes=processes)
    masks = rng.integers(0, 4, (len(truths), *GRID.shape)).astype(np.uint8)
    hot = [(m[None] == np.arange(4)[:, None, None]) for m in masks]

    def iou() -> None:
        meter = IouMeter()
        for mask, truth in zip(masks, hot, strict=True):
            meter.update_classes(mask, truth)

    works["IoU"] = iou
    return works
