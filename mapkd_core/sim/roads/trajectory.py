"""How the vehicle moves: a smooth path along lanes, a speed for every place, and the pose at any time."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.geometry import distances_along, transform
from mapkd_core.schema import FileFault, integer, list_of, numbers, read_json, record
from mapkd_core.sim.roads.polyline import (
    Line,
    at_known_arc,
    headings,
    length_m,
    resampled,
    shifted,
    smooth_step,
    smoothed,
)
from mapkd_core.vector_map import VectorMap

STEP_M = 0.5
DEAD_END_M = 35.0
"""A drive begins and ends this far from where roads end, if it can: that is the map's border, not a street's end."""
WHEELBASE_M, TRACK_M = 2.6, 1.5
Height = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Terrain height of points (..., 2) of the map."""


def flat(xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """The height of a level world."""
    return np.zeros(np.shape(xy_m)[:-1])


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A drive: where the vehicle's `base_link` is at any time.

    On a path: position and heading from the path, height, pitch and roll from the ground under the wheels, and a
    swaying of the body. Before the start and after the end it goes straight on at the same speed.
    """

    path_m: Line
    """Vertices `STEP_M` apart."""
    times_s: NDArray[np.float64]
    """When each vertex is passed."""
    height_m: Height = flat
    sway_seed: int = 0
    sway_rad: float = 0.004
    """Standard deviation of pitch; roll sways 0.6 times as much. 0 for none."""

    @property
    def duration_s(self) -> float:
        """Time from the path's start to its end."""
        return float(self.times_s[-1])

    @cached_property
    def _arcs_m(self) -> NDArray[np.float64]:
        return distances_along(self.path_m)

    def pose(self, time_s: float) -> NDArray[np.float64]:
        """(4, 4) `map_from_base` at a time."""
        return self.poses(np.array([time_s]))[0]

    def poses(self, times_s: ArrayLike) -> NDArray[np.float64]:
        """(T, 4, 4) `map_from_base` at T times."""
        times, arcs = np.asarray(times_s, np.float64), self._arcs_m
        last = (arcs[-1] - arcs[-2]) / max(self.times_s[-1] - self.times_s[-2], 1e-6)
        s = np.interp(times, self.times_s, arcs)
        s = np.where(times < 0, times * arcs[1] / max(self.times_s[1], 1e-6), s)
        s = np.where(times > self.duration_s, arcs[-1] + (times - self.duration_s) * last, s)
        # The direction over two metres around the place is free of the vertices' kinks.
        ahead, behind, at = at_known_arc(self.path_m, arcs, np.stack([s + 1.0, s - 1.0, s]))
        along = ahead - behind
        return self._on_ground(at, np.arctan2(along[:, 1], along[:, 0]), times)

    def _on_ground(self, at: Line, yaw: NDArray, times: NDArray) -> NDArray[np.float64]:
        cos, sin = np.cos(yaw), np.sin(yaw)
        along, across = np.stack([cos, sin], 1), np.stack([-sin, cos], 1)
        wheels = (at + WHEELBASE_M * along, at, at + TRACK_M / 2 * across, at - TRACK_M / 2 * across)
        front, back, left, right = np.asarray(self.height_m(np.stack(wheels)), np.float64)
        pitch = -np.arctan2(front - back, WHEELBASE_M) + self._sway(times, 0)
        roll = np.arctan2(left - right, TRACK_M) + 0.6 * self._sway(times, 1)
        poses = np.zeros((len(times), 4, 4))
        poses[:, 0, 0], poses[:, 0, 1], poses[:, 1, 0], poses[:, 1, 1] = cos, -sin, sin, cos
        poses[:, 2, 2] = poses[:, 3, 3] = 1
        poses[:, :2, 3], poses[:, 2, 3] = at, (left + right) / 2
        poses[:, :3, :3] = poses[:, :3, :3] @ _about_y(pitch) @ _about_x(roll)
        return poses

    def _sway(self, times: NDArray, axis: int) -> NDArray[np.float64] | float:
        if self.sway_rad == 0:
            return 0.0
        hertz, phase = self._sways[axis]
        return self.sway_rad / np.sqrt(2) * np.sum(np.sin(2 * np.pi * hertz * times[:, None] + phase), 1)

    @cached_property
    def _sways(self) -> list[tuple[NDArray, NDArray]]:
        """Frequencies and phases of pitch and of roll."""
        draws = (np.random.default_rng([self.sway_seed, axis, 0x5A]) for axis in (0, 1))
        return [(rng.uniform(0.15, 1.9, 4), rng.uniform(0, 2 * np.pi, 4)) for rng in draws]


def _about_y(angle: NDArray) -> NDArray[np.float64]:
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 0, 0], turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = np.cos(angle), np.sin(angle), -np.sin(angle), 1
    turn[:, 2, 2] = turn[:, 0, 0]
    return turn


