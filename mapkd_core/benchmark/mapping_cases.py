"""How poses go wrong in the benchmark of mapping: drift of odometry, jumps of a localization, a second pass."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mapkd_core.benchmark.mapping_drives import SeenSet
from mapkd_core.geometry import inverse, transform_from_yaw

DRIFT = 0.01
"""Of the way: in length, and to the side after `DRIFT_OVER_M`."""
DRIFT_OVER_M = 400.0
JUMP_EVERY_M, JUMP_M, JUMP_DEG = 80.0, (0.5, 1.2), 1.0
SECOND_PASS_M = 0.8
Pose = NDArray[np.float64]


def drifting(sets: Sequence[SeenSet], rng: np.random.Generator, drift: float = DRIFT) -> list[Pose]:
    """Poses of an odometry that begins right: its wheels are of a wrong size, and it turns a little all the time."""
    scale = 1 + drift * rng.choice([-1, 1]) * rng.uniform(0.5, 1)
    bend = 2 * drift / DRIFT_OVER_M * rng.choice([-1, 1]) * rng.uniform(0.5, 1)
    poses = [sets[0].map_from_base]
    for before, after in pairwise(sets):
        step = inverse(before.map_from_base) @ after.map_from_base
        step[:3, 3] *= scale
        turn = transform_from_yaw(0, 0, bend * float(np.linalg.norm(step[:2, 3])))
        poses.append(poses[-1] @ step @ turn)
    return poses


def jumping(sets: Sequence[SeenSet], rng: np.random.Generator) -> list[Pose]:
    """Poses of a localization that jumps every `JUMP_EVERY_M`, each time off the truth by up to `JUMP_M`."""
    poses, way, off = [], 0.0, np.eye(4)
    for place, one in enumerate(sets):
        way += float(np.linalg.norm(one.map_from_base[:2, 3] - sets[max(place - 1, 0)].map_from_base[:2, 3]))
        if way > JUMP_EVERY_M:
            way, angle, far = 0.0, rng.uniform(0, 2 * np.pi), rng.uniform(*JUMP_M)
            turn = np.radians(rng.uniform(-JUMP_DEG, JUMP_DEG))
            off = transform_from_yaw(far * np.cos(angle), far * np.sin(angle), 0)
            off = off @ _about(one.map_from_base, turn)
        poses.append(off @ one.map_from_base)
    return poses


def shifted(sets: Sequence[SeenSet], rng: np.random.Generator) -> list[Pose]:
    """Poses of another day: all of them off by one shift."""
    angle = rng.uniform(0, 2 * np.pi)
    off = transform_from_yaw(SECOND_PASS_M * np.cos(angle), SECOND_PASS_M * np.sin(angle), 0)
    return [off @ one.map_from_base for one in sets]


def repeated(sets: Sequence[SeenSet], times: int, apart_m: float = 1000.0) -> list[SeenSet]:
    """The same drive again and again, each in a street of its own: a map that grows without end."""
    length_ns = sets[-1].stamp_ns - sets[0].stamp_ns + 1_000_000_000
    return [
        replace(
            one, stamp_ns=one.stamp_ns + k * length_ns,
            map_from_base=transform_from_yaw(apart_m * k, 0, 0) @ one.map_from_base,
        )
        for k in range(times)
        for one in sets
    ]  # fmt: skip


def _about(pose: Pose, turn: float) -> Pose:
    x, y = pose[:2, 3]
    return np.asarray(transform_from_yaw(x, y, turn) @ transform_from_yaw(-x, -y, 0))
