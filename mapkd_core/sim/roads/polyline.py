"""Arc-length arithmetic on polylines and the smooth curves that roads and paths are made of. Metres, radians."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.geometry import distances_along, interpolated

Line = NDArray[np.float64]
"""(N, 2) vertices."""


def length_m(points_m: ArrayLike) -> float:
    """Length of a polyline."""
    return float(distances_along(points_m)[-1])


def at_arc(points_m: ArrayLike, s_m: ArrayLike) -> Line:
    """Points (..., 2) at distances `s_m` along the line; straight on beyond either end."""
    points = np.asarray(points_m, np.float64)
    return at_known_arc(points, distances_along(points), s_m)


def at_known_arc(points: Line, arcs_m: NDArray[np.float64], s_m: ArrayLike) -> Line:
    """`at_arc` for a line whose vertices' `distances_along` are known."""
    s = np.asarray(s_m, np.float64)
    found = interpolated(points, arcs_m, s)
    if s.size and (s.min() < 0 or s.max() > arcs_m[-1]):
        head = (points[1] - points[0]) / max(arcs_m[1] - arcs_m[0], 1e-9)
        tail = (points[-1] - points[-2]) / max(arcs_m[-1] - arcs_m[-2], 1e-9)
        found += np.minimum(s, 0)[..., None] * head
        found += np.maximum(s - arcs_m[-1], 0)[..., None] * tail
    return found


def resampled(points_m: ArrayLike, step_m: float = 1.0) -> Line:
    """The line with vertices evenly spaced by about `step_m`, both ends kept."""
    points = np.asarray(points_m, np.float64)
    arcs = distances_along(points)
    length = float(arcs[-1])
    return at_known_arc(points, arcs, np.linspace(0.0, length, max(2, round(length / step_m) + 1)))


def part(points_m: ArrayLike, start_m: float, end_m: float, step_m: float = 1.0) -> Line:
    """The stretch between two distances along the line, evenly resampled."""
    return at_arc(points_m, evenly(start_m, end_m, step_m))


def evenly(start_m: float, end_m: float, step_m: float = 1.0) -> NDArray[np.floating]:
    """Distances from one to another, both included, about `step_m` apart."""
    return np.asarray(np.linspace(start_m, end_m, max(2, round((end_m - start_m) / step_m) + 1)), np.float64)


def headings(points_m: ArrayLike) -> NDArray[np.float64]:
    """Unwrapped direction (N,) at every vertex."""
    slope = _slopes(points_m)
    return np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))


def left_normals(points_m: ArrayLike) -> Line:
    """Unit vectors (N, 2) to the left of the driving direction."""
    slope = _slopes(points_m)
    squares = slope * slope
    slope /= np.maximum(np.sqrt(squares[:, 0] + squares[:, 1]), 1e-9)[:, None]
    normals = np.empty_like(slope)
    np.negative(slope[:, 1], out=normals[:, 0])
    normals[:, 1] = slope[:, 0]
    return normals


def _slopes(points_m: ArrayLike) -> Line:
    """Change (N, 2) of place from vertex to vertex, as `numpy.gradient` has it; roads ask for it thousands of times."""
    points = np.asarray(points_m, np.float64)
    slope = np.empty_like(points)
    slope[1:-1] = points[2:] - points[:-2]
    slope[1:-1] /= 2
    slope[0], slope[-1] = points[1] - points[0], points[-1] - points[-2]
    return slope


def shifted(points_m: ArrayLike, left_m: ArrayLike) -> Line:
    """Every vertex moved to the left by `left_m`, a number or one per vertex (negative is right)."""
    points = np.asarray(points_m, np.float64)
    return points + left_normals(points) * np.broadcast_to(np.asarray(left_m, np.float64), len(points))[:, None]


def smooth_step(x: ArrayLike) -> NDArray[np.float64]:
    """0 for x <= 0, 1 for x >= 1, and between them a curve with level ends."""
    clipped = np.clip(np.asarray(x, np.float64), 0, 1)
    return clipped * clipped * (3 - 2 * clipped)


def hermite(start: ArrayLike, start_heading: float, end: ArrayLike, end_heading: float, step_m: float = 1.0) -> Line:
    """A smooth curve that leaves `start` and reaches `end` with the given headings (cubic Hermite)."""
    p, q = np.asarray(start, np.float64), np.asarray(end, np.float64)
    pull = np.sqrt(np.sum(np.square(q - p)))
    # A circle's quarter is met best with a pull of about 1.1 chords; a straight line needs one.
    turn = abs((end_heading - start_heading + np.pi) % (2 * np.pi) - np.pi)
    pull *= 1.0 + 0.17 * min(turn / (np.pi / 2), 2.0) ** 2
    a = pull * np.array([np.cos(start_heading), np.sin(start_heading)])
    b = pull * np.array([np.cos(end_heading), np.sin(end_heading)])
    from_p, from_a, from_q, from_b = _HERMITE
    return resampled(from_p * p + from_a * a + from_q * q + from_b * b, step_m)


_T = np.linspace(0, 1, 65)[:, None]
_HERMITE = 2 * _T**3 - 3 * _T**2 + 1, _T**3 - 2 * _T**2 + _T, -2 * _T**3 + 3 * _T**2, _T**3 - _T**2
"""Shares of both ends and both directions in the curve."""


def smoothed(points_m: ArrayLike, window_m: float, step_m: float = 1.0, passes: int = 2) -> Line:
    """The line with corners rounded by a moving average over `window_m`; the ends stay where they are."""
    points = resampled(points_m, step_m)
    half = max(1, round(window_m / step_m / 2))
    kernel = np.ones(2 * half + 1) / (2 * half + 1)
    for _ in range(passes):
        # Point reflection about the ends keeps both them and their direction.
        front, back = 2 * points[0] - points[half:0:-1], 2 * points[-1] - points[-2 : -half - 2 : -1]
        if len(points) <= half + 1:
            return points
        padded = np.concatenate([front, points, back])
        points = np.stack([np.convolve(padded[:, k], kernel, "valid") for k in (0, 1)], 1)
    return resampled(points, step_m)


def tightest_radius_m(points_m: ArrayLike) -> float:
    """Smallest radius of curvature along the line (infinite for a straight one)."""
    points = resampled(points_m, 2.0)
    if len(points) < 4:
        return float("inf")
    bend = np.abs(np.gradient(headings(points))) / np.maximum(np.gradient(distances_along(points)), 1e-9)
    return float(1.0 / max(bend.max(), 1e-9))
