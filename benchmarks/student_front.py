"""Accuracy against time: scores students on a cache, times them from JPEGs to lines in one run, draws the front.

    mapkd export runs/small/student --out runs/front/nano.json        # and so on for every student
    python benchmarks/student_front.py --weights runs/front/nano.json runs/front/small.json runs/front/base.json \\
        --cache runs/simdrive/val --out benchmarks/results/front.md --picture docs/images/front.png

Each student is scored once (the evaluation lies beside its card) and timed in interleaved rounds, default backend.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.artifact import load_card
from mapkd_core.benchmark.latency_contenders import interleaved, pictures, student, warm_up
from mapkd_core.benchmark.machine import command_line, cores, describe, markdown_table, summary
from mapkd_core.evaluate_cache import scored_once
from mapkd_core.runtime import wait_without_spinning


def scores(card: Path, cache: Path, processes: int) -> tuple[float, float]:
    """Percent mIoU and `ap_chamfer` of an artifact on a cache, from the file beside it if it was scored before."""
    result = scored_once(card, cache, card.with_suffix(""), card, processes)
    return 100 * result["iou"]["miou"], 100 * result["ap"]["ap_chamfer"]["0.5/1/1.5"]["mAP"]


def draw(names: list[str], ms: list[float], miou: list[float], ap: list[float], path: Path, title: str) -> None:
    """The front as a picture: one line a score, students by name, milliseconds on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    order = sorted(range(len(ms)), key=ms.__getitem__)
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for values, label, marker in ((miou, "mIoU, %", "o"), (ap, "ap_chamfer 0.5/1/1.5 m, %", "s")):
        axes.plot([ms[k] for k in order], [values[k] for k in order], marker=marker, label=label)
    for k in order:
        axes.annotate(names[k], (ms[k], miou[k]), textcoords="offset points", xytext=(0, 7), ha="center")
    axes.set(xscale="log", xlabel="network, milliseconds a frame (median)", title=title, ylim=(0, max(miou) * 1.2))
    axes.set_xticks([round(t) for t in ms], labels=[f"{t:.0f}" for t in ms])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Scores, times, writes the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", type=Path, required=True, metavar="CARD", help="artifacts of students")
    parser.add_argument("--cache", type=Path, default=Path("runs/simdrive/val"), help="data to score on")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=cores(), help="CPU threads of the networks (%(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="for scoring")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--picture", type=Path, help="PNG to write")
    args = parser.parse_args()
    wait_without_spinning()
    reached = [scores(card, args.cache, args.processes) for card in args.weights]
    given = pictures(None)
    contenders = [
        student(card, card.stem, "auto", "fp32", args.device, args.threads, given, lines=True) for card in args.weights
    ]
    warm_up(contenders)
    times = interleaved(contenders, args.rounds)
    network = [summary([stages["network"] for stages in own]).median for own in times]
    whole = [summary([sum(stages.values()) for stages in own]).median for own in times]
    cards = [load_card(card) for card in args.weights]
    rows = [
        [c.name, f"{c.parameters_m:.2f}", f"{c.gflop:.1f}", ms, total, miou, ap]
        for c, ms, total, (miou, ap) in zip(contenders, network, whole, reached, strict=True)
    ]
    heads = ("student", "parameters M", "GFLOP", "network ms", "JPEG to lines ms", "mIoU", "`ap_chamfer`")
    size, cell = cards[0].input_size, cards[0].grid.cell_m
    what = f"six {size[0]}x{size[1]} pictures, {cell:g} m cells"
    text = "\n".join([
        "# Students: accuracy against time", "", describe(args.device, args.threads), "", f"`{command_line()}`", "",
        f"Medians of {args.rounds} interleaved rounds, batch 1, {what}; scored on {args.cache}.", "",
        markdown_table(heads, rows), "",
    ])
    print(text)
    if args.out:
        args.out.write_text(text)
    if args.picture:
        names, (miou, ap) = [c.name for c in contenders], zip(*reached, strict=True)
        draw(names, network, list(miou), list(ap), args.picture, what)


if __name__ == "__main__":
    main()
