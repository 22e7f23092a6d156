"""Elements with ids out of a map's evidence.

An id belongs to the samples of a line: a chain takes the id that most of its samples have, so that a line keeps its id
while it grows, and the longer part where it is cut.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along
from mapkd_core.mapping.chain_lines import chain_line
from mapkd_core.mapping.chains import linked
from mapkd_core.mapping.crossing_cells import CrossingCells
from mapkd_core.mapping.line_samples import LineSamples
from mapkd_core.mapping.options import STEP_M, MappingOptions
from mapkd_core.mapping.prior import Kept, PriorElements
from mapkd_core.mapping.sighting import LINE_LABELS
from mapkd_core.mapping.street_map import StreetElement
from mapkd_core.mapping.tiles import Bounds, tiles_of
from mapkd_core.types import CLASSES

SAME_CROSSING_M = 4.0
"""Centers of one crossing in two maps are no farther apart."""
LEAST_LEFT_M = 1.0
"""What is left of an element that was there before is kept from this length on."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """A line that has no id yet."""

    samples: NDArray[np.int64]
    label: str
    points_m: NDArray[np.float64]
    closed: bool
    score: float
    sightings: int
    attributes: Mapping[str, str]


class ElementMaker:
    """Makes elements, and remembers which id is whose."""

    def __init__(self, options: MappingOptions) -> None:
        self.options = options
        self.prior = PriorElements()
        self.next_id = 1
        self._crossings: dict[tuple[int, int], dict[int, NDArray[np.float64]]] = {}

    def elements(
        self, lines: LineSamples, crossings: CrossingCells, bounds_m: Bounds | None = None
    ) -> list[StreetElement]:
        """All elements, or those about a rectangle, lines cut to it. What was there before and stays comes first."""
        numbers = lines.all() if bounds_m is None else lines.near(bounds_m)
        if bounds_m is not None:
            xy = lines.xyz_m[numbers, :2]
            numbers = numbers[np.all((xy >= bounds_m[:2]) & (xy <= bounds_m[2:]), axis=1)]
        kept = self.prior.kept(lines, crossings, self.options, bounds_m)
        whole, cut = list(kept.whole), list[_Piece]()
        if bounds_m is not None:
            whole, cut = self._cut(lines, numbers, kept)
        found = [self.prior.elements[place] for place in whole]
        there = numbers[(lines.is_accepted(numbers, self.options) | kept.sample[numbers]) & ~kept.of_whole[numbers]]
        pieces = [
            piece for label in LINE_LABELS for piece in self._pieces(lines, there[lines.label[there] == label], kept)
        ]
        found += self._with_ids(lines, [*cut, *pieces], {element.id for element in found})
        return found + self._rings(crossings, bounds_m, kept)

    def _pieces(self, lines: LineSamples, numbers: NDArray[np.int64], kept: Kept) -> Iterator[_Piece]:
        """The lines of the samples of one class."""
        given = self.prior.links(lines, numbers, kept, self.options.join_m)
        for chain in linked(lines.xyz_m[numbers, :2], lines.along[numbers], self.options.join_m, given):
            if len(chain.samples) < 2:
                continue
            samples = numbers[chain.samples]
            closed = chain.closed and len(samples) > 6
            least = LEAST_LEFT_M if kept.sample[samples].any() else self.options.least_length_m
            if distances_along(lines.xyz_m[samples, :2])[-1] < least:
                continue
            seen = int(lines.seen[samples].max())
            score = float(np.clip(lines.share(samples).mean(), 0, 1)) * seen / (seen + 1)
            yield _Piece(
                samples, CLASSES[int(lines.label[samples[0]])], chain_line(lines, samples, closed, self.prior, kept),
                closed, score, seen, self.prior.attributes_of(lines, samples),
            )  # fmt: skip

    def _cut(self, lines: LineSamples, numbers: NDArray[np.int64], kept: Kept) -> tuple[list[int], list[_Piece]]:
        """Of what stays as it was, those elements that some samples are all of, and pieces of others."""
        whole, pieces = [place for place in kept.whole if not len(self.prior.samples[place])], []
        own = numbers[kept.of_whole[numbers]]
        own = own[np.lexsort((lines.step[own], lines.of[own]))]
        of, step = lines.of[own], lines.step[own]
        ends = np.flatnonzero((np.diff(of) != 0) | (np.diff(step) > self.options.join_m / STEP_M)) + 1
        for run in np.split(own, ends) if len(own) else ():
            place = int(lines.of[run[0]])
            first, last = int(lines.step[run[0]]), int(lines.step[run[-1]])
            element = self.prior.elements[place]
            if last - first == len(self.prior.samples[place]) - 1:
                whole.append(place)
            elif last > first:
                points = self.prior.part(place, first, last)
                pieces.append(
                    _Piece(run, element.label, points, False, element.score, element.sightings, element.attributes)
                )
        return whole, pieces

    def _with_ids(self, lines: LineSamples, pieces: Sequence[_Piece], taken: set[int]) -> list[StreetElement]:
        """The pieces as elements with ids that are not `taken`."""
        ids = self._ids([lines.line_id[piece.samples] for piece in pieces], taken)
        for piece, key in zip(pieces, ids, strict=True):
            lines.line_id[piece.samples] = key
        return [
            StreetElement(key, one.label, one.points_m, one.score, one.sightings, one.closed, one.attributes)
            for one, key in zip(pieces, ids, strict=True)
        ]

    def _ids(self, held: Sequence[NDArray[np.int64]], taken: set[int]) -> list[int]:
        """One id for each chain of the ids that its samples hold (0 for none)."""
        wishes = []
        for chain, ids in enumerate(held):
            wishes += [(count, chain, key) for key, count in Counter(ids[ids > 0].tolist()).items()]
        chosen: dict[int, int] = {}
        taken = set(taken)
        for _, chain, key in sorted(wishes, key=lambda wish: (-wish[0], wish[2], wish[1])):
            if chain not in chosen and key not in taken:
                chosen[chain] = key
                taken.add(key)
        for chain in range(len(held)):
            if chain not in chosen:
                chosen[chain] = self.new_id()
        return [chosen[chain] for chain in range(len(held))]

    def new_id(self) -> int:
        """An id that no element has had."""
        self.next_id += 1
        return self.next_id - 1

    def _rings(self, crossings: CrossingCells, bounds_m: Bounds | None, kept: Kept) -> list[StreetElement]:
        whole = [self.prior.elements[place] for place in kept.whole if place in self.prior.evidence]
        result = []
        taken = {element.id for element in whole}
        for ring in crossings.rings(self.options, bounds_m, [element.points_m for element in whole]):
            centre = ring.ring_m[:-1, :2].mean(0)
            if bounds_m is not None and not shapely.Polygon(ring.ring_m[:, :2]).intersects(shapely.box(*bounds_m)):
                continue
            about = self._crossings_about(centre)
            gaps = {key: float(np.linalg.norm(about[key] - centre)) for key in about if key not in taken}
            key = min(gaps, key=gaps.__getitem__, default=0)
            if not key or gaps[key] > SAME_CROSSING_M:
                key = self.new_id()
            taken.add(key)
            self.remember_crossing(key, centre)
            score = ring.score * ring.sightings / (ring.sightings + 1)
            attributes = self.prior.crossing_attributes(key)
            result.append(
                StreetElement(key, "ped_crossing", ring.ring_m, float(score), ring.sightings, True, attributes)
            )
        return result

    def remember_crossing(self, key: int, centre_m: NDArray[np.float64]) -> None:
        """Keeps where the crossing of an id lies."""
        for tile in tiles_of((*(centre_m - SAME_CROSSING_M), *(centre_m + SAME_CROSSING_M))):
            self._crossings.setdefault(tile, {}).pop(key, None)
        self._crossings[next(tiles_of((*centre_m, *centre_m)))][key] = centre_m

    def _crossings_about(self, centre_m: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
        """The crossings of the tiles in which one of the same id may lie."""
        around = tiles_of((*(centre_m - SAME_CROSSING_M), *(centre_m + SAME_CROSSING_M)))
        return {key: centre for tile in around for key, centre in self._crossings.get(tile, {}).items()}
