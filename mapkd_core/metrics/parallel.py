"""Scores frames in several processes; every definition is a small frozen object that travels to them."""
from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import TypeVar

from tqdm import tqdm

from mapkd_core.types import MapElement

Score = TypeVar("Score")
_CHUNK = 16


def map_frames(
    score: Callable[[list[MapElement], list[MapElement]], Score],
    predictions: Sequence[Iterable[MapElement]],
    truths: Sequence[Iterable[MapElement]],
    processes: int = 1,
    progress: str | None = None,
) -> list[Score]:
    """`score(prediction, truth)` of every frame, in order; `progress` names a progress bar.

    `processes` > 1 starts fresh interpreters (about a second): worth it from some hundred frames on. Raises ValueError
    if the two sides do not have one entry per frame.
    """
    if len(predictions) != len(truths):
        raise ValueError(f"{len(predictions)} predictions for {len(truths)} truths; expected one of each per frame")
    pairs = [(list(p), list(t)) for p, t in zip(predictions, truths, strict=True)]
    if processes <= 1 or len(pairs) <= _CHUNK:
        return [score(p, t) for p, t in tqdm(pairs, desc=progress, disable=progress is None, unit="frame")]
    chunks = [pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK)]
    # Fresh interpreters: a fork of a process that has run torch or OpenCV threads can hang.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        results: list[Score] = []
        with tqdm(total=len(pairs), desc=progress, disable=progress is None, unit="frame") as bar:
            for scored in pool.map(_score_chunk, repeat(score), chunks):
                results.extend(scored)
                bar.update(len(scored))
        return results


def _score_chunk(
    score: Callable[[list[MapElement], list[MapElement]], Score],
    pairs: Sequence[tuple[list[MapElement], list[MapElement]]],
) -> list[Score]:
    return [score(p, t) for p, t in pairs]
