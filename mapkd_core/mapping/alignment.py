"""The rigid motion in the plane that puts a set's lines onto those of a map, within bounds, or the reason why not.

Point-to-line least squares, repeated with a narrowing gate (iterative closest point; Chen and Medioni, 1992). Lines
that all run one way say nothing of the motion along them: what no line shows is held at no motion.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.geometry import transform_from_yaw

GATES_M = (1.0, 0.7, 0.5, 0.4, 0.4)
"""Pairs farther apart than this are left out, round by round, as shares of the bound but at least half a metre."""
LEAST_GATE_M = 0.5
LEAST_PAIRS = 40
"""20 m of line."""
LEAST_SHARE = 0.3
"""Of the sighting's samples that must have a partner."""
SAME_WAY_COS = 0.9
HOLD = 20.0
"""Weight, in pairs, that holds the motion at none."""
ARM_M = 10.0
"""A turn counts as the way of a point so far from the vehicle."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a sighting is to be moved."""

    shift: NDArray[np.float64]
    """(4, 4) map_from_sighting; no motion where `refused`."""
    pairs: int
    before_m: float
    """Mean distance across of the pairs as they were, and as they are after the motion."""
    after_m: float
    refused: str = ""
    """Why there is none; empty where there is."""

    @property
    def moved_m(self) -> float:
        """How far."""
        return float(np.hypot(self.shift[0, 3], self.shift[1, 3]))


@dataclass(frozen=True, eq=False)
class Lines:
    """Samples of lines: (N, 2) places, (N, 2) directions, (N,) classes, (N,) weights."""

    xy_m: NDArray[np.float64]
    along: NDArray[np.floating]
    label: NDArray[np.integer]
    weight: NDArray[np.floating]


def aligned(seen: Lines, known: Lines, centre_m: NDArray[np.float64], bound_m: float, bound_rad: float) -> Alignment:
    """The motion about `centre_m` of `seen` onto `known`. One beyond the bounds is refused."""
    if len(seen.xy_m) < LEAST_PAIRS or len(known.xy_m) < LEAST_PAIRS:
        return _refused("too few lines", 0)
    trees = {int(c): (np.flatnonzero(known.label == c)) for c in np.unique(known.label)}
    forest = {c: (cKDTree(known.xy_m[numbers]), numbers) for c, numbers in trees.items()}
    local = seen.xy_m - centre_m
    motion: NDArray[np.float64] = np.zeros(3)
    before = after = 0.0
    pairs = 0
    for turn, gate in enumerate(GATES_M):
        c, s = np.cos(motion[2]), np.sin(motion[2])
        rotation = np.array([[c, -s], [s, c]])
        placed, along = local @ rotation.T + motion[:2], seen.along @ rotation.T
        limit = max(gate * bound_m, LEAST_GATE_M)
        at, partner = _pairs(placed + centre_m, along, seen.label, forest, known, limit)
        pairs = len(at)
        if pairs < max(LEAST_PAIRS, LEAST_SHARE * len(local)):
            return _refused("too few lines that the map has", pairs)
        normal = np.column_stack([-known.along[partner][:, 1], known.along[partner][:, 0]])
        gap = known.xy_m[partner] - centre_m - placed[at]
        residual = (gap * normal).sum(-1)
        weight = seen.weight[at] * np.minimum(known.weight[partner], 1.0)
        weight = weight / max(float(weight.mean()), 1e-9) / (1 + np.square(residual / 0.3))
        arm = np.column_stack([-placed[at][:, 1], placed[at][:, 0]])
        rows = np.column_stack([normal, (arm * normal).sum(-1)])
        hold = HOLD * np.diag([1.0, 1.0, ARM_M**2])
        step = np.linalg.solve(
            rows.T @ (weight[:, None] * rows) + hold, rows.T @ (weight * residual) - hold @ motion
        )
        after = float(np.abs(residual).mean())
        before = after if turn == 0 else before
        motion = motion + step
    if np.hypot(*motion[:2]) > bound_m or abs(motion[2]) > bound_rad:
        words = f"{np.hypot(*motion[:2]):.2f} m and {np.degrees(abs(motion[2])):.1f} degrees"
        return _refused(f"beyond the bounds: {words}", pairs)
    return Alignment(about(centre_m, motion[:2], float(motion[2])), pairs, before, after)


def about(centre_m: NDArray[np.float64], way_m: NDArray[np.float64], turn: float) -> NDArray[np.float64]:
    """(4, 4) of a turn about a place, and then a way (2,)."""
    (x, y), (along_x, along_y) = centre_m, way_m
    return np.asarray(transform_from_yaw(x + along_x, y + along_y, turn) @ transform_from_yaw(-x, -y, 0.0))


def _pairs(
    xy_m: NDArray[np.float64], along: NDArray[np.floating], label: NDArray[np.integer],
    forest: dict[int, tuple[cKDTree, NDArray[np.int64]]], known: Lines, limit_m: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Numbers of seen samples and of their partners: the nearest of their class that runs the same way."""
    ours, theirs = [], []
    for c, (tree, numbers) in forest.items():
        own = np.flatnonzero(label == c)
        if not len(own):
            continue
        distance, nearest = tree.query(xy_m[own], distance_upper_bound=limit_m)
        found = np.isfinite(distance)
        partner = numbers[nearest[found]]
        same = np.abs((along[own[found]] * known.along[partner]).sum(-1)) >= SAME_WAY_COS
        ours.append(own[found][same])
        theirs.append(partner[same])
    empty = np.zeros(0, np.int64)
    return (np.concatenate(ours), np.concatenate(theirs)) if ours else (empty, empty)


def _refused(reason: str, pairs: int) -> Alignment:
    return Alignment(np.eye(4), pairs, 0.0, 0.0, reason)
