"""How the vehicle moves: a smooth path along lanes, a speed for every place, and the pose at any time."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.geometry import distances_along, transform, transform_from_yaw
from mapkd_core.schema import FileFault, integer, list_of, numbers, read_json, record
from mapkd_core.sim.roads.polyline import (
    Line,
    at_arc,
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

    def pose(self, time_s: float) -> NDArray[np.float64]:
        """(4, 4) `map_from_base` at a time."""
        arcs = distances_along(self.path_m)
        s = float(np.interp(time_s, self.times_s, arcs))
        if time_s < 0:
            s = time_s * arcs[1] / max(self.times_s[1], 1e-6)
        elif time_s > self.duration_s:
            last = (arcs[-1] - arcs[-2]) / max(self.times_s[-1] - self.times_s[-2], 1e-6)
            s = arcs[-1] + (time_s - self.duration_s) * last
        # The direction over two metres around the place is free of the vertices' kinks.
        ahead, behind = at_arc(self.path_m, s + 1.0), at_arc(self.path_m, s - 1.0)
        yaw = float(np.arctan2(*(ahead - behind)[::-1]))
        x, y = at_arc(self.path_m, s)
        return self._on_ground(float(x), float(y), yaw, time_s)

    def _on_ground(self, x: float, y: float, yaw: float, time_s: float) -> NDArray[np.float64]:
        along, across = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
        rear = np.array([x, y])
        wheels = np.stack([rear + WHEELBASE_M * along, rear, rear + TRACK_M / 2 * across, rear - TRACK_M / 2 * across])
        front, back, left, right = np.asarray(self.height_m(wheels), np.float64)
        pitch = -np.arctan2(front - back, WHEELBASE_M) + self._sway(time_s, 0)
        roll = np.arctan2(left - right, TRACK_M) + 0.6 * self._sway(time_s, 1)
        pose = transform_from_yaw(x, y, yaw, float((left + right) / 2))
        pose[:3, :3] = pose[:3, :3] @ _about_y(float(pitch)) @ _about_x(float(roll))
        return pose

    def _sway(self, time_s: float, axis: int) -> float:
        if self.sway_rad == 0:
            return 0.0
        rng = np.random.default_rng([self.sway_seed, axis, 0x5A])
        hertz, phase = rng.uniform(0.15, 1.9, 4), rng.uniform(0, 2 * np.pi, 4)
        return float(self.sway_rad / np.sqrt(2) * np.sum(np.sin(2 * np.pi * hertz * time_s + phase)))


def _about_y(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_x(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


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
    free = np.array([allowed is None or len(c) < 2 or bool(np.all(allowed(c))) for c in centres])
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
