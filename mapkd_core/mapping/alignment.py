"""The rigid motion in the plane that puts a set's lines onto those of a map, within bounds, or the reason why not.

Point-to-line least squares, repeated with a narrowing gate (iterative closest point; Chen and Medioni, 1992). Lines
that all run one way say nothing of the motion along them: what no line shows is held at no motion.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

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

LEAST_GAIN, SMALL_M = 0.2, 0.2
"""A motion farther than the second must take away this share of the misfit, a smaller one must not add to it."""
STARTS_M = 1.5
"""Shifts that are tried first lie so far apart: beyond that the nearest line is no longer the right one."""
ALONE_M = 0.5
"""A sample without a partner counts as misfit by so much."""
LEAST_TOLD = 0.03
"""Share of lines across a motion, below which nothing tells of it."""
SURE = 0.85
"""The best shift must leave less than this share of the misfit of the next best, or it is not known which is right."""
FAR_APART_M = 1.0
"""Two results nearer than this are the same."""


Forest = dict[int, tuple[cKDTree, NDArray[np.int64]]]
"""Of each class the places of the map's samples, and their numbers."""
_NO_MOTION = np.eye(4)


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a sighting is to be moved."""

    shift: NDArray[np.float64]
    """(4, 4) map_from_sighting; no motion where `refused`."""
    pairs: int
    before_m: float
    """Mean distance of all samples from the lines of the map across these, before the motion, and after it; a sample
    without a line counts as `ALONE_M`."""
    after_m: float
    refused: str = ""
    """Why there is none; empty where there is."""

    @property
    def moved_m(self) -> float:
        """How far."""
        return float(np.hypot(self.shift[0, 3], self.shift[1, 3]))

    def way_m(self, place_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2,) the way of a place (2,)."""
        return np.asarray(self.shift[:2, :2] @ place_m + self.shift[:2, 3] - place_m)


@dataclass(frozen=True, eq=False)
class Lines:
    """Samples of lines: (N, 2) places, (N, 2) directions, (N,) classes, (N,) weights."""

    xy_m: NDArray[np.float64]
    along: NDArray[np.floating]
    label: NDArray[np.integer]
    weight: NDArray[np.floating]


def aligned(seen: Lines, known: Lines, centre_m: NDArray[np.float64], bound_m: float, bound_rad: float) -> Alignment:
    """The motion about `centre_m` of `seen` onto `known`. One beyond the bounds, or that brings nothing, is refused."""
    if len(seen.xy_m) < LEAST_PAIRS or len(known.xy_m) < LEAST_PAIRS:
        return _refused("too few lines", 0)
    forest = _forest(known)
    found = _descent(seen, known, forest, centre_m, bound_m, bound_rad)
    return _checked(found, _misfit_m(seen, forest, known), centre_m)


def _checked(found: Alignment, before_m: float, centre_m: NDArray[np.float64]) -> Alignment:
    """A motion that brings the lines about a place nearer to those of the map; else refused."""
    if found.refused:
        return found
    far = float(np.linalg.norm(found.way_m(centre_m))) > SMALL_M
    if found.after_m > before_m * (1 - LEAST_GAIN * far):
        return _refused("no better than before", found.pairs)
    return replace(found, before_m=before_m)


def _forest(known: Lines) -> Forest:
    """The places of each class, and their numbers."""
    numbers = {int(c): np.flatnonzero(known.label == c) for c in np.unique(known.label)}
    return {c: (cKDTree(known.xy_m[own]), own) for c, own in numbers.items()}


def _descent(
    seen: Lines, known: Lines, forest: Forest, centre_m: NDArray[np.float64], bound_m: float, bound_rad: float
) -> Alignment:
    """The motion to which repeated least squares lead; what was before is not looked at."""
    local = seen.xy_m - centre_m
    motion: NDArray[np.float64] = np.zeros(3)
    pairs = 0
    for gate in GATES_M:
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
        motion = motion + step
    if np.hypot(*motion[:2]) > bound_m or abs(motion[2]) > bound_rad:
        words = f"{np.hypot(*motion[:2]):.2f} m and {np.degrees(abs(motion[2])):.1f} degrees"
        return _refused(f"beyond the bounds: {words}", pairs)
    shift = about(centre_m, motion[:2], float(motion[2]))
    return Alignment(shift, pairs, 0.0, _misfit_m(seen, forest, known, shift))