def _about_x(angle: NDArray) -> NDArray[np.float64]:
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 1, 1], turn[:, 1, 2], turn[:, 2, 1], turn[:, 0, 0] = np.cos(angle), -np.sin(angle), np.sin(angle), 1
    turn[:, 2, 2] = turn[:, 1, 1]
    return turn


def lane_path(
    road_map: VectorMap,
    rng: np.random.Generator,
    wanted_m: float,
    allowed: Callable[[Line], NDArray[np.bool_]] | None = None,
    tries: int = 60,
) -> Line:
    """A path of about `wanted_m` metres along lane centres, with random turns and sometimes a change of lane.

    `allowed` tells of points (N, 2) whether the vehicle may be there. The longest path of `tries` random walks
    is taken if none is long enough. Raises ValueError if no lane is allowed.
    """
    centres = road_map.lane_centres_m
    lengths = np.array([length_m(c) if len(c) > 1 else 0.0 for c in centres])
    free = np.array([allowed is None or len(c) < 2 or bool(np.all(allowed(c))) for c in centres], bool)
    usable = (lengths >= 12) & free
    if not usable.any():
        raise ValueError(f"map {road_map.name!r} has no lane of 12 m or more in the given area; choose another area")
    best: Line | None = None
    for _ in range(tries):
        start = int(rng.choice(len(centres), p=usable * lengths / np.sum(usable * lengths)))
        walk = _walk(road_map, rng, start, wanted_m, allowed)
        if best is None or length_m(walk) > length_m(best):
            best = walk
        if length_m(best) >= wanted_m:
            break
    assert best is not None
    return best


def _walk(
    road_map: VectorMap,
    rng: np.random.Generator,
    lane: int,
    wanted_m: float,
    allowed: Callable[[Line], NDArray[np.bool_]] | None,
) -> Line:
    points = resampled(road_map.lane_centres_m[lane], STEP_M)
    changes = rng.random() < 0.35
    done = 0.0
    dead_end = not any(lane in followers for followers in road_map.lane_successors)
    if rng.random() < 0.8 or dead_end:  # start anywhere on the lane, not always at a junction
        first = max(rng.uniform(0, 0.6) * len(points), DEAD_END_M / STEP_M if dead_end else 0.0)
        points = points[int(min(first, len(points) - 12)) :]
    while True:
        if changes and length_m(points) - done > 45 and rng.random() < 0.6:
            neighbour = _neighbour(road_map, lane, rng)
            if neighbour is not None:
                points, lane = _change_lane(points, road_map.lane_centres_m[neighbour], rng), neighbour
                changes = False
        done = length_m(points)
        followers = [
            f for f in road_map.lane_successors[lane]
            if len(road_map.lane_centres_m[f]) > 1 and (allowed is None or np.all(allowed(road_map.lane_centres_m[f])))
        ]
        if done >= wanted_m:
            return points
        if not followers:  # stop in time for the images not to show the end of the world
            return points[: max(len(points) - int(DEAD_END_M / STEP_M), 12)]
        lane = int(rng.choice(followers))
        points = np.concatenate([points, resampled(road_map.lane_centres_m[lane], STEP_M)[1:]])


def _neighbour(road_map: VectorMap, lane: int, rng: np.random.Generator) -> int | None:
    """A lane beside this one in the same direction that ends where this one ends."""
    own = road_map.lane_centres_m[lane]
    found = []
    for index, other in enumerate(road_map.lane_centres_m):
        if index == lane or len(other) < 2 or abs(other[-1] - own[-1]).max() > 5 or length_m(other) < 40:
            continue
        same = np.cos(headings(other)[-1] - headings(own)[-1]) > 0.97
        if same and 2.4 < np.linalg.norm(other[-1] - own[-1]) < 4.5:
            found.append(index)
    return int(rng.choice(found)) if found else None


def _change_lane(points: Line, other_m: Line, rng: np.random.Generator) -> Line:
    """The path, led over to the neighbouring lane within 25 to 40 m before its end."""
    other = resampled(other_m, STEP_M)
    # Both lanes end abreast: match points by their distance to the end.
    count = min(len(points), len(other))
    span = min(int(rng.uniform(25, 40) / STEP_M), count - 2)
    first = int(rng.integers(0, max(1, count - span)))
    share = smooth_step((np.arange(count) - first) / span)[:, None]
    blended = points[-count:] * (1 - share) + other[-count:] * share
    return np.concatenate([points[:-count], blended])


