"""Write one self-contained HTML file about one trained model, or several side by side: scores, curves, latency, images.

examples:
  mapkd report runs/evaluate/student-val --weights student.json --run runs/student --out report.html
  mapkd report --run runs/student
  mapkd report runs/evaluate/nano-val runs/evaluate/base-val runs/evaluate/coach-val --out side_by_side.html

Every part is optional: folders of `mapkd evaluate` give the scores, latency and images; of several, the best of each
row is marked, and the same frames are drawn beside each other and the truth. `--weights` gives the card, `--run` (a
folder of `mapkd train` or `distill`) the curves and the validation images, and without card what its config says.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.files import keep_inputs, write_atomic
from mapkd_core.output_file import output_file


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("models", nargs="*", type=Path, metavar="DIR", help="output folders of mapkd evaluate")
    parser.add_argument("--weights", type=Path, metavar="CARD.json", help="artifact whose card is shown")
    parser.add_argument("--run", type=Path, metavar="DIR", help="folder of a training run, for its curves")
    parser.add_argument(
        "--evaluation", type=Path, action="append", default=[], metavar="DIR", help="one more of them"
    )
    parser.add_argument("--out", type=output_file, default="report.html", help="the file to write (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the report."""
    from mapkd_core.artifact import card_path
    from mapkd_core.evaluation.report import build_report

    evaluations = [*args.models, *args.evaluation]
    if not (args.weights or args.run or evaluations):
        raise ValueError("nothing to report; give a folder of `mapkd evaluate`, --weights or --run")
    results = [folder / name for folder in evaluations for name in ("result.json", "predictions.jsonl", "truth.jsonl")]
    runs = [args.run / "config.json"] if args.run else []
    cards = [card_path(args.weights), card_path(args.weights).with_suffix(".safetensors")] if args.weights else []
    keep_inputs([*results, *runs, *cards], [args.out])
    text = build_report(args.weights, args.run, evaluations)
    write_atomic(args.out, text)
    print(f"wrote {args.out} ({len(text) / 1e6:.1f} MB)")
    return 0
