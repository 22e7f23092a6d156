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
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapkd_core.files import write_atomic

if TYPE_CHECKING:
    from mapkd_core.benchmark.mapping_cases import Pose
    from mapkd_core.benchmark.mapping_drives import SeenSet
    from mapkd_core.benchmark.mapping_scores import FrameScores
    from mapkd_core.mapping.options import MappingOptions
    from mapkd_core.vector_map import VectorMap

_Way = tuple[str, Callable, "MappingOptions", Callable | None]
"""Name, poses of the first pass, options, poses of a second pass."""
SCORED_EVERY = 12
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
    parser.add_argument("--weights", default="nano", help="a card (NAME.json), or shipped: nano, small, base")
    parser.add_argument("--image", type=Path, metavar="FILE.png", help="draw the map of a drive beside its truth, only")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results there, too")


@dataclass
class _Case:
    """One row of the table."""

    name: str
    scores: FrameScores
    alignments: Counter[str] = field(default_factory=Counter)


def run(args: argparse.Namespace) -> int:
    """Predicts what is not there yet, builds the maps, prints the tables."""
    from mapkd_core.benchmark.machine import command_line, describe
    from mapkd_core.benchmark.mapping_drives import DriveRecipe, predicted_sets, sets_file
    from mapkd_core.predictor import MapPredictor
    from mapkd_core.progress import Progress, say

    predictor = MapPredictor.from_artifact(args.weights)
    recipes = [DriveRecipe(args.first_seed + k, args.rate) for k in range(args.drives)]
    if args.predicted_only:
        recipes = [r for r in recipes if sets_file(r, predictor.card, args.sets).is_file()]
    if not recipes:
        raise ValueError(f"there are no predictions in {args.sets}; leave --predicted-only out")
    drives: list[tuple[VectorMap, list[SeenSet]]] = []
    with Progress("predict", sum(recipe.frames for recipe in recipes), "set") as bar:
        for recipe in recipes:
            sets = []
            for one in predicted_sets(recipe, predictor, args.sets):
                sets.append(one)
                bar.update()
            drives.append((recipe.road_map, sets))
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
    text = "\n".join(lines) + "\n"
    say(text)
    if args.out:
        write_atomic(args.out, text)
    return 0


def _quality(drives: Sequence[tuple[VectorMap, list[SeenSet]]], harder: int) -> list[str]:
    """The street maps of all drives at their true poses, and those of some of them at worse poses."""
    from mapkd_core.benchmark import mapping_cases as cases
    from mapkd_core.mapping.options import MappingOptions

    on, off = MappingOptions(), MappingOptions(align=False)

    def true_poses(sets: Sequence[SeenSet], rng: np.random.Generator) -> list[Pose]:
        return [one.map_from_base for one in sets]

    true: _Way = ("street map, true poses", true_poses, on, None)
    worse: list[_Way] = [
        ("street map, odometry drifts by 1 %", cases.drifting, on, None),
        ("street map, jumps of 0.5 to 1.2 m every 80 m", cases.jumping, on, None),
        ("street map, the same jumps, no alignment", cases.jumping, off, None),
        ("two drives, the second 0.8 m off", true_poses, on, cases.shifted),
        ("two drives, the second 0.8 m off, no alignment", true_poses, off, cases.shifted),
    ]
    single, best = _scored(drives, [true])
    base, counts = single.scores.counts, best.scores.counts
    gain = counts.completeness / max(base.completeness, 1e-9)
    met = "met" if gain >= 1.5 and counts.precision > base.precision else "missed"
    lines = [
        "## Quality", "", f"All {len(drives)} drives, at their true poses:", "", _table([single, best]), "",
        f"Completeness {gain:.2f} times that of single maps, precision "
        f"{100 * (counts.precision - base.precision):+.1f} points: criterion {met}.", "",
    ]  # fmt: skip
    if harder:
        rows = _scored(drives[:harder], [true, *worse])
        lines += [f"The first {len(drives[:harder])} drives, at worse poses:", "", _table(rows), "",
                  "Sets by what alignment did:", ""]  # fmt: skip
        lines += [
            f"- {row.name}: " + ", ".join(f"{what} {count}" for what, count in row.alignments.most_common(4))
            for row in rows if row.alignments
        ]  # fmt: skip
    return lines


