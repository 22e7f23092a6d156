"""A whole evaluation of many frames as `mapkd evaluate` does it: from files of predictions and truth to all scores."""
from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mapkd_core.benchmark.process_usage import MostMemory
from mapkd_core.data.raster import rasterize
from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH, score_frames
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.frame_file import FrameFile, FrameRecord, encode_semantic
from mapkd_core.progress import each
from mapkd_core.types import CLASS_IDS, MapElement

Elements = list[MapElement]
Invent = Callable[[np.random.Generator], tuple[Elements, Elements]]
"""Predicted and true elements of a frame; edges of crossings come in pairs."""


def whole_evaluation(frames: int, processes: int, grid: BevGrid, invent: Invent) -> str:
    """What time and memory `frames` invented frames take from files to scores, in a sentence."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, frames, grid, invent)
        wall, own, before = time.perf_counter(), time.process_time(), _of_workers_s()
        with MostMemory() as memory:
            score_frames(folder / PREDICTIONS, folder / TRUTH, processes=processes)
        wall, own = time.perf_counter() - wall, time.process_time() - own
    return (
        f"A whole evaluation, {frames} frames with semantic rasters and rings, from files to every score by "
        f"{processes} processes: {wall:.0f} s by the clock, {own + _of_workers_s() - before:.0f} s of processors, "
        f"of which {own:.0f} s in the first process. Most memory: {memory.own_mb:.0f} MB in the first process, "
        f"{memory.other_mb:.0f} MB in the largest other one."
    )


def _of_workers_s() -> float:
    """Seconds of processors of child processes that have ended."""
    used = os.times()
    return used.children_user + used.children_system


def _write(folder: Path, frames: int, grid: BevGrid, invent: Invent) -> None:
    rng = np.random.default_rng(0)
    about = {"grid": grid.as_dict()}
    predictions = FrameFile(folder / PREDICTIONS, {**about, "kind": "predictions"})
    truths = FrameFile(folder / TRUTH, {**about, "kind": "truth"})
    for number in each(range(frames), "write"):
        found, true = invent(rng)
        classes = np.zeros(grid.shape, np.uint8)
        for label, cells in zip(CLASS_IDS, rasterize(found, grid, with_direction=False).semantic[1:], strict=True):
            classes[cells != 0] = CLASS_IDS[label]
        token, conditions = f"{number:06d}", (("day", "night")[number % 2],)
        predictions.append(FrameRecord(token, found, semantic_png=encode_semantic(classes)))
        truths.append(FrameRecord(token, true, outlines=_rings(true), conditions=conditions))


def _rings(elements: Elements) -> Elements:
    edges = [e.points_m for e in elements if e.label == "ped_crossing"]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [MapElement("ped_crossing", np.concatenate([a, b[::-1], a[:1]]), 1.0, True) for a, b in pairs]
