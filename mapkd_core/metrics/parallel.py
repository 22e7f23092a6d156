"""Scores frames in several processes; every definition is a small frozen object that travels to them."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mapkd_core.engine.local import LocalEngine
from mapkd_core.progress import Progress

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
    engine = LocalEngine(processes if len(truths) > _CHUNK else 1)
    most = 1 if engine.alone else _CHUNK
    starts = range(0, len(truths), most)
    chunks = ((predictions[start : start + most], truths[start : start + most]) for start in starts)
    results: list[Score] = []
    with Progress(progress or "", len(truths), shown=progress is not None) as bar:
        for scored in engine.map(_Scores(score), chunks):
            results.extend(scored)
            bar.update(len(scored))
    return results


@dataclass(frozen=True)
class _Scores(Generic[Score]):
    """Job: the scores of some frames."""

    score: Callable[[Any, Any], Score]

    def __call__(self, chunk: tuple[Sequence[Any], Sequence[Any]]) -> list[Score]:
        return [self.score(*pair) for pair in zip(*chunk, strict=True)]
