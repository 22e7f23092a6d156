"""Accuracy against time: scores students on a cache, times them from JPEGs to lines in one run, draws the front.

    python benchmarks/student_front.py --out benchmarks/results/front.md --image docs/images/front.png
    python benchmarks/student_front.py --weights runs/front/a.json runs/front/b.json --precisions fp32

By default the shipped students, with and without eight bits, on simdrive-v1's validation drives (`mapkd cache
simdrive-v1:val runs/simdrive/val`). Each is scored once (the evaluation stays in --scores) and timed in interleaved
rounds.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.artifact import SHIPPED, card_path, load_card
from mapkd_core.benchmark.latency_contenders import example_images, interleaved, student, warm_up
from mapkd_core.benchmark.machine import command_line, cores, describe, markdown_table, summary
from mapkd_core.evaluation.evaluate_cache import scored_once
from mapkd_core.files import write_atomic
from mapkd_core.predictor import MapPredictor
from mapkd_core.runtime import PRECISIONS, RuntimeOptions, wait_without_spinning


def scores(card: Path, precision: str, cache: Path, folder: Path, processes: int) -> tuple[float, float]:
    """Percent mIoU and `ap_chamfer` of an artifact on a cache, from the files in `folder` if it was scored before."""
    place = folder / f"{card.stem}-{precision}"
    weights = card if precision == "fp32" else MapPredictor.from_artifact(card, precision=precision)
    result = scored_once(weights, cache, place, card, processes)
    return 100 * result["iou"]["miou"], 100 * result["ap"]["ap_chamfer"]["0.5/1/1.5"]["mAP"]


def draw(points: list[tuple[str, str, float, float, float]], path: Path, title: str) -> None:
    """The front as an image: (student, precision, milliseconds, mIoU, `ap_chamfer`), time on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    kinds = zip(sorted({p[1] for p in points}), ("tab:blue", "tab:orange", "tab:green"), (-16, 7, 18), strict=False)
    for precision, colour, above in kinds:
        own = sorted((p for p in points if p[1] == precision), key=lambda p: p[2])
        ms = [p[2] for p in own]
        axes.plot(ms, [p[3] for p in own], "o-", color=colour, label=f"{precision}: mIoU, %")
        axes.plot(ms, [p[4] for p in own], "s--", color=colour, label=f"{precision}: ap_chamfer 0.5/1/1.5 m, %")
        for name, _, at, miou, _ in own:
            axes.annotate(
                f"{name} {precision}", (at, miou), xytext=(0, above), textcoords="offset points", ha="center",
                color=colour,
            )  # fmt: skip
    shown = [8, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400]
    low, high = min(p[2] for p in points) * 0.8, max(p[2] for p in points) * 1.25
    ticks = [t for t in shown if low <= t <= high]
    axes.set(xscale="log", xlabel="network, milliseconds a frame (median)", title=title, xlim=(low, high))
    axes.set_ylim(0, max(p[3] for p in points) * 1.3)
    axes.set_xticks(ticks, labels=[str(t) for t in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Scores, times, writes the table and the image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", default=list(SHIPPED), metavar="CARD", help="(all shipped)")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "int8"], choices=PRECISIONS)
    parser.add_argument("--cache", type=Path, default=Path("runs/simdrive/val"), help="data to score on")
    parser.add_argument("--scores", type=Path, default=Path("runs/front"), help="for evaluations (%(default)s)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=cores(), help="CPU threads of the networks (%(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="for scoring")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--image", type=Path, help="PNG to write")
    args = parser.parse_args()
    wait_without_spinning()
    wanted = [(card_path(name), precision) for name in args.weights for precision in args.precisions]
    reached = [scores(card, precision, args.cache, args.scores, args.processes) for card, precision in wanted]
    given = example_images(None)
    contenders = [
        student(
            card, card.stem, RuntimeOptions(device=args.device, precision=precision, threads=args.threads), given,
            lines=True, folder=args.scores,
        )
        for card, precision in wanted
    ]
    warm_up(contenders)
    times = interleaved(contenders, args.rounds)
    network = [summary([stages["network"] for stages in own]).median for own in times]
    whole = [summary([sum(stages.values()) for stages in own]).median for own in times]
    rows = [
        [c.name, c.precision, f"{c.parameters_m:.2f}", f"{c.gflop:.1f}", ms, total, miou, ap]
        for c, ms, total, (miou, ap) in zip(contenders, network, whole, reached, strict=True)
    ]
    heads = ("student", "precision", "parameters M", "GFLOP", "network ms", "JPEG to lines ms", "mIoU", "`ap_chamfer`")
    first = load_card(args.weights[0])
    size, cell = first.input_size, first.grid.cell_m
    what = f"six {size[0]}x{size[1]} images, {cell:g} m cells"
    text = "\n".join([
        "# Students: accuracy against time", "", describe(args.device, args.threads), "", f"`{command_line()}`", "",
        f"Medians of {args.rounds} interleaved rounds, batch 1, {what}; scored on {args.cache}.", "",
        markdown_table(heads, rows), "",
    ])
    print(text)
    if args.out:
        write_atomic(args.out, text)
    if args.image:
        draw(
            [(c.name, c.precision, ms, *both) for c, ms, both in zip(contenders, network, reached, strict=True)],
            args.image, what,
        )


if __name__ == "__main__":
    main()
