"""A whole evaluation of many frames as `mapkd evaluate` does it: from files of predictions and truth to all scores."""
from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

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
        with Memory() as memory:
            score_frames(folder / PREDICTIONS, folder / TRUTH, processes=processes)
        wall, own = time.perf_counter() - wall, time.process_time() - own
    return (
        f"A whole evaluation, {frames} frames with semantic rasters and rings, from files to every score by "
        f"{processes} processes: {wall:.0f} s by the clock, {own + _of_workers_s() - before:.0f} s of processors, "
        f"of which {own:.0f} s in the first process. Most memory: {memory.own_mb:.0f} MB in the first process, "
        f"{memory.other_mb:.0f} MB in the largest other one."
    )


class Memory:
    """`with Memory() as memory:` the most resident MB of this process and of any child, looked at ten times a second.

    The system's own peak of child processes holds what this process had when it started them, too.
    """

    def __init__(self) -> None:
        self.own_mb = self.other_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Memory:
        """Itself, at work."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Looks no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        this = psutil.Process()
        while True:
            self.own_mb = max(self.own_mb, this.memory_info().rss / 1e6)
            for child in this.children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it has just ended
                    if child.exe() == this.exe() and child.cmdline() != this.cmdline():  # not a fork before its exec
                        self.other_mb = max(self.other_mb, child.memory_info().rss / 1e6)
            if self._over.wait(0.1):
                return


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
