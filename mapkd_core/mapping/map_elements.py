"""Elements with ids out of a map's evidence.

An id belongs to the samples of a line: a chain takes the id that most of its samples have, so that a line keeps its id
while it grows, and the longer part where it is cut.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along
from mapkd_core.mapping.chains import linked
from mapkd_core.mapping.crossing_cells import CrossingCells, CrossingRing
from mapkd_core.mapping.line_samples import LineSamples
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.sighting import LINE_LABELS
from mapkd_core.mapping.street_map import StreetElement
from mapkd_core.mapping.tiles import TILE_M, Bounds, tiles_of
from mapkd_core.types import CLASSES

SIMPLE_M = 0.05
"""Vertices are left out where the line stays this near to them."""
SMOOTHING = 3
"""Rounds of a mean over three neighbors."""
SAME_CROSSING_M = 4.0
"""Centers of one crossing in two maps are no farther apart."""


class ElementMaker:
    """Makes elements, and remembers which id is whose."""

    def __init__(self, options: MappingOptions) -> None:
        self.options = options
        self.next_id = 1
        self._crossings: dict[tuple[int, int], dict[int, NDArray[np.float64]]] = {}

    def elements(
        self, lines: LineSamples, crossings: CrossingCells, bounds_m: Bounds | None = None
    ) -> list[StreetElement]:
        """All elements, or those about a rectangle, lines cut to it."""
        numbers = lines.all() if bounds_m is None else lines.near(bounds_m)
        if bounds_m is not None:
            xy = lines.xyz_m[numbers, :2]
            numbers = numbers[np.all((xy >= bounds_m[:2]) & (xy <= bounds_m[2:]), axis=1)]
        accepted = lines.accepted(numbers, self.options)
        found = []
        for label in LINE_LABELS:
            own = accepted[lines.label[accepted] == label]
            found += self._lines(lines, own, CLASSES[label])
        return found + self._rings(crossings.rings(self.options, bounds_m), bounds_m)

    def _lines(self, lines: LineSamples, numbers: NDArray[np.int64], label: str) -> list[StreetElement]:
        chains = []
        for chain in linked(lines.xyz_m[numbers, :2], lines.along[numbers], self.options.join_m):
            if len(chain.samples) < 2:
                continue
            samples = numbers[chain.samples]
            points = lines.xyz_m[samples]
            closed = chain.closed and len(points) > 6
            if distances_along(points[:, :2])[-1] >= self.options.least_length_m:
                chains.append((samples, _smooth(points, closed), closed))
        ids = self._ids([lines.line_id[samples] for samples, _, _ in chains])
        result = []
        for (samples, points, closed), key in zip(chains, ids, strict=True):
            lines.line_id[samples] = key
            seen = int(lines.seen[samples].max())
            score = float(np.clip(lines.share(samples).mean(), 0, 1)) * seen / (seen + 1)
            result.append(StreetElement(key, label, points, score, seen, closed))
        return result

    def _ids(self, held: Sequence[NDArray[np.int64]]) -> list[int]:
        """One id for each chain of the ids that its samples hold (0 for none)."""
        wishes = []
        for chain, ids in enumerate(held):
            wishes += [(count, chain, key) for key, count in Counter(ids[ids > 0].tolist()).items()]
        chosen: dict[int, int] = {}
        taken: set[int] = set()
        for _, chain, key in sorted(wishes, key=lambda wish: (-wish[0], wish[2], wish[1])):
            if chain not in chosen and key not in taken:
                chosen[chain] = key
                taken.add(key)
        for chain in range(len(held)):
            if chain not in chosen:
                chosen[chain] = self._new_id()
        return [chosen[chain] for chain in range(len(held))]

    def _new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _rings(self, rings: Sequence[CrossingRing], bounds_m: Bounds | None) -> list[StreetElement]:
        result = []
        free = self._crossings_near(bounds_m)
        for ring in rings:
            centre = ring.ring_m[:-1, :2].mean(0)
            if bounds_m is not None and not shapely.Polygon(ring.ring_m[:, :2]).intersects(shapely.box(*bounds_m)):
                continue
            gaps = {key: float(np.linalg.norm(known - centre)) for key, known in free.items()}
            key = min(gaps, key=gaps.__getitem__, default=0)
            if not key or gaps[key] > SAME_CROSSING_M:
                key = self._new_id()
            free.pop(key, None)
            self.remember_crossing(key, centre)
            score = ring.score * ring.sightings / (ring.sightings + 1)
            result.append(StreetElement(key, "ped_crossing", ring.ring_m, float(score), ring.sightings, True))
        return result

    def remember_crossing(self, key: int, centre_m: NDArray[np.float64]) -> None:
        """Keeps where the crossing of an id lies."""
        for tile in tiles_of((*(centre_m - SAME_CROSSING_M), *(centre_m + SAME_CROSSING_M))):
            self._crossings.setdefault(tile, {}).pop(key, None)
        self._crossings[next(tiles_of((*centre_m, *centre_m)))][key] = centre_m

    def _crossings_near(self, bounds_m: Bounds | None) -> dict[int, NDArray[np.float64]]:
        """The crossings of the tiles that a rectangle touches, and of those around it; all without one."""
        if bounds_m is None:
            return {key: centre for tile in self._crossings.values() for key, centre in tile.items()}
        x0, y0, x1, y1 = bounds_m
        around = tiles_of((x0 - 2 * TILE_M, y0 - 2 * TILE_M, x1 + 2 * TILE_M, y1 + 2 * TILE_M))
        return {key: centre for tile in around for key, centre in self._crossings.get(tile, {}).items()}


def _smooth(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """A chain without the samples' jitter, with fewer vertices."""
    line = np.array(points)
    for _ in range(SMOOTHING):
        if closed:
            line = (np.roll(line, 1, axis=0) + 2 * line + np.roll(line, -1, axis=0)) / 4
        else:
            line[1:-1] = (line[:-2] + 2 * line[1:-1] + line[2:]) / 4
    if closed:
        line = np.vstack([line, line[:1]])
    simple = shapely.get_coordinates(shapely.LineString(line).simplify(SIMPLE_M), include_z=True)
    return simple if len(simple) >= (4 if closed else 2) else line

