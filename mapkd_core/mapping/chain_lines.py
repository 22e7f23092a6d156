"""Polylines of chains: samples without their jitter, and the vertices of what was there before where it still is."""
from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.mapping.line_samples import LineSamples
from mapkd_core.mapping.prior import Kept, PriorElements

SIMPLE_M = 0.05
"""Vertices are left out where the line stays this near to them."""
SMOOTHING = 3
"""Rounds of a mean over three neighbors."""


def chain_line(
    lines: LineSamples, numbers: NDArray[np.int64], closed: bool, prior: PriorElements, kept: Kept
) -> NDArray[np.float64]:
    """(N, 3) vertices of the samples of a chain, in the direction of the element that was there before, if any.

    The last is the first of a closed one.
    """
    of, step = lines.of[numbers], lines.step[numbers]
    on = (of[1:] == of[:-1]) & (of[1:] >= 0)
    if np.sign(np.diff(step))[on].sum() < 0:
        numbers, of, step = numbers[::-1], of[::-1], step[::-1]
    stays = kept.sample[numbers]
    if not stays.any():
        return _smooth(lines.xyz_m[numbers], closed)
    begins = _begins(of, step, stays)
    if closed and begins.any():
        turned = (np.arange(len(numbers)) + int(begins.argmax())) % len(numbers)
        numbers, of, step, stays, begins = numbers[turned], of[turned], step[turned], stays[turned], begins[turned]
    begins[0] = True
    smooth = _smoothed(lines.xyz_m[numbers], closed)
    parts: list[NDArray[np.float64]] = []
    for run in np.split(np.arange(len(numbers)), np.flatnonzero(begins)[1:]):
        if stays[run[0]]:
            parts.append(prior.part(int(of[run[0]]), int(step[run[0]]), int(step[run[-1]])))
        else:
            parts.append(_simple(smooth[run]))
    points = np.concatenate([*parts, parts[0][:1]] if closed else parts)
    different = np.any(points[1:] != points[:-1], axis=1)
    return np.concatenate([points[:1], points[1:][different]])


def _begins(of: NDArray[np.int32], step: NDArray[np.int32], stays: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) where in a chain another piece begins: of an element in one direction, or of what is new."""
    begins = np.zeros(len(of), bool)
    begins[1:] = (stays[1:] != stays[:-1]) | (stays[1:] & (of[1:] != of[:-1]))
    way, last = 0, 0
    for k in np.flatnonzero(stays[1:] & ~begins[1:]) + 1:
        turn = int(np.sign(step[k] - step[k - 1]))
        begins[k] = turn == 0 or (way != 0 and last == k - 1 and turn != way)
        way, last = (0 if begins[k] else turn), int(k)
    return begins


def _smoothed(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    line = np.array(points)
    for _ in range(SMOOTHING):
        if closed:
            line = (np.roll(line, 1, axis=0) + 2 * line + np.roll(line, -1, axis=0)) / 4
        else:
            line[1:-1] = (line[:-2] + 2 * line[1:-1] + line[2:]) / 4
    return line


def _simple(line: NDArray[np.float64], least: int = 2) -> NDArray[np.float64]:
    if len(line) < 2:
        return line
    simple = shapely.get_coordinates(shapely.LineString(line).simplify(SIMPLE_M), include_z=True)
    return simple if len(simple) >= least else line


def _smooth(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """A chain without the samples' jitter, with fewer vertices."""
    line = _smoothed(points, closed)
    return _simple(np.vstack([line, line[:1]]), 4) if closed else _simple(line)