def _scored(drives: Sequence[tuple[VectorMap, list[SeenSet]]], ways: Sequence[_Way]) -> list[_Case]:
    """Single maps, and the street maps of each way to take the poses."""
    from mapkd_core.benchmark.mapping_scores import FrameScores, true_elements
    from mapkd_core.progress import each

    single = _Case("single maps", FrameScores())
    rows = [_Case(name, FrameScores()) for name, *_ in ways]
    for number, (road, sets) in enumerate(each(drives, "score", "drive")):
        scored = range(0, len(sets), SCORED_EVERY)
        truths = {k: true_elements(road, sets[k].map_from_base) for k in scored}
        for k in scored:
            single.scores.add(sets[k].elements, truths[k])
        for row, (_, way, options, again) in zip(rows, ways, strict=True):
            passes = [way(sets, np.random.default_rng([number, 1]))]
            if again is not None:
                passes.append(again(sets, np.random.default_rng([number, 2])))
            _score(row, sets, passes, options, truths)
    return [single, *rows]


def _table(cases: Sequence[_Case]) -> str:
    from mapkd_core.benchmark.machine import markdown_table

    classes = [f"{label} c/p %" for label in ("divider", "ped_crossing", "boundary")]
    return markdown_table(["", "completeness %", "precision %", "AP", *classes], map(_row, cases))


def _score(
    row: _Case, sets: Sequence[SeenSet], passes: Sequence[Sequence[Pose]], options: MappingOptions, truths: dict
) -> None:
    """Builds a map and scores it in the views of the first pass, at the poses that the builder had there."""
    from mapkd_core.benchmark.mapping_scores import in_view
    from mapkd_core.mapping.builder import MapBuilder

    builder = MapBuilder(options)
    placed: list[Pose] = []
    for number, poses in enumerate(passes):
        builder.begin_drive()
        for one, pose in zip(sets, poses, strict=True):
            corrected = builder.add(one.elements, pose, one.stamp_ns + number * 10**12)
            if number == 0:
                placed.append(corrected)
    elements = [element.map_element for element in builder.street_map().elements]
    for k, truth in truths.items():
        row.scores.add(in_view(elements, placed[k]), truth)
    row.alignments.update(builder.alignments)


def _row(case: _Case) -> list[object]:
    counts = case.scores.counts
    classes = [f"{100 * a:.1f} / {100 * b:.1f}" for a, b in counts.per_class().values()]
    return [case.name, 100 * counts.completeness, 100 * counts.precision, 100 * case.scores.ap, *classes]


def _cost(drives: Sequence[Sequence[SeenSet]]) -> list[str]:
    """Processor time of a set while the map grows to ten times the way, and memory."""
    from mapkd_core.benchmark.mapping_cases import repeated
    from mapkd_core.mapping.builder import MapBuilder

    sets = max(drives, key=len)
    longer = repeated(sets, TIMES_LONGER)
    builder, times, memory = MapBuilder(), [], []
    for one in longer:
        began = time.process_time()
        builder.add(one.elements, one.map_from_base, one.stamp_ns)
        times.append(1e3 * (time.process_time() - began))
        if len(times) % len(sets) == 0:
            memory.append(builder.memory_bytes / 1e6)
    parts = np.array(times).reshape(TIMES_LONGER, len(sets))
    first, last = float(np.median(parts[0])), float(np.median(parts[-1]))
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
    speed = 1e3 / RATE_HZ / float(np.mean(times))
    elements = sum(element.points_m.nbytes for element in whole.elements) / 1e6
    grown = "met" if last <= 1.1 * first else "missed"
    fast = "met" if speed >= 20 else "missed"
    return [
        "## Cost", "",
        f"The longest drive ({len(sets)} sets) ten times, each time in a street of its own; processor time.", "",
        f"- a set: median {first:.2f} ms in the first tenth of the way, {last:.2f} ms in the last, "
        f"{last / first:.2f} times: criterion {grown}; mean {np.mean(times):.2f} ms, 95th percentile "
        f"{np.percentile(times, 95):.2f} ms",
        f"- {speed:.0f} times faster than {RATE_HZ:g} sets a second: criterion {fast} (without predicting)",
        f"- the local map of 160 m x 160 m: median {np.median(local):.1f} ms; the whole map of {km:.1f} km: "
        f"{whole_ms:.0f} ms",
        f"- memory of the evidence: {memory[0]:.2f} MB after a tenth, {memory[-1]:.2f} MB after all, "
        f"{memory[-1] / km:.2f} MB a km; vertices of the map {1000 * elements / km:.0f} kB a km",
    ]  # fmt: skip
