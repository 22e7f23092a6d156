"""Score a trained network, or a file of predictions: IoU, three definitions of AP, breakdowns, images.

examples:
  mapkd evaluate --weights student.json --data simdrive-v1:val:small
  mapkd evaluate --weights student.json --data /data/nuscenes --split val --out runs/student/val
  mapkd evaluate --weights runs/teacher --data cache:caches/val
  mapkd evaluate --weights runs/teacher --data cache:/nfs/val --engine ray://head:10001 --unit-gpus 1
  mapkd evaluate --weights base --data /data/nuscenes --align 2.0,1.0,1.5
  mapkd evaluate --predictions submission.json --truth truth.json --range 60x30 --cell 0.15
  mapkd evaluate --predictions runs/student/val/predictions.jsonl --truth runs/student/val/truth.jsonl

`--weights` is an artifact's card or the folder of a training run (its best.pt). A cache, written by `mapkd cache`, is
the fast way to score a network that was trained on one; its images are those of training, and no latency is told.

The first three run the network and write predictions.jsonl and truth.jsonl to the output folder, continuing where an
earlier run stopped; then, as the others, they score the files. The output folder gets result.json, result.md,
images.html and submission.json (HDMapNet's format). Other weights or data for the same folder need --overwrite.
What the numbers mean: docs/explanation/metrics.md.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.commands.options import CARD_OR_SHIPPED, add_runtime_options, chosen_runtime, whole_number
from mapkd_core.engine import open_engine
from mapkd_core.engine.arguments import add_engine_options, chosen_engine
from mapkd_core.files import FolderLock, keep_inputs, write_atomic
from mapkd_core.runtime import wait_without_spinning
from mapkd_core.suggestion import RenamedOption

if TYPE_CHECKING:
    from mapkd_core.evaluation.evaluate import Evaluation
    from mapkd_core.frame_sources import Frames
    from mapkd_core.grid import BevGrid
    from mapkd_core.metrics.alignment import AlignBounds
    from mapkd_core.predictor import MapPredictor
    from mapkd_core.runtime.options import RuntimeOptions


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--weights", metavar="CARD", help=f"folder of a run, {CARD_OR_SHIPPED}")
    parser.add_argument(
        "--data", metavar="NAME", help="simdrive-v1:SPLIT[:small|full][:DRIVES], a nuScenes folder, or cache:DIR"
    )
    parser.add_argument("--split", help="split of a nuScenes folder: val, mini_val, ...; all scenes by default")
    parser.add_argument("--limit", type=whole_number(1), metavar="N", help="only the first N frames")
    add_runtime_options(parser)
    add_engine_options(parser, "frames to be predicted")
    parser.add_argument("--predictions", type=Path, help="predictions.jsonl, or a submission .json, to score as it is")
    parser.add_argument("--truth", type=Path, help="truth.jsonl, or a submission .json made from labels")
    parser.add_argument("--range", metavar="XxY", help="metres of a submission's grid, such as 60x30")
    parser.add_argument("--cell", type=float, help="cell of a submission's grid in metres, such as 0.15")
    parser.add_argument(
        "--thresholds", action="append", metavar="A,B,C",
        help="distances in metres; may be given several times (default 0.2,0.5,1 and 0.5,1,1.5)",
    )
    parser.add_argument(
        "--align", metavar="X,Y,YAW",
        help="also score against each frame's truth moved by at most X m, Y m and YAW degrees, such as 2,1,1.5",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (default runs/evaluate/NAME)")
    parser.add_argument("--overwrite", action="store_true", help="throw away what the folder holds")
    parser.add_argument("--processes", type=whole_number(1), help="processes for scoring (all cores)")
    parser.add_argument(
        "--images", type=whole_number(0), default=3, metavar="N", help="images of each group; 0 for none"
    )
    parser.add_argument("--pictures", type=whole_number(0), dest="images", action=RenamedOption)


def run(args: argparse.Namespace) -> int:
    """Predicts if asked to, scores, writes the results and prints the table."""
    from mapkd_core.benchmark.machine import cores
    from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH, score_frames
    from mapkd_core.metrics.tables import lines_table, main_table

    source: Frames | None = None
    stale: list[Path] = []
    grid, thresholds, align = _grid(args), _threshold_sets(args), _align(args)
    with contextlib.ExitStack() as held:  # the folder's lock, until the results are written
        if args.data and not args.predictions and not args.truth:
            out, source = _predict(args, held)
            predictions, truth = out / PREDICTIONS, out / TRUTH
        elif args.predictions and args.truth and not args.data and not args.weights:
            predictions, truth = args.predictions, args.truth
            out = args.out or Path("runs/evaluate") / predictions.stem
            held.enter_context(FolderLock(out))
            stale = _others(out, (predictions, truth), args.overwrite)
        else:
            raise ValueError("give either --data (with --weights), or --predictions and --truth")
        evaluation = score_frames(predictions, truth, grid, thresholds, args.processes or cores(), align)
        for path in stale:
            path.unlink(missing_ok=True)
        _write(evaluation, out, args, source)
    print(main_table(evaluation.result))
    print("\n" + lines_table(evaluation.result))
    for note in evaluation.result["notes"][1:]:
        print(note)
    print(f"\n{evaluation.result['frames']} frames; see {out}/result.md")
    return 0


def _predict(args: argparse.Namespace, held: contextlib.ExitStack) -> tuple[Path, Frames]:
    """Loop 1: the network over the data; returns the folder, whose lock is handed to `held`, and the frames."""
    from mapkd_core.evaluation.evaluate import predict_frames
    from mapkd_core.evaluation.evaluate_cache import CachedFrames, header_of, open_cache, predict_cache
    from mapkd_core.evaluation.identity import cache_fingerprint, frames_fingerprint
    from mapkd_core.evaluation.result_file import forget_results
    from mapkd_core.frame_sources import open_frames

    chosen = chosen_engine(args, 0)
    cache = args.data.removeprefix("cache:") if args.data.startswith("cache:") else None
    predictor, lidar, make = _predictor(args, batches=cache is not None)
    card = predictor.card
    out = args.out or Path("runs/evaluate") / f"{card.name}-{re.sub(r'[^A-Za-z0-9.]+', '-', args.data).strip('-')}"
    if cache is not None:
        cached = open_cache(cache, card)
        header = header_of(predictor, args.data, cache_fingerprint(cached))
        held.enter_context(FolderLock(out))
        if args.overwrite:
            forget_results(out, True)
        engine = held.enter_context(open_engine(chosen))
        predict_cache(cached, predictor, out, header, args.overwrite, args.limit, engine, make)
        return out, CachedFrames(cached)
    source, missing = open_frames(args.data, args.split, card.input_size, lidar, predictor.device)
    for note in missing:
        print(f"left out: {note}")
    header = header_of(predictor, args.data, frames_fingerprint(source))
    header = {**header, "split": args.split, "missing_data": missing}
    held.enter_context(FolderLock(out))
    if args.overwrite:
        forget_results(out, True)
    engine = held.enter_context(open_engine(chosen))
    predict_frames(source, predictor, card.grid, out, header, args.overwrite, args.limit, engine, make)
    return out, source


def _predictor(args: argparse.Namespace, batches: bool) -> tuple[Any, bool, Callable[[], Any]]:
    """What runs the network (as on the vehicle where that can be), whether it needs LiDAR, and how to load another."""
    wait_without_spinning()
    from mapkd_core.artifact import load_card
    from mapkd_core.evaluation.batch_predictor import BatchPredictor
    from mapkd_core.predictor import DEFAULT_WEIGHTS

    weights = Path(args.weights) if args.weights else DEFAULT_WEIGHTS
    chosen = (args.backend, args.precision) != ("auto", "fp32")
    model = "" if weights.is_dir() else load_card(weights).model
    if (model == "student" and (chosen or not batches)) or (model == "vector_student" and chosen):
        make = partial(_exported, weights, chosen_runtime(args))
        return make(), False, make
    if chosen:
        raise ValueError(
            f"--backend {args.backend} --precision {args.precision} are for an exported student; leave them out here"
        )
    of_training = partial(BatchPredictor, weights, args.device)
    predictor = of_training()
    return predictor, predictor.options.lidar, of_training


def _exported(weights: Path, runtime: RuntimeOptions) -> MapPredictor:
    """A predictor that gives every element, however low its score: AP counts all."""
    from mapkd_core.predictor import MapPredictor

    predictor = MapPredictor.from_artifact(weights, runtime)
    predictor.least_score = 0.0
    return predictor


def _others(out: Path, files: tuple[Path, ...], overwrite: bool) -> list[Path]:
    """Predictions and truth in `out` that the results of `files` would belie; FileExistsError unless `overwrite`."""
    from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH
    from mapkd_core.evaluation.result_file import RESULTS, SUBMISSION

    keep_inputs(files, [out / name for name in RESULTS])
    given = {path.resolve() for path in files}
    foreign = [path for path in (out / PREDICTIONS, out / TRUTH) if path.exists() and path.resolve() not in given]
    if foreign and not overwrite:
        raise FileExistsError(
            f"{out} holds {foreign[0].name} of another evaluation, which these results would belie; choose another "
            "--out, or give --overwrite"
        )
    return [*foreign, out / SUBMISSION] if foreign else []


def _write(evaluation: Evaluation, out: Path, args: argparse.Namespace, source: Frames | None) -> None:
    from mapkd_core.evaluation.images import draw_examples, examples, find_frames, write_page
    from mapkd_core.evaluation.result_file import SUBMISSION, forget_results
    from mapkd_core.metrics.submission import write_submission
    from mapkd_core.metrics.tables import markdown

    forget_results(out, source is not None)
    title = _title(evaluation.result["predictions"])
    ranked = examples(evaluation, max(args.images, 1))
    if source is not None:
        evaluation.result["machine"] = _machine(args.device)
    evaluation.result["examples"] = {g: [evaluation.truths[i].token for i in chosen] for g, chosen in ranked.items()}
    write_atomic(out / "result.json", json.dumps(evaluation.result, indent=1) + "\n")
    write_atomic(out / "result.md", markdown(evaluation.result, title))
    if source is not None:
        write_submission(out / SUBMISSION, {r.token: r.elements for r in evaluation.predictions})
    if args.images > 0:
        tokens = {token for chosen in evaluation.result["examples"].values() for token in chosen}
        frames = find_frames(source, tokens) if source is not None else {}
        images = draw_examples(evaluation, out / "images", frames, args.images)
        write_page(out / "images.html", title, images)


def _machine(device: str) -> str:
    """What ran the network, so that the latencies mean something."""
    import platform

    import torch

    from mapkd_core.runtime import pick_device

    where = f"{platform.machine()}, {torch.get_num_threads()} threads"
    if pick_device(device) == "cuda":
        where = torch.cuda.get_device_name()
    return f"{where}, torch {torch.__version__}"


def _title(about: Any) -> str:
    if not isinstance(about, dict):
        return str(about)
    artifact = about["artifact"]
    return f"{artifact['name']} {artifact['version']} on {about['data']}"


def _grid(args: argparse.Namespace) -> BevGrid | None:
    from mapkd_core.grid import BevGrid

    if args.range is None and args.cell is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", args.range or "")
    if found is None or args.cell is None:
        raise ValueError(f"--range {args.range} --cell {args.cell} is no grid; expected like --range 60x30 --cell 0.15")
    x, y = float(found[1]) / 2, float(found[2]) / 2
    return BevGrid((-x, x), (-y, y), args.cell)


def _align(args: argparse.Namespace) -> AlignBounds | None:
    from mapkd_core.metrics.alignment import AlignBounds

    return None if args.align is None else AlignBounds.parse(args.align, "--align")


def _threshold_sets(args: argparse.Namespace) -> tuple[tuple[float, ...], ...]:
    from mapkd_core.metrics.scoring import THRESHOLD_SETS

    if not args.thresholds:
        return THRESHOLD_SETS
    try:
        sets = tuple(tuple(float(t) for t in text.split(",")) for text in args.thresholds)
    except ValueError as error:
        raise ValueError(f"--thresholds {args.thresholds}: {error}; expected such as 0.5,1,1.5") from error
    if not all(0 < t < math.inf for chosen in sets for t in chosen):
        raise ValueError(f"--thresholds {args.thresholds}: distances must be above 0, and finite")
    return sets
