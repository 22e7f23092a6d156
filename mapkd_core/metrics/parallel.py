"""Scores frames in several processes; every definition is a small frozen object that travels to them."""
from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Any, TypeVar

from mapkd_core.progress import Progress
from mapkd_core.worker_process import end_with_parent

Score = TypeVar("Score")
_CHUNK = 16


def map_frames(
    score: Callable[[Any, Any], Score],
    predictions: Sequence[Any],
    truths: Sequence[Any],
    processes: int = 1,
    progress: str | None = None,
) -> list[Score]:
    """`score(prediction, truth)` of every frame, in order; `progress` names a progress bar.

    `processes` > 1 starts fresh interpreters (about a second): worth it from some hundred frames on. Raises ValueError
    if the two sides do not have one entry per frame.
    """
    if len(predictions) != len(truths):
        raise ValueError(f"{len(predictions)} predictions for {len(truths)} truths; expected one of each per frame")
    pairs = list(zip(predictions, truths, strict=True))
    with Progress(progress or "", len(pairs), shown=progress is not None) as bar:
        results: list[Score] = []
        if processes <= 1 or len(pairs) <= _CHUNK:
            for pair in pairs:
                results.append(score(*pair))
                bar.update()
            return results
        chunks = [pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK)]
        # Fresh interpreters: a fork of a process that has run torch or OpenCV threads can hang.
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), end_with_parent) as pool:
            for scored in pool.map(_score_chunk, repeat(score), chunks):
                results.extend(scored)
                bar.update(len(scored))
        return results


def _score_chunk(score: Callable[[Any, Any], Score], pairs: Sequence[tuple[Any, Any]]) -> list[Score]:
    return [score(*pair) for pair in pairs]
