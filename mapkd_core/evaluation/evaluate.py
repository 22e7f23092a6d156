"""Scores a trained network: predictions go to a file first, then the file is scored, so that either half can be redone.

    predict_frames(source, predictor, folder, header)    # loop 1: the network, resumable
    result = score_frames(folder / "predictions.jsonl", folder / "truth.jsonl")    # loop 2: every definition
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from mapkd_core.data.image_codec import jpeg_size
from mapkd_core.engine import Engine
from mapkd_core.engine.local import LocalEngine
from mapkd_core.evaluation.odd_places import odd_places
from mapkd_core.evaluation.prediction_jobs import (
    FramePredictor,
    NetworkOf,
    PredictFrames,
    drive_ranges,
    is_scored,
    remembers,
    unfinished,
)
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.alignment import AlignBounds
from mapkd_core.metrics.bands import bands_of
from mapkd_core.metrics.frame_file import FrameFile, FrameRecord, read_frames, read_header
from mapkd_core.metrics.parallel import map_frames
from mapkd_core.metrics.scoring import THRESHOLD_SETS, FrameScore, Scorer
from mapkd_core.metrics.submission import read_submission
from mapkd_core.progress import Progress
from mapkd_core.schema import FileFault
from mapkd_core.types import CLASSES, Frame

PREDICTIONS, TRUTH = "predictions.jsonl", "truth.jsonl"
_UNIT_FRAMES = 8
"""Frames that one of several workers predicts at a time."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All numbers of one evaluation, and the single frames behind them."""

    result: dict[str, Any]
    """Plain values for JSON."""
    scores: list[FrameScore]
    predictions: list[FrameRecord]
    truths: list[FrameRecord]
    grid: BevGrid

    def ranked(self) -> list[int]:
        """Indices of frames, best first."""
        return sorted(range(len(self.scores)), key=lambda i: -self.scores[i].quality)


def predict_frames(
    source: Sequence[Frame] | Any,
    predictor: FramePredictor,
    grid: BevGrid,
    folder: Path,
    header: Mapping[str, Any],
    overwrite: bool = False,
    limit: int | None = None,
    engine: Engine | None = None,
    make: Callable[[], FramePredictor] | None = None,
) -> int:
    """Writes predictions and truth of a source's frames to `folder`; continues where an earlier run stopped.

    Frames without images or a road map are passed over: nothing can be predicted, or scored. `header` says what
    predicts what; a folder made under another header is refused (FileExistsError) unless `overwrite`. An `engine` with
    several workers loads the network by `make` on each, and no latencies are noted; a network with a memory gets whole
    drives. Returns how many frames the files hold. Whoever calls holds the folder's lock until its results are written.
    """
    total = len(source) if limit is None else min(limit, len(source))
    if not any(is_scored(source[index]) for index in range(total)):
        raise ValueError(
            f"none of {total} frames has a road map to be scored against, and images; check the map expansion"
        )
    engine = engine or LocalEngine()
    predictions, truth = resumed_files(folder, header, grid, overwrite)
    done = truth.done
    first = mapped = 0
    while first < total and mapped < done:
        mapped += is_scored(source[first])
        first += 1
    job = PredictFrames(source, NetworkOf(make, predictor), grid, engine.alone)
    most = 1 if engine.alone else _UNIT_FRAMES
    units: list[tuple[Sequence[int], int]] = [(range(k, min(k + most, total)), 0) for k in range(first, total, most)]
    if remembers(predictor):
        units = unfinished(drive_ranges(source, total), first, total)
    with Progress("predict", total, initial=first) as bar:
        for records, (_, known) in zip(engine.map(job, [unit for unit, _ in units]), units, strict=True):
            for pair in filter(None, records[known:]):
                mapped += 1
                predictions.append(pair[0])
                truth.append(pair[1])
            bar.update(len(records) - known)
    check_limit(folder, done, mapped)
    return mapped


def check_limit(folder: Path, done: int, wanted: int) -> None:
    """Raises ValueError where a folder holds more frames than are to be scored now; none is thrown away."""
    if done > wanted:
        raise ValueError(
            f"{folder} holds predictions of {done} frames already, now {wanted} are wanted; choose another --out, "
            "leave --limit out, or give --overwrite"
        )


def resumed_files(
    folder: Path, header: Mapping[str, Any], grid: BevGrid, overwrite: bool = False
) -> tuple[FrameFile, FrameFile]:
    """The files of predictions and of truth, cut to the frames that both hold.

    Raises FileExistsError if they were made under another header and not `overwrite`.
    """
    about = {**header, "grid": grid.as_dict()}
    predictions = FrameFile(folder / PREDICTIONS, {**about, "kind": "predictions"}, overwrite)
    truth = FrameFile(folder / TRUTH, {**about, "kind": "truth"}, overwrite)
    done = min(predictions.done, truth.done)
    predictions.keep(done)
    truth.keep(done)
    return predictions, truth


def load_frames(path: Path) -> tuple[list[FrameRecord], dict[str, Any]]:
    """Frames and header of a file of ours (.jsonl), or of an HDMapNet submission (.json; its header is empty)."""
    if path.suffix.lower() == ".json":
        return [FrameRecord(token, elements) for token, elements in read_submission(path).items()], {}
    return list(read_frames(path)), read_header(path)


