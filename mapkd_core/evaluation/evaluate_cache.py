"""Scores a network on a training cache: images are small already and the map is cut out, so it takes seconds.

    evaluation = evaluate_cache("runs/student", "caches/val", Path("runs/student/evaluation"))
    evaluation.result["iou"]["miou"], evaluation.result["ap"]["ap_chamfer"]["0.5/1/1.5"]["mAP"]
"""
from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mapkd_core.artifact import ModelCard
from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.drive_order import drives_in_order
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.engine import Engine
from mapkd_core.engine.local import LocalEngine
from mapkd_core.evaluation.batch_predictor import BatchPredictor
from mapkd_core.evaluation.evaluate import (
    PREDICTIONS,
    TRUTH,
    Evaluation,
    check_limit,
    resumed_files,
    score_frames,
)
from mapkd_core.evaluation.identity import cache_fingerprint, vectorizer_version
from mapkd_core.evaluation.prediction_jobs import NetworkOf, PredictCached, remembers, unfinished
from mapkd_core.evaluation.result_file import read_result
from mapkd_core.files import FolderLock, fingerprint, write_atomic
from mapkd_core.metrics.scoring import THRESHOLD_SETS
from mapkd_core.predictor import MapPredictor
from mapkd_core.progress import Progress
from mapkd_core.schema import FileFault
from mapkd_core.types import Frame

BATCH = 16

Weights = str | Path | BatchPredictor | MapPredictor


class CachedFrames:
    """The frames of a cache in its order: images at cache size, LiDAR, conditions; no road map."""

    def __init__(self, cached: CachedSamples) -> None:
        self.cached = cached

    def __len__(self) -> int:
        return len(self.cached)

    def __getitem__(self, index: int) -> Frame:
        return self.cached.frame(index).frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))


def evaluate_cache(
    weights: Weights,
    cache: str | Path,
    out: Path,
    processes: int = 1,
    limit: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    threshold_sets: tuple[tuple[float, ...], ...] = THRESHOLD_SETS,
) -> Evaluation:
    """Runs a network over a local cache's frames (the first `limit`), writing to `out`, and scores what is there.

    `weights` is the folder of a training run, an artifact's card, or a loaded predictor. The same call again goes on
    where a stopped one was. Raises FileExistsError if `out` holds another network's predictions and not `overwrite`,
    ValueError if the cache lacks labels, an input of the network, or reach.
    """
    predictor = BatchPredictor(weights, device) if isinstance(weights, str | Path) else weights
    cached = open_cache(cache, predictor.card)
    header = header_of(predictor, f"cache:{cache}", cache_fingerprint(cached))
    with FolderLock(out):
        predict_cache(cached, predictor, out, header, overwrite, limit)
        return score_frames(out / PREDICTIONS, out / TRUTH, threshold_sets=threshold_sets, processes=processes)


def scored_once(
    weights: Weights, cache: str | Path, out: Path, checkpoint: Path, processes: int = 1, again: bool = False
) -> dict[str, Any]:
    """`evaluate_cache`'s result, from `out`/result.json if that is of the same checkpoint, cache (by content) and
    vectorizer, and not `again`."""
    written = out / "result.json"
    identity = fingerprint(checkpoint, Path(cache).expanduser(), vectorizer_version())
    result: dict[str, Any] = {}
    if written.exists() and not again:
        with contextlib.suppress(FileFault):  # a damaged one is written anew
            result = read_result(written)
    if result.get("identity") != identity:
        evaluation = evaluate_cache(weights, cache, out, processes, overwrite=True)
        result = {**evaluation.result, "identity": identity}
        write_atomic(written, json.dumps(result, indent=1) + "\n")
    return result


def open_cache(cache: str | Path, card: ModelCard) -> CachedSamples:
    """A local cache to score a network on. Raises ValueError if its maps do not cover the network's grid."""
    return CachedSamples(cache, SampleOptions(card.grid, card.input_size, labels=True, margin_m=0.0))


def header_of(predictor: BatchPredictor | MapPredictor, data: str, data_fingerprint: str = "") -> dict[str, Any]:
    """What predicts what, for the files of predictions."""
    card = predictor.card
    precision = "fp32" if isinstance(predictor, BatchPredictor) else predictor.runtime.precision
    return {
        "artifact": {
            "name": card.name, "version": card.version, "model": card.model, "sha256": card.weights_sha256
        },
        "precision": precision,
        "data": data,
        "data_fingerprint": data_fingerprint,
        "vectorize": predictor.vectorize_config.__dict__,
        "vectorizer": vectorizer_version(),
    }


def predict_cache(
    cached: CachedSamples,
    predictor: BatchPredictor | MapPredictor,
    folder: Path,
    header: Mapping[str, Any],
    overwrite: bool = False,
    limit: int | None = None,
    engine: Engine | None = None,
    make: Callable[[], BatchPredictor | MapPredictor] | None = None,
) -> int:
    """Writes predictions and truth of a cache's frames, as `evaluate.predict_frames` does for frames.

    They come in the cache's order; for a network with a memory drive by drive, each in order of time and by one worker.
    """
    grid = predictor.card.grid
    engine = engine or LocalEngine()
    predictions, truth = resumed_files(folder, header, grid, overwrite)
    total = len(cached) if limit is None else min(limit, len(cached))
    check_limit(folder, truth.done, total)
    job = PredictCached(cached, NetworkOf(make, predictor), grid, engine.alone)
    units: list[tuple[Sequence[int], int]]
    if remembers(predictor):
        units = unfinished(drives_in_order([cached.pose(index) for index in range(len(cached))]), truth.done, total)
    else:
        units = [(range(first, min(first + BATCH, total)), 0) for first in range(truth.done, total, BATCH)]
    with Progress("predict", total, initial=min(truth.done, total)) as bar:
        for records, (_, known) in zip(engine.map(job, [unit for unit, _ in units]), units, strict=True):
            for predicted, true in records[known:]:
                predictions.append(predicted)
                truth.append(true)
            bar.update(len(records) - known)
    return total
