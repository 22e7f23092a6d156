"""The rows of the tables of street maps: maps built at poses of some kind, scored view by view."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mapkd_core.benchmark.machine import markdown_table
from mapkd_core.benchmark.mapping_cases import Pose
from mapkd_core.benchmark.mapping_drives import SeenSet
from mapkd_core.benchmark.mapping_scores import FrameScores, LineCounts, in_map, in_view, true_elements
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.progress import each
from mapkd_core.types import MapElement
from mapkd_core.vector_map import VectorMap

Poses = Callable[[Sequence[SeenSet], np.random.Generator], list[Pose]]
Drives = Sequence[tuple[VectorMap, Sequence[SeenSet]]]
SCORED_EVERY = 12


@dataclass(frozen=True)
class Way:
    """How a map is built."""

    name: str
    poses: Poses
    options: MappingOptions = field(default_factory=MappingOptions)
    again: Poses | None = None
    """Poses of a second pass."""


@dataclass
class Row:
    """One row of a table."""

    name: str
    scores: FrameScores = field(default_factory=FrameScores)
    alignments: Counter[str] = field(default_factory=Counter)
    poses: list[tuple[Sequence[Pose], Sequence[Pose]]] = field(default_factory=list)
    """Of each drive: the poses as they were given, and as the builder corrected them."""


def true_poses(sets: Sequence[SeenSet], _: np.random.Generator) -> list[Pose]:
    """The poses that the vehicle had."""
    return [one.map_from_base for one in sets]


def scored(drives: Drives, ways: Sequence[Way]) -> list[Row]:
    """Single maps, and the street maps of each way to take the poses."""
    single, rows = Row("single maps"), [Row(way.name) for way in ways]
    for number, (road, sets) in enumerate(each(drives, "score", "drive")):
        truths = _truths(road, sets)
        for k, truth in truths.items():
            single.scores.add(sets[k].elements, truth)
        for row, way in zip(rows, ways, strict=True):
            passes = [way.poses(sets, np.random.default_rng([number, 1]))]
            if way.again is not None:
                passes.append(way.again(sets, np.random.default_rng([number, 2])))
            _score(row, sets, passes, way.options, truths)
    return [single, *rows]


def ceiling(drives: Drives) -> LineCounts:
    """The truth of the scored views, and how much of it any set of its drive shows within the tolerance.

    What no set shows, no way to fuse them can hold. `predicted` and `right` stay 0: all sets at once have no precision.
    """
    counts = LineCounts()
    for road, sets in drives:
        every = [in_map(element, one.map_from_base) for one in sets for element in one.elements]
        truths = [
            in_map(element, sets[k].map_from_base)
            for k, truth in _truths(road, sets).items() for element in truth
        ]  # fmt: skip
        counts.add_found(every, truths)
    return counts


def table(rows: Sequence[Row]) -> str:
    """Completeness, precision and AP, over all classes and of each."""
    classes = [f"{label} c/p %" for label in ("divider", "ped_crossing", "boundary")]
    return markdown_table(["", "completeness %", "precision %", "AP", *classes], map(_cells, rows))


def alignments(rows: Sequence[Row]) -> list[str]:
    """A line for each row in which sets were aligned."""
    return [
        f"- {row.name}: " + ", ".join(f"{what} {count}" for what, count in row.alignments.most_common(4))
        for row in rows if row.alignments
    ]  # fmt: skip


def _truths(road: VectorMap, sets: Sequence[SeenSet]) -> dict[int, list[MapElement]]:
    return {k: true_elements(road, sets[k].map_from_base) for k in range(0, len(sets), SCORED_EVERY)}


def _score(
    row: Row, sets: Sequence[SeenSet], passes: Sequence[Sequence[Pose]], options: MappingOptions,
    truths: Mapping[int, list[MapElement]],
) -> None:  # fmt: skip
    """Builds a map and scores it in the views of the first pass, at the poses that the builder had there."""
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
    row.poses.append((passes[0], placed))


def _cells(row: Row) -> list[object]:
    counts = row.scores.counts
    classes = [f"{100 * a:.1f} / {100 * b:.1f}" for a, b in counts.per_class().values()]
    return [row.name, 100 * counts.completeness, 100 * counts.precision, 100 * row.scores.ap, *classes]