def about(centre_m: NDArray[np.float64], way_m: NDArray[np.float64], turn: float) -> NDArray[np.float64]:
    """(4, 4) of a turn about a place, and then a way (2,)."""
    (x, y), (along_x, along_y) = centre_m, way_m
    return np.asarray(transform_from_yaw(x + along_x, y + along_y, turn) @ transform_from_yaw(-x, -y, 0.0))


def _pairs(
    xy_m: NDArray[np.float64], along: NDArray[np.floating], label: NDArray[np.integer],
    forest: Forest, known: Lines, limit_m: float,
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


def _misfit_m(seen: Lines, forest: Forest, known: Lines, shift: NDArray[np.float64] = _NO_MOTION) -> float:
    """Mean distance of all samples from the lines of the map after a motion, as `Alignment.after_m`."""
    placed, along = seen.xy_m @ shift[:2, :2].T + shift[:2, 3], seen.along @ shift[:2, :2].T
    at, partner = _pairs(placed, along, seen.label, forest, known, ALONE_M)
    normal = np.column_stack([-known.along[partner][:, 1], known.along[partner][:, 0]])
    distance = np.full(len(placed), ALONE_M)
    distance[at] = np.abs(((known.xy_m[partner] - placed[at]) * normal).sum(-1))
    return float(distance.mean())


def fitted(seen: Lines, known: Lines, bound_m: float, bound_rad: float) -> Alignment:
    """The motion of `seen` onto `known` among all shifts within the bound; refused where two fit about as well.

    `pairs` is 0 where the two have no line in common.
    """
    reach = bound_m + STARTS_M
    if len(known.xy_m):
        near = np.isfinite(cKDTree(known.xy_m).query(seen.xy_m, distance_upper_bound=reach)[0])
        seen = Lines(seen.xy_m[near], seen.along[near], seen.label[near], seen.weight[near])
    if min(len(seen.xy_m), len(known.xy_m)) < LEAST_PAIRS:
        return _refused("no lines in common", 0)
    centre, forest = seen.xy_m.mean(0), _forest(known)
    steps = np.arange(-np.floor(bound_m / STARTS_M), np.floor(bound_m / STARTS_M) + 1) * STARTS_M
    starts = sorted(((x, y) for x in steps for y in steps if np.hypot(x, y) <= bound_m), key=lambda xy: np.hypot(*xy))
    results: list[tuple[float, NDArray[np.float64], Alignment]] = []
    for x, y in starts:
        shifted = Lines(seen.xy_m + (x, y), seen.along, seen.label, seen.weight)
        one = _descent(shifted, known, forest, centre + (x, y), STARTS_M, bound_rad)
        start = np.eye(4)
        start[:2, 3] = x, y
        whole = replace(one, shift=one.shift @ start)
        way = whole.way_m(centre)
        if not one.refused and np.hypot(*way) <= bound_m:
            results.append((one.after_m, way, whole))
    if not results:
        return _refused(f"no shift within {bound_m:g} m fits", len(seen.xy_m))
    least, place, best = min(results, key=lambda result: result[0])
    for misfit, way, other in results:  # the smallest shift first
        if least >= SURE * misfit and np.linalg.norm(way - place) > FAR_APART_M:
            if _told(seen, way - place):
                return _refused("two shifts fit about as well", best.pairs)
            if np.linalg.norm(way) < np.linalg.norm(place):
                place, best = way, other
    return _checked(best, _misfit_m(seen, forest, known), centre)


def _told(seen: Lines, way_m: NDArray[np.float64]) -> bool:
    """Whether lines tell of a motion: those that run along it do not."""
    across = np.abs(seen.along[:, 0] * way_m[1] - seen.along[:, 1] * way_m[0]) / np.linalg.norm(way_m)
    return float(np.square(across).mean()) > LEAST_TOLD


def _refused(reason: str, pairs: int) -> Alignment:
    return Alignment(np.eye(4), pairs, 0.0, 0.0, reason)
