"""Pitch errors of calibrations, estimated from the map's own lines over a drive. Ours.

On a flat road a camera whose transform looks up by a small angle e too much puts what is d metres ahead of it
(1 + e (d + h^2 / d) / h) times as far away, h being its height. A line that runs o metres beside the camera then turns
by o e / h: parallel lines spread with distance where e is positive, and close in where it is negative. That shows in
cameras that look along the road. A wrong height moves all lines aside in proportion and leaves them parallel: it does
not show.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.ground_view import best_camera
from mapkd_core.cameras.plausibility import Mounted
from mapkd_core.geometry import distances_along, evenly_spaced
from mapkd_core.types import MapElement

GAIN, OFFSET_DEG = 0.47, 0.15
"""What lines show of an error, and show without one: networks draw lines more parallel than a wrong calibration would,
and even with a right one they spread a little. Measured with `nano` on simulated drives (benchmarks/line_drift.py)."""
SPREAD_DEG = 0.4
"""Standard deviation from drive to drive that more maps do not lower: roads are not flat, and lines not parallel."""
STEEPEST_TURN_DEG = 10.0
"""Between a line and the camera's axis: others belong to crossing roads, or the vehicle turns."""
SHORTEST_M, STEP_M = 8.0, 1.0
TOLERANCE_M = 0.25
"""Points farther from the common shape count less (Huber 1964)."""
PRIOR_DEG = 3.0
"""Of one map: what so few points may say at most."""
TOLD_DEG = 1.0
"""Smallest error that is worth a warning: it costs a quarter of the score."""
MEMORY_MAPS = 300.0
"""Older maps fade, as mountings may move."""
FEWEST_MAPS = 20
SAME_MOUNTING = 5e-3
_TURNS = 4


@dataclass(frozen=True)
class PitchEstimate:
    """How much higher a camera looks by its calibration than in truth, degrees, with a standard deviation."""

    error_deg: float
    sigma_deg: float
    maps: int
    """From which it was made."""

    @property
    def doubtful(self) -> bool:
        """True if a user should look: a degree or more, and beyond twice the standard deviation."""
        return abs(self.error_deg) >= max(TOLD_DEG, 2 * self.sigma_deg)


class _Sums:
    """Weighted least squares for one angle, map by map."""

    def __init__(self, base_from_camera: NDArray[np.float64]) -> None:
        self.base_from_camera = base_from_camera
        # Replaced as a whole, because another thread may read it
        self._sums: tuple[int, NDArray[np.float64]] = (0, np.zeros(5))

    def add(self, h: float, v: float) -> None:
        maps, sums = self._sums
        self._sums = (maps + 1, (1 - 1 / MEMORY_MAPS) * sums + (h, v, h * h, h * v, v * v))

    def estimate(self) -> PitchEstimate | None:
        maps, sums = self._sums
        h, v, hh, hv, vv = sums.tolist()
        if maps < FEWEST_MAPS or h <= 0:
            return None
        shown = v / h
        variance = (vv - 2 * shown * hv + shown * shown * hh) / h**2
        error_deg = (math.degrees(shown) - OFFSET_DEG) / GAIN
        sigma_deg = math.hypot(math.degrees(math.sqrt(max(variance, 0.0))) / GAIN, SPREAD_DEG)
        return PitchEstimate(error_deg, sigma_deg, maps)


