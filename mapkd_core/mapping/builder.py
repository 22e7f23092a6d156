"""Builds a street map while driving: sets of map elements and the vehicle's poses in, one map out.

    builder = MapBuilder()
    for elements, map_from_base, stamp_ns in sets:
        builder.add(elements, map_from_base, stamp_ns)
    builder.street_map().write("drive.streetmap")
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.polylines import Range
from mapkd_core.geometry import yaw_of
from mapkd_core.mapping.alignment import LEAST_PAIRS, Alignment, Lines, about, aligned, fitted
from mapkd_core.mapping.crossing_cells import CrossingCells
from mapkd_core.mapping.line_samples import LineSamples
from mapkd_core.mapping.map_elements import ElementMaker
from mapkd_core.mapping.motion import Motion
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.sighting import Sighting, sighting
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.mapping.tiles import Bounds
from mapkd_core.types import MapElement

VIEW_60X30 = Range((-30.0, 30.0), (-15.0, 15.0))
"""What the shipped students look at."""
AGAIN_M = 80.0
"""After so much driving, what the map has here was seen on an earlier pass: longer than the view, so that a line that
drives along with the vehicle, as networks see them, is not taken for a sign that the pose is wrong."""
AGAIN_GAIN = 0.3
"""Of a misfit to an earlier pass, this share is taken at each set: the lines of one set are uncertain."""
HELD_M = 20.0
"""So far a fit to an earlier pass holds, until one is refused: the next begins at it. Otherwise any shift within
`SEARCH` times the bound might be the right one: all are tried, and what fits in two ways is refused."""
SEARCH, SEARCH_EVERY_M = 2.0, 2.0
JUMP_TRIES = 6
"""Sets that are tried after a jump, until one can be aligned."""


PATH_STEP_M = 1.0
"""Places of the way that is kept are so far apart."""


class MapBuilder:
    """A map that grows. The cost of a set does not depend on the size of the map, nor on how often a place was seen.

    Not for use by several threads at once.
    """

    def __init__(self, options: MappingOptions | None = None, frame: str = "map", origin: MapOrigin | None = None):
        self.options, self.frame, self.origin = options or MappingOptions(), frame, origin
        self.lines, self.crossings = LineSamples(), CrossingCells()
        self.sets = 0
        self.driven_m = 0.0
        self.path_m: list[NDArray[np.float64]] = []
        """(3,) places of the vehicle, as corrected, one drive after the other."""
        self.drive_begins: list[int] = [0]
        """Where in `path_m` each drive begins."""
        self.correction = np.eye(4)
        """map_from_odometry: what alignment has found so far, about the vehicle."""
        self.alignments: Counter[str] = Counter()
        """How often sets were aligned, and why others were not."""
        self.last_alignment: Alignment | None = None
        self.maker = ElementMaker(self.options)
        self._motion = Motion()
        self._tries, self._jumped_m, self._way_m = 0, 0.0, 0.0
        self._held_m = self._searched_m = -np.inf
        """How far the vehicle had driven when a set was last fitted to an earlier pass, and when that was tried."""

    def add(
        self, elements: Sequence[MapElement], map_from_base: NDArray[np.floating], stamp_ns: int = 0,
        view: Range = VIEW_60X30,
    ) -> NDArray[np.float64]:
        """Takes a set's elements in; returns `map_from_base` (4, 4) as corrected by alignment.

        `elements` are in `base_link`; `view` is the rectangle that was looked at: what lies in it and is not among them
        counts against what the map has there. Raises ValueError for a pose that is none.
        """
        pose = np.asarray(map_from_base, np.float64)
        if pose.shape != (4, 4) or not np.isfinite(pose).all() or not np.allclose(pose[3], [0, 0, 0, 1]):
            raise ValueError(f"map_from_base at {stamp_ns} ns is no pose (4, 4) of finite numbers")
        step_m, jumped = self._motion.step(pose, stamp_ns)
        self.driven_m += step_m
        self._way_m += step_m
        if jumped:
            self._tries, self._jumped_m = JUMP_TRIES, self._way_m - step_m
        sight = sighting(elements, self.correction @ pose, view, self.options.far_m)
        if self.options.align:
            sight = self._aligned(sight)
        corrected = self.correction @ pose
        begins = len(self.path_m) == self.drive_begins[-1]
        if begins or np.linalg.norm(corrected[:2, 3] - self.path_m[-1][:2]) >= PATH_STEP_M:
            self.path_m.append(corrected[:3, 3].copy())
        match = self.lines.match(sight, self.options)
        self.lines.update(sight, match, self.options, self._way_m)
        self.crossings.update(sight, self.options)
        self.sets += 1
        return corrected

    def begin_drive(self) -> None:
        """The next set is of another drive: the way to it is no jump, and what is there is of an earlier pass."""
        self._motion = Motion()
        self._tries = 0
        if self.drive_begins[-1] < len(self.path_m):
            self.drive_begins.append(len(self.path_m))
        if self.sets:
            self._way_m += AGAIN_M

    def take_paths(self, paths_m: Sequence[NDArray[np.float64]]) -> None:
        """Takes over the ways (N, 3) of drives of another map; the next set is of a drive of its own."""
        for way in paths_m:
            self.path_m += list(way)
            self.drive_begins.append(len(self.path_m))

    def _aligned(self, sight: Sighting) -> Sighting:
        known = self.lines.accepted(self.lines.near(sight.bounds_m(SEARCH * self.options.align_m)), self.options)
        after_jump = self._tries > 0
        old_m = self._jumped_m if after_jump else self._way_m - AGAIN_M
        known = known[self.lines.born_m[known] <= old_m]
        if len(known) < LEAST_PAIRS:
            self._tries = max(self._tries - 1, 0)
            return sight
        held = after_jump or self._way_m - self._held_m <= HELD_M
        if not held and self._way_m - self._searched_m < SEARCH_EVERY_M:
            return sight
        centre, bound_rad = sight.map_from_base[:2, 3], float(np.radians(self.options.align_deg))
        seen = Lines(sight.xyz_m[:, :2], sight.along, sight.label, sight.weight * sight.score)
        there = Lines(
            self.lines.xyz_m[known, :2], self.lines.along[known], self.lines.label[known], self.lines.weight[known]
        )
        if held:
            result = aligned(seen, there, centre, self.options.align_m, bound_rad)
        else:
            self._searched_m = self._way_m
            result = fitted(seen, there, SEARCH * self.options.align_m, bound_rad)
        self.last_alignment = result
        what = "after a jump" if after_jump else "where it was before"
        self.alignments[f"{what}, refused: {result.refused.split(':')[0]}" if result.refused else what] += 1
        self._tries = max(self._tries - 1, 0) if result.refused else 0
        if result.refused:
            self._held_m = -np.inf
            return sight
        if not after_jump:
            self._held_m = self._way_m
        gain = 1.0 if after_jump else AGAIN_GAIN
        shift = about(centre, gain * result.way_m(centre), gain * yaw_of(result.shift))
        self.correction = shift @ self.correction
        return sight.moved(shift)

    def local_map(self, bounds_m: Bounds) -> list[StreetElement]:
        """The elements about a rectangle (smallest x and y, largest x and y) of the map, cut to it, with their ids."""
        return self.maker.elements(self.lines, self.crossings, bounds_m)

    def street_map(self, metadata: Mapping[str, Any] | None = None) -> StreetMap:
        """The whole map."""
        elements = self.maker.elements(self.lines, self.crossings)
        made = {
            "sets": self.sets, "driven_m": round(self.driven_m, 3), "options": asdict(self.options),
            "alignments": dict(self.alignments),
            "paths_m": [
                [np.round(place, 2).tolist() for place in self.path_m[begin:end]]
                for begin, end in pairwise([*self.drive_begins, len(self.path_m)])
            ],
        }  # fmt: skip
        return StreetMap(tuple(elements), self.frame, self.origin, {**made, **(metadata or {})})

    @property
    def memory_bytes(self) -> int:
        """Of the evidence."""
        return self.lines.memory_bytes + self.crossings.memory_bytes