def drive_along(
    path_m: Line,
    rng: np.random.Generator,
    duration_s: float,
    height_m: Height = flat,
    cruise_mps: float | None = None,
    wander_m: float = 0.35,
) -> Trajectory:
    """A trajectory of `duration_s` along a path: slower in curves, a little left or right of the lane's centre.

    A path that is too short for the speed is driven more slowly.
    """
    path = smoothed(path_m, 4.0, STEP_M)
    arcs = distances_along(path)
    bias, phase, swing = rng.normal(0, wander_m * 0.7), rng.uniform(0, 2 * np.pi), rng.uniform(0, wander_m)
    offset = np.clip(bias + swing * np.sin(2 * np.pi * arcs / 70 + phase), -0.9, 0.9)
    path = resampled(shifted(path, offset), STEP_M)
    arcs = distances_along(path)
    cruise = float(rng.uniform(4.0, 13.5)) if cruise_mps is None else cruise_mps
    bend = np.abs(np.gradient(headings(smoothed(path, 6.0, STEP_M)[: len(path)]))) / STEP_M
    bend = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(bend)), bend)
    speed = np.minimum(cruise, np.sqrt(2.0 / np.maximum(bend, 1e-4)))
    for order in (range(1, len(speed)), range(len(speed) - 2, -1, -1)):
        step = 1 if order.step > 0 else -1
        for i in order:  # 1.5 m/s^2 either way
            speed[i] = min(speed[i], np.sqrt(speed[i - step] ** 2 + 3.0 * STEP_M))
    times = np.concatenate([[0.0], np.cumsum(np.diff(arcs) / ((speed[1:] + speed[:-1]) / 2))])
    if times[-1] < duration_s:
        times *= duration_s / times[-1]
    return Trajectory(path, times, height_m, int(rng.integers(2**31)))


_POSES = record({"poses": list_of(record({
    "timestamp_us": integer(0, 2**62 // 1000), "translation": numbers(3, low=-1e7, high=1e7),
    "rotation_wxyz": numbers(4, low=-2, high=2),
}), 3, 100_000)})  # fmt: skip
_LONGEST_S, _FASTEST_M_S = 60.0, 100.0


def read_poses(path: Path) -> Trajectory:
    """A trajectory through the keyframe poses of a JSON file: `poses`, each `timestamp_us`, `translation` (x, y, z)
    and `rotation_wxyz`, as nuScenes' ego poses. Raises ValueError where the file is not that.
    """
    records = read_json(Path(path), "a list `poses` of ego poses", _POSES, "see `mapkd sim show --help`")["poses"]
    times = [(record["timestamp_us"] - records[0]["timestamp_us"]) * 1e-6 for record in records]
    for place, (now, then) in enumerate(pairwise(zip(times, records, strict=True)), 1):
        seconds, metres = then[0] - now[0], math.dist(then[1]["translation"][:2], now[1]["translation"][:2])
        if not 0 < seconds <= _LONGEST_S or metres > _FASTEST_M_S * seconds:
            raise FileFault(
                f"{path}: poses[{place}] is {metres:g} m and {seconds:g} s after the one before; expected poses in "
                f"order, at most {_LONGEST_S:g} s and {_FASTEST_M_S:g} m/s apart"
            )
    try:
        poses = [transform(record["translation"], record["rotation_wxyz"]) for record in records]
    except ValueError as error:
        raise FileFault(f"{path}: {error}") from error
    return through_poses(times, poses)


def through_poses(
    times_s: ArrayLike, map_from_base: Sequence[NDArray[np.float64]], height_m: Height = flat
) -> Trajectory:
    """A trajectory through given poses (4, 4) at given times; needs at least three poses, times growing from 0."""
    times, poses = np.asarray(times_s, np.float64), np.asarray(map_from_base, np.float64)
    if len(times) < 3 or len(times) != len(poses) or np.any(np.diff(times) <= 0) or times[0] != 0:
        raise ValueError(f"{len(times)} times for {len(poses)} poses; expected three or more, times growing from 0")
    from scipy.interpolate import PchipInterpolator

    fine = np.arange(0, times[-1] + 1e-9, 0.02)
    path = PchipInterpolator(times, poses[:, :2, 3])(fine)
    arcs = distances_along(path)
    moving = np.concatenate([[True], np.diff(arcs) > 1e-6])
    even = resampled(path[moving], STEP_M)
    passed = np.interp(distances_along(even), arcs[moving], fine[moving])
    return Trajectory(even, passed, height_m)
