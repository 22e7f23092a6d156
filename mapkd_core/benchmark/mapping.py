"""How good street maps of simulated drives are beside the single maps that they are made of, and what a set costs.

examples:
  mapkd benchmark mapping --drives 2
  mapkd benchmark mapping --drives 1 --first-seed 400002 --image docs/images/street.png
  mapkd benchmark mapping --drives 20 --sets .cache/mapping --out benchmarks/results/mapping_DATE.md

Drives of 400 m on procedural maps of simdrive-v1's test split, with its weather; the network's predictions on rendered
images, four sets a second, are kept in `--sets` and found again. The truth is the simulated map. Every twelfth set is
scored in its view of 60 x 30 m: the single map, and the street map after the drive, cut to the same view at the pose
that the map was built with. Completeness and precision at 0.5 m are over all drives and classes, AP is MapTR's
(`ap_chamfer_corrected`, 0.5/1/1.5 m).

Criteria, set before the runs: the street map has at least 1.5 times the completeness of single maps at a higher
precision; a set costs at most 1.1 times as much after ten times the way; at least 20 times faster than 12 sets a
second.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapkd_core.files import write_atomic
from mapkd_core.output_file import output_file
from mapkd_core.progress import say

if TYPE_CHECKING:
    from mapkd_core.benchmark.mapping_drives import DriveRecipe, SeenSet
    from mapkd_core.benchmark.mapping_rows import Drives
    from mapkd_core.predictor import MapPredictor
    from mapkd_core.vector_map import VectorMap

RATE_HZ = 12.0
TIMES_LONGER = 10
PACKAGES = ("numpy", "scipy", "shapely", "torch")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--drives", type=int, default=20, metavar="N", help="drives of 400 m (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=400_000, help="of the drives (%(default)s: the test split)")
    parser.add_argument("--rate", type=float, default=4.0, metavar="HZ", help="sets a second (%(default)s)")
    parser.add_argument("--sets", type=Path, default=Path(".cache/mapping"), help="folder of predictions (%(default)s)")
    parser.add_argument("--predicted-only", action="store_true", help="only drives whose predictions are in --sets")
    parser.add_argument(
        "--harder", type=int, default=6, metavar="N", help="drives that are mapped at worse poses, too (%(default)s)"
    )
    parser.add_argument(
        "--loops", type=int, default=4, metavar="N", help="of the drives' maps, drives round a block (%(default)s)"
    )
    parser.add_argument(
        "--true-loops", type=int, metavar="N",
        help="only how far so many loops are closed, with the truth, made worse, in place of predictions",
    )
    parser.add_argument("--weights", default="nano", help="a card (NAME.json), or a shipped name such as base")
    parser.add_argument("--image", type=output_file, metavar="FILE.png", help="draw a drive beside its truth, only")
    parser.add_argument("--out", type=output_file, metavar="FILE", help="write the results there, too")


def run(args: argparse.Namespace) -> int:
    """Predicts what is not there yet, builds the maps, prints the tables."""
    from mapkd_core.benchmark.machine import command_line, describe
    from mapkd_core.benchmark.mapping_drives import DriveRecipe, sets_file
    from mapkd_core.benchmark.mapping_loops import LoopRecipe, gap_report, loop_report
    from mapkd_core.predictor import MapPredictor

    loops = (LoopRecipe(seed, args.rate) for seed in range(args.first_seed, args.first_seed + args.drives))
    if args.true_loops:
        _tell(gap_report(list(islice((recipe for recipe in loops if recipe.lanes), args.true_loops))), args.out)
        return 0
    predictor = MapPredictor.from_artifact(args.weights)
    recipes: list[DriveRecipe] = [DriveRecipe(args.first_seed + k, args.rate) for k in range(args.drives)]
    around: list[DriveRecipe] = []
    if args.loops:
        around = list(islice((recipe for recipe in loops if recipe.lanes), args.loops))
    if args.predicted_only:
        recipes, around = (
            [recipe for recipe in some if sets_file(recipe, predictor.card, args.sets).is_file()]
            for some in (recipes, around)
        )
    if not recipes:
        raise ValueError(f"there are no predictions in {args.sets}; leave --predicted-only out")
    drives = _seen(recipes, predictor, args.sets)
    if args.image:
        from mapkd_core.benchmark.mapping_image import street_beside_truth
        from mapkd_core.draw import write_png

        write_png(args.image, street_beside_truth(*drives[0]))
        say(f"{args.image}: the drive of seed {recipes[0].seed}")
        return 0
    lines = [
        "# Street maps of simulated drives", "",
        describe(packages=PACKAGES) + ".", "", f"    {command_line()}", "", (__doc__ or "").split("\n\n", 2)[2].strip(),
        "", f"{len(drives)} drives, {sum(len(sets) for _, sets in drives)} sets of `{predictor.card.name}` "
        f"{predictor.card.version} ({predictor.engine}), {args.rate:g} a second.", "",
        *_quality(drives, args.harder), "", *_cost([sets for _, sets in drives]),
    ]  # fmt: skip
    if around:
        lines += ["", *loop_report(_seen(around, predictor, args.sets))]
    _tell("\n".join(lines) + "\n", args.out)
    return 0


def _tell(text: str, file: Path | None) -> None:
    """Prints results, and writes them to a file if one is named."""
    say(text)
    if file:
        write_atomic(file, text)


def _seen(
    recipes: Sequence[DriveRecipe], predictor: MapPredictor, folder: Path
) -> list[tuple[VectorMap, list[SeenSet]]]:
    """The maps and the predicted sets of drives."""
    from mapkd_core.benchmark.mapping_drives import predicted_sets
    from mapkd_core.progress import Progress

    drives: list[tuple[VectorMap, list[SeenSet]]] = []
    with Progress("predict", sum(recipe.frames for recipe in recipes), "set") as bar:
        for recipe in recipes:
            sets = []
            for one in predicted_sets(recipe, predictor, folder):
                sets.append(one)
                bar.update()
            drives.append((recipe.road_map, sets))
    return drives


def _quality(drives: Drives, harder: int) -> list[str]:
    """The street maps of all drives at their true poses, and those of some of them at worse poses."""
    from mapkd_core.benchmark import mapping_cases as cases
    from mapkd_core.benchmark.mapping_rows import Way, alignments, ceiling, scored, table, true_poses
    from mapkd_core.mapping.options import MappingOptions

    off = MappingOptions(align=False)
    true = Way("street map, true poses", true_poses)
    worse = [
        Way("street map, odometry drifts by 1 %", cases.drifting),
        Way("street map, jumps of 0.5 to 1.2 m every 80 m", cases.jumping),
        Way("street map, the same jumps, no alignment", cases.jumping, off),
        Way("two drives, the second 0.8 m off", true_poses, again=cases.shifted),
        Way("two drives, the second 0.8 m off, no alignment", true_poses, off, cases.shifted),
    ]
    single, best = scored(drives, [true])
    base, counts, top = single.scores.counts, best.scores.counts, ceiling(drives)
    gain = counts.completeness / max(base.completeness, 1e-9)
    met = "met" if gain >= 1.5 and counts.precision > base.precision else "missed"
    of_classes = ", ".join(f"{label} {100 * share:.1f}" for label, (share, _) in top.per_class().items())
    lines = [
        "## Quality", "", f"All {len(drives)} drives, at their true poses:", "", table([single, best]), "",
        f"Completeness {gain:.2f} times that of single maps, precision "
        f"{100 * (counts.precision - base.precision):+.1f} points: criterion {met}.", "",
        f"Ceiling: {100 * top.completeness:.1f} % of the truth ({of_classes}) lies within 0.5 m of what any set of "
        f"its drive shows, {top.completeness / max(base.completeness, 1e-9):.2f} times the completeness of single "
        "maps.", "",
    ]  # fmt: skip
    if harder:
        rows = scored(drives[:harder], [true, *worse])
        lines += [f"The first {len(drives[:harder])} drives, at worse poses:", "", table(rows), "",
                  "Sets by what alignment did:", "", *alignments(rows)]  # fmt: skip
    return lines


def _cost(drives: Sequence[Sequence[SeenSet]]) -> list[str]:
    """Processor time of a set in a map that has grown to ten times the way, and in one that has not; and memory.

    The sets of the last tenth are added to a new map too, in turn with the grown one, so that a machine which is slower
    in one hour than in another is so for both.
    """
    from mapkd_core.benchmark.mapping_cases import repeated
    from mapkd_core.mapping.builder import MapBuilder

    sets = max(drives, key=len)
    longer = repeated(sets, TIMES_LONGER)
    builder, new = MapBuilder(), MapBuilder()
    times: dict[MapBuilder, list[float]] = {builder: [], new: []}
    memory = []
    for place, one in enumerate(longer):
        grown_and_new = [builder] if place < len(longer) - len(sets) else [builder, new][:: 1 - 2 * (place % 2)]
        for each in grown_and_new:
            began = time.process_time()
            each.add(one.elements, one.map_from_base, one.stamp_ns)
            times[each].append(1e3 * (time.process_time() - began))
        if (place + 1) % len(sets) == 0:
            memory.append(builder.memory_bytes / 1e6)
    first, last = float(np.median(times[new])), float(np.median(times[builder][-len(sets) :]))
    every = times[builder]
    local = []
    for one in longer[-50:]:
        x, y = one.map_from_base[:2, 3]
        began = time.process_time()
        builder.local_map((x - 80, y - 80, x + 80, y + 80))
        local.append(1e3 * (time.process_time() - began))
    began = time.process_time()
    whole = builder.street_map()
    whole_ms = 1e3 * (time.process_time() - began)
    km = builder.driven_m / 1000
    speed = 1e3 / RATE_HZ / float(np.mean(every))
    elements = sum(element.points_m.nbytes for element in whole.elements) / 1e6
    grown = "met" if last <= 1.1 * first else "missed"
    fast = "met" if speed >= 20 else "missed"
    return [
        "## Cost", "",
        f"The longest drive ({len(sets)} sets) ten times, each time in a street of its own; processor time.", "",
        f"- a set: median {last:.2f} ms in the last tenth of the way, {first:.2f} ms in a new map in turn with it, "
        f"{last / first:.2f} times: criterion {grown}; mean of all {np.mean(every):.2f} ms, 95th percentile "
        f"{np.percentile(every, 95):.2f} ms",
        f"- {speed:.0f} times faster than {RATE_HZ:g} sets a second: criterion {fast} (without predicting)",
        f"- the local map of 160 m x 160 m: median {np.median(local):.1f} ms; the whole map of {km:.1f} km: "
        f"{whole_ms:.0f} ms",
        f"- memory of the evidence: {memory[0]:.2f} MB after a tenth, {memory[-1]:.2f} MB after all, "
        f"{memory[-1] / km:.2f} MB a km; vertices of the map {1000 * elements / km:.0f} kB a km",
    ]  # fmt: skip
