"""How well networks see real streets: against maps moved to where they agree best, against masks, beside simulation.

examples:
  mapkd benchmark streets --weights nano --weights base --data /data/nuscenes --masks masks --out streets.md
  mapkd benchmark streets --weights runs/student --data /data/nuscenes --masks masks --simulated cache:runs/simdrive/val

--weights are artifacts' cards, shipped names or folders of training runs. --masks is the folder to which `mapkd masks`
wrote those of the frames' images; frames without a road map count there, too. --simulated names simulated frames, on
which the same scores stand beside: there the truth is exact, so what the alignment gains there is what it gives away.
What the numbers mean: docs/explanation/metrics.md.
"""
from __future__ import annotations

import argparse
import functools
import json
import operator
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapkd_core.benchmark.machine import command_line, describe, markdown_table
from mapkd_core.files import write_atomic
from mapkd_core.metrics.alignment import AlignBounds
from mapkd_core.output_file import output_file

BOUNDS = "2.0,1.0,1.5"
_NAMES = {"divider": "divider", "ped_crossing": "crossing", "boundary": "boundary"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--weights", action="append", required=True, metavar="CARD", help="may be given several times")
    parser.add_argument("--data", required=True, metavar="NAME", help="real frames, such as a nuScenes folder")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="of `mapkd masks`; without, no table of images")
    parser.add_argument("--simulated", metavar="NAME", help="simulated frames to stand beside, such as cache:DIR")
    parser.add_argument("--limit", type=int, default=64, metavar="N", help="only the first N of those (default 64)")
    parser.add_argument("--align", default=BOUNDS, metavar="X,Y,YAW", help=f"as of `mapkd evaluate` (default {BOUNDS})")
    parser.add_argument("--processes", type=int, default=1, help="processes for scoring")
    parser.add_argument("--out", type=output_file, metavar="FILE.md", help="also write the tables here, and FILE.json")


def run(args: argparse.Namespace) -> int:
    """Scores every network and prints the tables."""
    bounds = AlignBounds.parse(args.align, "--align")
    scored: dict[str, dict[str, Any]] = {}
    for weights in args.weights:
        scored[weights] = {"real": _scored(weights, args.data, bounds, args.processes, None)}
        if args.masks is not None:
            scored[weights]["images"] = _against_masks(weights, args.data, args.masks)
        if args.simulated:
            scored[weights]["simulated"] = _scored(weights, args.simulated, bounds, args.processes, args.limit)
    text = "\n\n".join([f"    {command_line()}", describe(), *tables(scored)]) + "\n"
    print(text)
    if args.out is not None:
        write_atomic(args.out, text)
        write_atomic(args.out.with_suffix(".json"), json.dumps(scored, indent=1) + "\n")
    return 0


def _scored(weights: str, data: str, bounds: AlignBounds, processes: int, limit: int | None) -> dict[str, Any]:
    """The result of an evaluation, whose files are thrown away."""
    from mapkd_core.evaluation.batch_predictor import BatchPredictor
    from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH, predict_frames, score_frames
    from mapkd_core.evaluation.evaluate_cache import header_of, open_cache, predict_cache
    from mapkd_core.frame_sources import open_frames

    predictor = BatchPredictor(weights, "cpu")
    with tempfile.TemporaryDirectory() as place:
        folder, header = Path(place), header_of(predictor, data)
        if data.startswith("cache:"):
            predict_cache(open_cache(data[6:], predictor.card), predictor, folder, header, limit=limit)
        else:
            frames, _ = open_frames(data, image_size=predictor.card.input_size)
            predict_frames(frames, predictor, predictor.card.grid, folder, header, limit=limit)
        files = folder / PREDICTIONS, folder / TRUTH
        return score_frames(*files, processes=processes, align=bounds).result


def _against_masks(weights: str, data: str, masks: Path) -> dict[str, Any]:
    """Agreement with the masks of all frames together."""
    from mapkd_core.data.image_masks import image_key, read_mask
    from mapkd_core.evaluation.batch_predictor import BatchPredictor
    from mapkd_core.frame_sources import open_frames
    from mapkd_core.metrics.image_agreement import image_agreement
    from mapkd_core.metrics.seen_ground import seen_ground

    predictor = BatchPredictor(weights, "cpu")
    counts = []
    for frame in open_frames(data, image_size=predictor.card.input_size)[0]:
        stored = [view.image.jpeg() for view in frame.views]
        if None in stored:
            raise ValueError(f"frame {frame.token} of {data} holds images that are no JPEGs, so they have no masks")
        found = [read_mask(masks, image_key(image)) for image in stored if image is not None]
        counts.append(image_agreement(predictor.predict_frame(frame).elements, seen_ground(frame.views, found)))
    return functools.reduce(operator.add, counts).as_dict()


def tables(scored: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Markdown: within 15 m aligned and as the truth stands, by images, and where the truth was moved."""
    parts = ["## Length of lines within 15 m of the vehicle, recall / precision at 0.5, 1 and 1.5 m, percent"]
    rows = []
    for weights, kinds in scored.items():
        for kind in ("real", "simulated"):
            if kind in kinds:
                for truth, result in (("as it stands", kinds[kind]), ("aligned", kinds[kind]["aligned"])):
                    miou = _percent(result["iou_exact_lines"]["miou"])
                    rows.append([weights, kind, truth, *_lines(result), miou])
    parts.append(markdown_table(["weights", "frames", "truth", *_NAMES.values(), "mIoU, exact lines"], rows))
    images = {weights: kinds["images"] for weights, kinds in scored.items() if "images" in kinds}
    if images:
        parts += ["## Against masks of the real images, within 15 m, no map", _image_table(images)]
    moved = [
        [weights, token, *(f"{motion[key]:+.2f}" for key in ("x_m", "y_m", "yaw_deg"))]
        for weights, kinds in scored.items() for token, motion in kinds["real"]["aligned"]["motions"].items()
    ]  # fmt: skip
    heads = ["weights", "frame", "x m", "y m", "yaw degrees"]
    return [*parts, "## Where the real truth was moved", markdown_table(heads, moved)]


def _lines(result: Mapping[str, Any]) -> list[str]:
    """Recall / precision of each class in the nearest ring."""
    nearest: Mapping[str, Any] = next(iter(result["lines"].values()))
    return [" / ".join(_row(nearest[label][side]) for side in ("recall", "precision")) for label in _NAMES]


def _image_table(images: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            weights,
            *(f"{_row(a['recall'][label])} / {_row(a['precision'][label])}" for label in ("divider", "boundary")),
            *(f"{a['false_m_a_frame'][c]:.1f} of {a['predicted_m_a_frame'][c]:.1f}" for c in _NAMES),
            f"{a['crossings_a_frame']:.2f}",
        ]
        for weights, a in images.items()
    ]
    false = [f"{name} false m a frame" for name in _NAMES.values()]
    return markdown_table(["weights", "dividers on paint", "boundaries at the edge", *false, "crossings a frame"], rows)


def _row(shares: Mapping[str, float | None]) -> str:
    return " ".join(_percent(share, 0) for share in shares.values())


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}"

