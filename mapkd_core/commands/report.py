"""Write one self-contained HTML file about a trained model: card, scores, training curves, latency, images.

examples:
  mapkd report --weights student.json --run runs/student --evaluation runs/evaluate/student-val --out report.html
  mapkd report --run runs/student
  mapkd report --evaluation runs/evaluate/student-val --evaluation runs/evaluate/coach-val

Every part is optional: `--weights` gives the card, `--run` (a folder of `mapkd train` or `distill`) the curves and the
validation images, and without card what its config says; `--evaluation` (a folder of `mapkd evaluate`, may be given
several times to compare) the scores, latency and images.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.files import keep_inputs, write_atomic


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--weights", type=Path, metavar="CARD.json", help="artifact whose card is shown")
    parser.add_argument("--run", type=Path, metavar="DIR", help="folder of a training run, for its curves")
    parser.add_argument(
        "--evaluation", type=Path, action="append", default=[], metavar="DIR", help="output folder of mapkd evaluate"
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the file to write (default report.html)")


def run(args: argparse.Namespace) -> int:
    """Writes the report."""
    from mapkd_core.artifact import card_path
    from mapkd_core.evaluation.report import build_report

    if not (args.weights or args.run or args.evaluation):
        raise ValueError("nothing to report; give --weights, --run or --evaluation")
    results = [folder / "result.json" for folder in args.evaluation]
    runs = [args.run / "config.json"] if args.run else []
    cards = [card_path(args.weights), card_path(args.weights).with_suffix(".safetensors")] if args.weights else []
    keep_inputs([*results, *runs, *cards], [args.out])
    text = build_report(args.weights, args.run, args.evaluation)
    write_atomic(args.out, text)
    print(f"wrote {args.out} ({len(text) / 1e6:.1f} MB)")
    return 0
