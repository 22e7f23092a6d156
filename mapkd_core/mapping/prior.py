"""Elements that were there before the drive: each stays as it is, vertex for vertex, where no other street is seen.

A line of another map (of which nobody counted sightings) counts as surveyed: it is kept where it is seen within
`SURVEYED_M` of its place. One that was built from sightings is averaged on, and kept where it was not seen again.
Source: ours.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along, points_at
from mapkd_core.mapping.crossing_cells import CrossingCells, evidence_of, is_accepted
from mapkd_core.mapping.line_samples import LineSamples
from mapkd_core.mapping.options import STEP_M, MappingOptions
from mapkd_core.mapping.street_map import StreetElement
from mapkd_core.mapping.tiles import Bounds

SURVEYED_M, BUILT_M = 0.3, 0.02
"""Samples of a line that have moved farther are no longer where the line of another map, or one of ours, was."""
LEAST_CROSSING_SHARE = 0.7
"""A crossing of another map stays where so much of its area is still in the map."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What a drive has left of the elements that were there before it."""

    whole: tuple[int, ...]
    """Places in `PriorElements.elements` of those that stay as they are."""
    sample: NDArray[np.bool_]
    """(N,) of all samples: whether it lies where its element was, so that the element's own vertices are taken."""
    of_whole: NDArray[np.bool_]
    """(N,) of all samples: whether its element stays as it is."""


@dataclass
class PriorElements:
    """The elements, and which evidence was made of each."""

    elements: list[StreetElement] = field(default_factory=list)
    samples: list[NDArray[np.int64]] = field(default_factory=list)
    """Numbers of each one's samples, in its order; none of a crossing, and of a line that is too short."""
    evidence: dict[int, float] = field(default_factory=dict)
    """Of each crossing that was made cells of: their evidence at first."""
    crossings: dict[int, int] = field(default_factory=dict)
    """Places of the same crossings by their ids."""
    _boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))

    def __len__(self) -> int:
        return len(self.elements)

    def add(self, element: StreetElement, samples: NDArray[np.int64] | None = None) -> None:
        """Takes an element, and the numbers of its samples."""
        self.elements.append(element)
        self.samples.append(np.zeros(0, np.int64) if samples is None else samples)

    def note_crossings(self, cells: CrossingCells, first: int = 0) -> None:
        """Notes the evidence of the crossings from the place `first` on, when all of them are in the cells."""
        for place, element in enumerate(self.elements[first:], first):
            if element.label == "ped_crossing" and element.closed:
                self.evidence[place] = evidence_of(cells.inside(element.points_m))
                self.crossings.setdefault(element.id, place)

    def kept(
        self, lines: LineSamples, cells: CrossingCells, options: MappingOptions, bounds_m: Bounds | None = None
    ) -> Kept:
        """What stays, of all elements or of those about a rectangle."""
        sample = np.zeros(lines.count, bool)
        of_whole = np.zeros(lines.count, bool)
        whole = []
        for place in self._about(bounds_m):
            element, numbers = self.elements[place], self.samples[place]
            if place in self.evidence:
                if self._crossing_stays(place, cells, options):
                    whole.append(place)
                continue
            left = self._left(place, lines)
            touched = ~left | lines.touched[numbers]
            stays = np.ones(len(numbers), bool) if not touched.any() else self._where_it_was(place, lines, options)
            sample[numbers[stays & left]] = True
            if not touched.any() or (stays.all() and not element.sightings):
                whole.append(place)
                of_whole[numbers[left]] = True
        return Kept(tuple(whole), sample, of_whole)

    def part(self, place: int, first: int, last: int) -> NDArray[np.float64]:
        """(N, 3) the vertices of a line from one of its samples to another, turned where that lies before it."""
        points, count = self.elements[place].points_m, len(self.samples[place])
        arcs = distances_along(points)
        begin, end = (arcs[-1] * k / (count - 1) for k in sorted((first, last)))
        inner = points[(arcs > begin) & (arcs < end)]
        ends = points_at(points, np.array([begin, end]))
        if min(first, last) == 0:
            ends[0] = points[0]
        if max(first, last) == count - 1:
            ends[1] = points[-1]
        found = np.concatenate([ends[:1], inner, ends[1:]])
        return found if first <= last else found[::-1]

    def links(self, lines: LineSamples, numbers: NDArray[np.int64], kept: Kept, most_m: float) -> NDArray[np.int64]:
        """(L, 2) places in `numbers` of samples that follow each other on the element of which they were made."""
        order = np.lexsort((lines.step[numbers], lines.of[numbers]))
        order = order[kept.sample[numbers[order]]]
        here, there = order[:-1], order[1:]
        a, b = numbers[here], numbers[there]
        near = (lines.of[a] == lines.of[b]) & (lines.step[b] - lines.step[a] <= max(most_m / STEP_M, 1))
        return np.column_stack([here[near], there[near]])

    def attributes_of(self, lines: LineSamples, numbers: NDArray[np.int64]) -> Mapping[str, str]:
        """Those of the element of which at least half of some samples were made; none where there is no such one."""
        of = lines.of[numbers]
        if not (of >= 0).any():
            return {}
        place, count = Counter(of[of >= 0].tolist()).most_common(1)[0]
        return self.elements[place].attributes if 2 * count >= len(of) else {}

    def crossing_attributes(self, key: int) -> Mapping[str, str]:
        """Those of the crossing with an id; none where there was no such one."""
        place = self.crossings.get(key)
        return {} if place is None else self.elements[place].attributes

    def _about(self, bounds_m: Bounds | None) -> Sequence[int]:
        if bounds_m is None:
            return range(len(self.elements))
        if len(self._boxes) != len(self.elements):
            self._boxes = np.array([(*e.points_m[:, :2].min(0), *e.points_m[:, :2].max(0)) for e in self.elements])
        x0, y0, x1, y1 = bounds_m
        (left, low, right, high) = self._boxes.T
        near: list[int] = np.flatnonzero((left <= x1) & (low <= y1) & (right >= x0) & (high >= y0)).tolist()
        return near

    def _left(self, place: int, lines: LineSamples) -> NDArray[np.bool_]:
        """Which of an element's samples are still there: a number may be another's by now."""
        numbers = self.samples[place]
        return np.asarray((lines.of[numbers] == place) & ~lines.gone[numbers])

    def _where_it_was(self, place: int, lines: LineSamples, options: MappingOptions) -> NDArray[np.bool_]:
        """Which of an element's samples nothing speaks against. Of another's line, what is shorter than a gap that
        would be closed says nothing."""
        numbers, surveyed = self.samples[place], not self.elements[place].sightings
        moved_m = np.linalg.norm(lines.xyz_m[numbers, :2] - lines.home_m[numbers], axis=1)
        shown = lines.is_accepted(numbers, options) & (moved_m <= (SURVEYED_M if surveyed else BUILT_M))
        stays = self._left(place, lines) & (~lines.touched[numbers] | shown)
        if surveyed:
            least = min(round(options.join_m / STEP_M), len(numbers))
            edges = np.flatnonzero(np.diff(np.concatenate([[True], stays, [True]]).astype(np.int8)))
            for begin, end in edges.reshape(-1, 2):
                if end - begin < least:
                    stays[begin:end] = True
        return stays

    def _crossing_stays(self, place: int, cells: CrossingCells, options: MappingOptions) -> bool:
        inside = cells.inside(self.elements[place].points_m)
        if evidence_of(inside) == self.evidence[place]:
            return True
        accepted = is_accepted(inside, options)
        return not self.elements[place].sightings and bool(accepted.mean() >= LEAST_CROSSING_SHARE)