def score_frames(
    predictions_path: Path,
    truth_path: Path,
    grid: BevGrid | None = None,
    threshold_sets: tuple[tuple[float, ...], ...] = THRESHOLD_SETS,
    processes: int = 1,
    align: AlignBounds | None = None,
) -> Evaluation:
    """Scores a file of predictions against a file of truths by every definition, frames paired by token.

    `grid` defaults to the one that the files were made for. A true frame without prediction counts as an empty map;
    raises ValueError for a prediction without truth, for two different grids, and if no file names a grid. With
    `align`, there are also scores against each frame's truth moved within these bounds (metrics/alignment.py).
    """
    predictions, about = load_frames(predictions_path)
    truths, about_truth = load_frames(truth_path)
    grid = _common_grid(grid, about, about_truth, predictions_path)
    by_token = {record.token: record for record in predictions}
    _check_contents(predictions_path, predictions, truth_path, truths, about_truth)
    stray = sorted(by_token.keys() - {record.token for record in truths})
    if stray:
        raise ValueError(f"{predictions_path} has {len(stray)} frames that {truth_path} has not, such as {stray[0]!r}")
    _check_rasters(predictions, grid, predictions_path)
    missing = [record.token for record in truths if record.token not in by_token]
    paired = [by_token.get(record.token, FrameRecord(record.token, [])) for record in truths]
    if missing:  # an empty vector map is right for AP, but says nothing about cells
        paired = [replace(record, semantic_png=None) for record in paired]
    rings = any(record.outlines is not None for record in truths)
    scorer = Scorer(grid, threshold_sets, bands_of(grid), align, rings)
    scores = map_frames(scorer.frame, paired, truths, processes, progress="score")
    result = {
        "predictions": about or str(predictions_path),
        "grid": grid.as_dict(),
        **scorer.summary(scores),
        "lines": scorer.lines(scores),
        "aligned": scorer.aligned(scores),
        "by_distance": scorer.by_distance(scores),
        "by_condition": scorer.by_condition(scores),
        "openlane_v2": scorer.area_ap(scores),
        "latency_ms": _latency(predictions),
        "notes": [*_notes(missing, truths, rings), *odd_places(predictions, grid)],
    }
    return Evaluation(result, scores, paired, truths, grid)


def _check_contents(
    predictions_path: Path, predictions: Sequence[FrameRecord], truth_path: Path, truths: Sequence[FrameRecord],
    about_truth: Mapping[str, Any],
) -> None:
    """Raises ValueError where nothing could be scored, or truth is none."""
    for path, records in ((predictions_path, predictions), (truth_path, truths)):
        if not records:
            raise ValueError(f"{path} holds no frame; there is nothing to score")
    if about_truth.get("kind") == "predictions":
        raise ValueError(f"{truth_path} holds predictions; expected the truth: were the two files exchanged?")
    if not any(record.known for record in truths):
        raise ValueError(f"{truth_path}: the truth of no class is known in any frame; there is nothing to score with")
    if not any(record.elements or record.outlines for record in truths):
        raise ValueError(f"{truth_path} holds no map element in {len(truths)} frames; there is nothing to score with")


def _check_rasters(predictions: Iterable[FrameRecord], grid: BevGrid, path: Path) -> None:
    for record in predictions:
        if record.semantic_png is None:
            continue
        try:
            size = jpeg_size(record.semantic_png)
        except ValueError as error:
            raise FileFault(f"{path}: semantic_png of frame {record.token}: {error}; predict again") from error
        if size != (grid.cols, grid.rows):
            raise FileFault(
                f"{path}: semantic_png of frame {record.token} has {size[0]}x{size[1]} cells, its grid {grid.cols}x"
                f"{grid.rows}; predict again"
            )


def _common_grid(
    grid: BevGrid | None, about: Mapping[str, Any], about_truth: Mapping[str, Any], path: Path
) -> BevGrid:
    named = [BevGrid.from_dict(a["grid"]) for a in (about, about_truth) if "grid" in a]
    if grid is None and not named:
        raise ValueError(f"{path} does not say for which grid it was made; give --range and --cell")
    found = grid or named[0]
    if any(other != found for other in named):
        raise ValueError(f"predictions, truth and options disagree on the grid: {found} and {named}")
    return found


def _latency(records: Iterable[FrameRecord]) -> dict[str, float]:
    """Median milliseconds of every stage, and of the whole, over the frames."""
    stages: dict[str, list[float]] = {}
    for record in records:
        for stage, value in record.stage_ms.items():
            stages.setdefault(stage, []).append(value)
        if record.stage_ms:
            stages.setdefault("total", []).append(sum(record.stage_ms.values()))
    return {stage: round(median(values), 3) for stage, values in stages.items()}


def _notes(missing: Sequence[str], truths: Sequence[FrameRecord], rings: bool) -> list[str]:
    notes = [
        "ap_hdmapnet and ap_pmapnet score crossings as their two long sides; ap_chamfer as "
        + ("closed rings." if rings else "they stand in the truth, here sides.")
    ]
    if missing:
        notes.append(f"{len(missing)} frames have no prediction and count as empty maps; IoU is left out.")
    unknown = sum(len(record.known) < len(CLASSES) for record in truths)
    if unknown:
        notes.append(f"In {unknown} frames the truth of some classes is unknown; those classes are not scored there.")
    return notes
