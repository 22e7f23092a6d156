"""Simulated drives for the benchmark of `mapkd map`: what a network predicts on rendered images, kept in files.

Rendering takes nearly all the time of the benchmark, so that each drive is predicted once, and found again by what made
it. A drive lies on a procedural map of simdrive-v1's test split; its map is the truth.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.files import write_atomic
from mapkd_core.geometry import distances_along
from mapkd_core.schema import flag, integer, list_of, number, numbers, parse_json, read_bytes, record, text
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.roads.procedural import procedural_map
from mapkd_core.sim.roads.trajectory import Trajectory, drive_along, lane_path
from mapkd_core.sim.simdrive import SIZES
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.vector_map import VectorMap

if TYPE_CHECKING:
    from mapkd_core.artifact import ModelCard
    from mapkd_core.predictor import MapPredictor

FIRST_SEED = 400_000
"""Of simdrive-v1's procedural test drives."""
LENGTH_M = 400.0
START_S = 1.0
"""The first set is so long after the start of the trajectory (SimDrive.time_s)."""
_WHAT = "the predictions of a simulated drive"
_REMEDY = "delete it, and run the benchmark again"
_ELEMENT = record({
    "label": text(*CLASSES), "score": number(0, 1), "closed": flag, "points_m": numbers(None, 2, at_least=2),
})  # fmt: skip
_HEAD = record({"made": record({}), "sets": integer(0)})
_SET = record({"stamp_ns": integer(0), "map_from_base": numbers(4, 4), "elements": list_of(_ELEMENT)})


@dataclass(frozen=True, eq=False)
class SeenSet:
    """What was predicted of one moment, and where the vehicle truly was."""

    stamp_ns: int
    map_from_base: NDArray[np.float64]
    """(4, 4)."""
    elements: tuple[MapElement, ...]
    """In `base_link`."""


@dataclass(frozen=True)
class DriveRecipe:
    """From this everything about a drive follows."""

    seed: int
    rate_hz: float = 4.0
    """Sets a second."""
    length_m: float = LENGTH_M

    @property
    def kind(self) -> str:
        """Part of the name of its file."""
        return ""

    @cached_property
    def road_map(self) -> VectorMap:
        """The truth."""
        return procedural_map(self.seed)

    @cached_property
    def trajectory(self) -> Trajectory:
        """The drive on level ground."""
        rng = np.random.default_rng([self.seed, 0x3A9])
        return drive_along(lane_path(self.road_map, rng, self.length_m + 20.0), rng, 1.0)

    @property
    def frames(self) -> int:
        """Sets until the end of `length_m`, or of the road."""
        trajectory = self.trajectory
        arcs = distances_along(trajectory.path_m)
        first = float(np.interp(START_S, trajectory.times_s, arcs))
        end_s = float(np.interp(first + self.length_m, arcs, trajectory.times_s))
        return int((end_s - START_S) * self.rate_hz) + 1

    def drive(self) -> SimDrive:
        """The drive with its world, to render."""
        return SimDrive(
            self.seed, size=SIZES["full"][0], lidar=False, frames=self.frames, keyframe_s=1 / self.rate_hz,
            trajectory=self.trajectory,
        )  # fmt: skip


def sets_file(recipe: DriveRecipe, card: ModelCard, folder: Path) -> Path:
    """Where the predictions of a drive are kept."""
    return folder / f"{card.name}-{recipe.seed}-{recipe.rate_hz:g}hz-{recipe.length_m:g}m{recipe.kind}.jsonl"


def predicted_sets(recipe: DriveRecipe, predictor: MapPredictor, folder: Path) -> Iterator[SeenSet]:
    """The sets of a drive: from a file in `folder` where they were predicted before, else predicted and written."""
    made = {
        "seed": recipe.seed, "rate_hz": recipe.rate_hz, "length_m": recipe.length_m, "size": list(SIZES["full"][0]),
        "model": predictor.card.name, "version": predictor.card.version, "engine": predictor.engine,
    }  # fmt: skip
    path = sets_file(recipe, predictor.card, folder)
    if path.is_file():
        found = read_sets(path, made)
        if found is not None:
            yield from found
            return
    sets = []
    drive = recipe.drive()
    for frame in drive:
        assert frame.map_from_base is not None
        elements = tuple(predictor.predict_frame(frame).elements)
        sets.append(SeenSet(frame.stamp_ns, frame.map_from_base, elements))
        yield sets[-1]
    drive.release()
    write_sets(path, made, sets)


def write_sets(path: Path, made: dict[str, Any], sets: Sequence[SeenSet]) -> None:
    """Writes the sets of a drive."""
    lines: list[dict[str, Any]] = [{"made": made, "sets": len(sets)}]
    for one in sets:
        elements = [
            {"label": e.label, "score": float(e.score), "closed": bool(e.closed),
             "points_m": e.points_m[:, :2].astype(float).tolist()}
            for e in one.elements
        ]  # fmt: skip
        lines.append(
            {"stamp_ns": one.stamp_ns, "map_from_base": one.map_from_base.tolist(), "elements": elements}
        )
    write_atomic(path, "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def read_sets(path: Path, made: dict[str, Any]) -> list[SeenSet] | None:
    """The sets of a file, None where it was made otherwise. Raises FileFault for a damaged one."""
    first, *rest = read_bytes(path, _WHAT).splitlines()
    head = parse_json(first, f"{path}:1", _WHAT, _HEAD, _REMEDY)
    if head["made"] != made or head["sets"] != len(rest):
        return None
    sets = []
    for place, line in enumerate(rest, 2):
        blob = parse_json(line, f"{path}:{place}", _WHAT, _SET, _REMEDY)
        elements = tuple(
            MapElement(e["label"], np.array(e["points_m"], np.float32), e["score"], e["closed"])
            for e in blob["elements"]
        )
        sets.append(SeenSet(blob["stamp_ns"], np.array(blob["map_from_base"], np.float64), elements))
    return sets