class LineDrift:
    """Collects what the lines of each map say about the pitch of the cameras that look along the road.

    Feed maps that are some metres apart: those of one place say the same again. One thread may `see` while another asks
    for `estimates`.
    """

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def see(self, elements: Sequence[MapElement], cameras: Mapping[str, Mounted]) -> None:
        """One map (lines in metres of the vehicle's frame), with the cameras it was made of."""
        lines = [
            evenly_spaced(element.points_m[:, :2], 1 + int(length / STEP_M))
            for element in elements
            if element.label != "ped_crossing" and not element.closed
            and (length := distances_along(element.points_m[:, :2])[-1]) >= SHORTEST_M
        ]  # fmt: skip
        if len(lines) < 2:
            return
        points = np.concatenate(lines)
        given = [(one.model.intrinsics, one.base_from_camera, one.model.size) for one in cameras.values()]
        seen_by = best_camera(np.column_stack([points, np.zeros(len(points))]), *zip(*given, strict=True))
        parts = np.split(seen_by, np.cumsum([len(line) for line in lines])[:-1])
        for place, (name, camera) in enumerate(cameras.items()):
            own = [line[part == place] for line, part in zip(lines, parts, strict=True)]
            found = _spreading(own, camera.base_from_camera)
            if found is None:
                continue
            sums = self._sums.get(name)
            if sums is None or np.abs(sums.base_from_camera - camera.base_from_camera).max() > SAME_MOUNTING:
                sums = self._sums[name] = _Sums(camera.base_from_camera)
            sums.add(*found)

    def estimates(self) -> dict[str, PitchEstimate]:
        """Camera -> its pitch error, for cameras that have seen enough of lines along their axis."""
        found = {name: sums.estimate() for name, sums in list(self._sums.items())}
        return {name: estimate for name, estimate in found.items() if estimate is not None}


def _spreading(
    lines: Sequence[NDArray[np.float64]], base_from_camera: NDArray[np.float64]
) -> tuple[float, float] | None:
    """(h, v) of one camera's part of a map, of which v / h is the angle that its lines show, radians.

    Lines share direction and curvature; each has a place of its own. None where lines are too few.
    """
    axis = base_from_camera[:2, 2]
    height_m = float(base_from_camera[2, 3])
    if np.linalg.norm(axis) < 0.5 or height_m <= 0:
        return None
    axis = axis / np.linalg.norm(axis)
    along_aside = np.stack([axis, [-axis[1], axis[0]]], 1)
    fit = []
    for line in lines:
        if len(line) < SHORTEST_M / STEP_M:
            continue
        local = (line - base_from_camera[:2, 3]) @ along_aside
        reach = np.abs(local[-1] - local[0])
        if reach[1] <= math.tan(math.radians(STEEPEST_TURN_DEG)) * reach[0]:
            fit.append(local[local[:, 0] > 1.0])
    fit = [local for local in fit if len(local)]
    if len(fit) < 2:
        return None
    points = np.concatenate(fit)
    along, aside = points[:, 0], points[:, 1]
    shape = np.zeros((len(along), len(fit) + 2))
    shape[np.arange(len(along)), np.repeat(np.arange(len(fit)), [len(local) for local in fit])] = 1
    shape[:, -2], shape[:, -1] = along, along**2 / 10
    weight: NDArray[np.float64] = np.ones(len(along))
    for _ in range(_TURNS):
        parallel = shape @ _solved(shape, aside, weight)
        weight = _huber(aside - parallel)
    spread = (parallel * (along + height_m**2 / along) / height_m)[:, None]
    both = np.hstack([shape, spread])
    prior = np.zeros(both.shape[1])
    prior[-1] = (TOLERANCE_M / 5 / math.radians(PRIOR_DEG)) ** 2
    for _ in range(_TURNS):
        weight = _huber(aside - both @ _solved(both, aside, weight, prior))
    root = np.sqrt(weight)[:, None]
    basis, _ = np.linalg.qr(shape * root)
    of_spread, rest = (part - basis @ (basis.T @ part) for part in (spread * root, aside[:, None] * root))
    h = float((of_spread**2).sum())
    return (h, float((of_spread * rest).sum())) if h > 0 else None


def _solved(
    terms: NDArray[np.float64], values: NDArray[np.float64], weight: NDArray[np.float64], prior: object = 0.0
) -> NDArray[np.float64]:
    """Coefficients of the weighted least squares."""
    normal = (terms * weight[:, None]).T @ terms + np.diag(np.full(terms.shape[1], 1e-9) + prior)
    return np.asarray(np.linalg.solve(normal, (terms * weight[:, None]).T @ values))


def _huber(rest_m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.minimum(1.0, TOLERANCE_M / np.maximum(np.abs(rest_m), 1e-6))
