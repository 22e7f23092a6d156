"""What wrong calibration, dead cameras, night, rain and own bodywork cost: mIoU and AP of students, row by row.

examples:
  mapkd benchmark robustness --weights nano --data simdrive-v1:val --out robustness.md
  mapkd benchmark robustness --weights runs/a.json nano --data simdrive-v1:test:16 --precision int8
  mapkd benchmark robustness --data cache:runs/simdrive/val --only pitch right

Each row changes one thing: the calibration that the network is given (the images stay), a camera whose images are
missing, or the frames: the same drives by night, on wet roads, with bodywork in view. `--data` are simulated drives,
which are rendered once for each kind of frame and kept in --work, or a cache (`mapkd cache`), which has the first two
kinds of rows only. Scores are kept in --work too: a run that was stopped goes on, and rows that are known cost nothing
when other weights are added.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.benchmark.machine import command_line, cores, describe, markdown_table
from mapkd_core.files import FolderLock, write_atomic
from mapkd_core.output_file import output_file
from mapkd_core.runtime import PRECISIONS, RuntimeOptions, wait_without_spinning
from mapkd_core.schema import FileFault, anything, mapping, read_json

if TYPE_CHECKING:
    from mapkd_core.benchmark.robustness_conditions import Condition
    from mapkd_core.benchmark.robustness_frames import ScoredFrames
    from mapkd_core.predictor import MapPredictor

SCORES = "scores.json"
Scores = dict[str, dict[str, float]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--weights", nargs="+", default=["nano"], metavar="CARD", help="students to compare (%(default)s)"
    )
    parser.add_argument(
        "--data", default="simdrive-v1:val", metavar="NAME",
        help="simdrive-v1:SPLIT[:DRIVES] or cache:DIR (%(default)s)",
    )
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS, help="of the students (%(default)s)")
    parser.add_argument("--threads", type=int, default=cores(), help="CPU threads of the networks (%(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N frames of each cache")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only rows in whose name one of these occurs")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/robustness"), metavar="DIR", help="caches and scores (%(default)s)"
    )
    parser.add_argument("--out", type=output_file, metavar="FILE", help="results file to write")


def run(args: argparse.Namespace) -> int:
    """Renders what is not rendered yet, scores what is not scored yet, prints the table."""
    from mapkd_core.benchmark.robustness_conditions import RIGHT, conditions

    if args.limit is not None and args.limit < 1:
        raise ValueError(f"--limit {args.limit}; expected at least 1")
    rows = [row for row in conditions() if not (row.frames and args.data.startswith("cache:"))]
    if args.only:
        rows = [row for row in rows if row is RIGHT or any(word in row.name for word in args.only)]
    wait_without_spinning()
    with FolderLock(args.work):
        columns = _columns(args, rows)
    text = report(args.data, args.precision, rows, columns)
    print(text)
    if args.out:
        write_atomic(args.out, text + "\n")
    return 0


def _columns(args: argparse.Namespace, rows: list[Condition]) -> dict[str, Scores]:
    """The scores of each student by the row's name, kept as they come."""
    from mapkd_core.benchmark.robustness_frames import load_frames, score
    from mapkd_core.evaluation.identity import vectorizer_version
    from mapkd_core.predictor import MapPredictor

    options = RuntimeOptions(device="cpu", precision=args.precision, threads=args.threads)
    students = {str(name): MapPredictor.from_artifact(name, options) for name in args.weights}
    known = _known(args.work / SCORES)
    columns: dict[str, Scores] = {name: {} for name in students}
    held: ScoredFrames | None = None
    at: tuple[object, ...] = ()
    for row in sorted(rows, key=lambda row: row.frames):
        for name, student in students.items():
            wanted = (row.frames, student.card.grid, student.card.input_size)
            if held is None or wanted != at:
                cache = _cache(args.data, row.frames, args.work)
                held, at = load_frames(cache, student.card.grid, student.card.input_size, args.limit), wanted
            key = " ".join([_identity(student), held.identity, f"{len(held.frames)}", vectorizer_version()])
            found = known.setdefault(key, {})
            if row.name not in found and row.possible(held.frames[0].names):
                found[row.name] = score(student, held, row)
                write_atomic(args.work / SCORES, json.dumps(known, indent=1) + "\n")
            if row.name in found:
                columns[name][row.name] = found[row.name]
    return columns


def _identity(student: MapPredictor) -> str:
    return f"{student.card.weights_sha256} {student.engine.replace(' ', '-')}"


def _known(path: Path) -> dict[str, Scores]:
    """Scores of earlier runs; a damaged file is as good as none."""
    with contextlib.suppress(FileFault, FileNotFoundError):
        values: dict[str, Scores] = read_json(path, "scores", mapping(mapping(anything)), "delete it")
        return values
    return {}


def _cache(data: str, words: str, work: Path) -> Path:
    """The cache of the frames, rendered now if it is not there."""
    from mapkd_core.data.cache_record import CacheOptions
    from mapkd_core.data.cache_write import INDEX, write_cache
    from mapkd_core.frame_sources import open_frames

    if data.startswith("cache:"):
        return Path(data.removeprefix("cache:"))
    if not data.startswith("simdrive-v1:"):
        raise ValueError(f"--data {data!r} is neither simdrive-v1:SPLIT[:DRIVES] nor cache:DIR")
    name = f"{data}:{words}" if words else data
    folder = work / re.sub(r"[^A-Za-z0-9.]+", "-", name)
    if not (folder / INDEX).is_file():
        source, missing = open_frames(name)
        for what in missing:
            print(f"left out: {what}")
        write_cache(source, folder, CacheOptions(), name=name)
    return folder


def report(data: str, precision: str, rows: list[Condition], columns: dict[str, Scores]) -> str:
    """The results file: one row a condition; differences are to the same student with the right calibration."""
    from mapkd_core.benchmark.robustness_conditions import RIGHT

    heads = ["condition"]
    for name in columns:
        heads += [f"{name} mIoU", "change", "`ap_chamfer`", "change"]
    table = []
    for row in rows:
        if not any(row.name in scores for scores in columns.values()):
            continue
        cells: list[object] = [row.name]
        for scores in columns.values():
            for kind in ("miou", "ap"):
                value, right = (scores.get(r.name, {}).get(kind) for r in (row, RIGHT))
                cells += ["-", "-"] if value is None or right is None else [value, f"{value - right:+.1f}"]
        table.append(cells)
    return "\n".join([
        "# Robustness", "", describe(), "", f"`{command_line()}`", "",
        f"Frames: {data}; {precision}. Percent; changes are to the same student under {RIGHT.name!r}. Pitch, roll, "
        "yaw and height are of the whole rig about `base_link`, and are errors of the calibration: the images stay.",
        "", markdown_table(heads, table),
    ])
