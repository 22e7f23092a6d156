"""Drives round a block and on into the streets where they began: what drift of odometry leaves of a loop."""
from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from mapkd_core.benchmark import mapping_cases as cases
from mapkd_core.benchmark.machine import markdown_table
from mapkd_core.benchmark.mapping_cases import Pose
from mapkd_core.benchmark.mapping_drives import DriveRecipe, SeenSet
from mapkd_core.benchmark.mapping_rows import Drives, Way, alignments, scored, table, true_poses
from mapkd_core.benchmark.mapping_scores import true_elements
from mapkd_core.geometry import inverse
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.sim.roads.polyline import length_m, resampled
from mapkd_core.sim.roads.trajectory import STEP_M, Trajectory, drive_along
from mapkd_core.vector_map import VectorMap

SHORTEST_M, LONGEST_M = 200.0, 400.0
"""Of the way round: longer than two views, and not much to render."""
JITTER_M = 0.25
"""About what `nano` is off within 16 m ahead."""
BEYOND_M = 140.0
"""So far the drive goes on where it has been: beyond the 80 m after which a place counts as seen before."""

DRIFTS = (cases.DRIFT, 2 * cases.DRIFT, 4 * cases.DRIFT)


@dataclass(frozen=True)
class LoopRecipe(DriveRecipe):
    """A drive once round the shortest loop of its map's lanes, and `BEYOND_M` on."""

    length_m: float = LONGEST_M + BEYOND_M

    @property
    def kind(self) -> str:
        """Part of the name of its file."""
        return "-loop"

    @cached_property
    def lanes(self) -> list[int]:
        """Round the shortest loop; empty where there is none of a fitting length."""
        return shortest_loop(self.road_map)

    @cached_property
    def trajectory(self) -> Trajectory:
        """The drive on level ground."""
        rng = np.random.default_rng([self.seed, 0x100])
        return drive_along(loop_path(self.road_map, self.lanes), rng, 1.0)


def shortest_loop(road: VectorMap) -> list[int]:
    """The lanes of the shortest loop of at least `SHORTEST_M`; empty where it is longer than `LONGEST_M`."""
    lengths = [length_m(line) if len(line) > 1 else 0.0 for line in road.lane_centres_m]
    best, found = LONGEST_M, list[int]()
    for start, length in enumerate(lengths):
        loop = _loop_through(start, lengths, road.lane_successors, best) if length >= 20 else []
        if loop:
            best, found = sum(lengths[lane] for lane in loop), loop
    return found


def _loop_through(
    start: int, lengths: Sequence[float], successors: Sequence[Sequence[int]], most_m: float
) -> list[int]:
    """The shortest loop through a lane that is longer than `SHORTEST_M` and shorter than `most_m` (Dijkstra)."""
    before: dict[int, int] = {}
    queue, done = [(lengths[start], start)], set[int]()
    while queue:
        way, lane = heapq.heappop(queue)
        if way >= most_m:
            return []
        if lane in done:
            continue
        done.add(lane)
        for after in successors[lane]:
            if after == start:
                if way < SHORTEST_M:
                    return []
                loop = [lane]
                while loop[-1] != start:
                    loop.append(before[loop[-1]])
                return loop[::-1]
            if after not in done and lengths[after] > 0:
                before.setdefault(after, lane)
                heapq.heappush(queue, (way + lengths[after], after))
    return []


def loop_path(road: VectorMap, lanes: Sequence[int]) -> NDArray[np.float64]:
    """(N, 2) once round and `BEYOND_M` on. Raises ValueError without lanes."""
    if not lanes:
        raise ValueError(f"{road.name} has no loop of {SHORTEST_M:g} to {LONGEST_M:g} m")
    once = np.concatenate([resampled(road.lane_centres_m[lane], STEP_M)[1:] for lane in lanes])
    return np.concatenate([once, once[: int(BEYOND_M / STEP_M)]])


def gap_m(sets: Sequence[SeenSet], poses: Sequence[Pose]) -> float:
    """How far a loop is from being closed: the error of the last pose, seen from the first pass of its place."""
    places = np.array([one.map_from_base[:2, 3] for one in sets])
    first = int(np.argmin(np.linalg.norm(places[: len(sets) // 2] - places[-1], axis=1)))
    there, here = (inverse(one[first]) @ one[-1] for one in ([s.map_from_base for s in sets], poses))
    return float(np.linalg.norm(there[:2, 3] - here[:2, 3]))


def true_sets(recipe: LoopRecipe) -> list[SeenSet]:
    """A loop without images and network: the true elements of each second, four in five, each off by `JITTER_M`."""
    rng = np.random.default_rng(recipe.seed)
    sets = []
    for k in range(int(recipe.trajectory.duration_s)):
        pose = recipe.trajectory.pose(k)
        shown = tuple(
            replace(element, points_m=(element.points_m + rng.normal(0, JITTER_M, 2)).astype(np.float32))
            for element in true_elements(recipe.road_map, pose) if rng.random() > 0.2
        )  # fmt: skip
        sets.append(SeenSet(k * 1_000_000_000, pose, shown))
    return sets


def gap_report(recipes: Sequence[LoopRecipe], drifts: Sequence[float] = (0.0, *DRIFTS)) -> str:
    """How far loops of `true_sets` are from being closed, by odometry and in the map."""
    rows = []
    for number, recipe in enumerate(recipes):
        sets, row = true_sets(recipe), [str(recipe.seed)]
        for drift in drifts:
            poses = cases.drifting(sets, np.random.default_rng([number, 1]), drift)
            builder = MapBuilder()
            placed = [builder.add(one.elements, pose, one.stamp_ns) for one, pose in zip(sets, poses, strict=True)]
            row.append(f"{gap_m(sets, poses):.2f} -> {gap_m(sets, placed):.2f}")
        rows.append(row)
    return markdown_table(["loop", *(f"drift of {100 * drift:g} %" for drift in drifts)], rows)


def loop_report(drives: Drives, drifts: Sequence[float] = DRIFTS) -> list[str]:
    """The tables of loops."""
    off = MappingOptions(align=False)
    names = {share: f"street map, odometry drifts by {100 * share:g} %" for share in drifts}
    ways = [
        Way("street map, true poses", true_poses),
        *(Way(name, partial(cases.drifting, drift=share)) for share, name in names.items()),
        *(Way(f"{name}, no alignment", partial(cases.drifting, drift=share), off) for share, name in names.items()),
    ]
    rows = scored(drives, ways)
    gaps = [
        [row.name, *(
            ", ".join(f"{gap_m(sets, poses[k]):.2f}" for (_, sets), poses in zip(drives, row.poses, strict=True))
            for k in (0, 1)
        )]
        for row in rows[1:]
    ]  # fmt: skip
    return [
        "## Loops", "",
        f"{len(drives)} drives once round a block of {SHORTEST_M:g} to {LONGEST_M:g} m and {BEYOND_M:g} m on, "
        "where they had been:", "", table(rows), "",
        "Gap of each loop in metres: the error of the last pose, seen from that of the first pass of its place.", "",
        markdown_table(["", "by odometry", "in the map"], gaps), "", "Sets by what alignment did:", "",
        *alignments(rows),
    ]  # fmt: skip
