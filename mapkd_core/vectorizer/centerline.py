"""Chains of cells to smooth center lines, accurate to a fraction of a cell (docs/explanation/vectorizer.md).

K is the number of positions in a profile across a line, P the number of points of all lines.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_CELLS
from mapkd_core.vectorizer.evidence import CROSSING, Evidence
from mapkd_core.vectorizer.lines import Floats, Indices, Lines, Points, first_and_last, starts_of, unit
from mapkd_core.vectorizer.skeleton import Cells

STEP_CELLS = 3.0
"""Spacing of the points of a center line: such a chord is a tenth of a cell off a curve of 12 cells radius."""
_CHAIN_RADIUS = 3
"""Cells each way over which a chain is averaged, which evens out its staircase."""
_SMOOTH_RADIUS = 2
"""Points each way over which centered points and widths are averaged."""
_REACH_CELLS = LINE_CELLS // 2 + 1
"""How far a profile reaches on either side: half a drawn line, and half a cell of blur."""
_FLOOR = 0.25
"""Share of a profile's peak that is taken off: below it is blur or noise, which would pull hardest from far away."""
_MAX_SHIFT_CELLS = 2
"""A point is moved no farther than this: a longer way would lead to another line."""
_CORNER = np.deg2rad(35)
"""Edges of crossings are straight; where one turns by more than this, two edges meet."""
_CORNER_POINTS = 3
"""Over so many points each way, smoothing has rounded a corner off but not hidden it."""
_END_POINTS, _BASE_POINTS = 2, 5
"""So many points at each end are put in line with so many before them: skeletons end in corners and junctions."""


def center_chains(chains: list[Cells], evidence: Evidence) -> Lines:
    """Chains of cells as lines through the middle of what was drawn, in cells; edges of crossings cut at corners.

    At least one chain is expected; each takes the class of its first cell.
    """
    starts = starts_of([len(chain) for chain in chains])
    col, row = np.concatenate(chains).T
    classes = evidence.class_map[row[starts[:-1]], col[starts[:-1]]].astype(np.intp)
    points, starts = resample((col + 1j * row).astype(np.complex64), starts, _CHAIN_RADIUS)
    points, widths = centered(points, starts, np.repeat(classes, np.diff(starts)), evidence)
    points, widths = smooth(points, widths, starts, _SMOOTH_RADIUS)
    points = straighten_ends(points, starts)
    return split_at_corners(Lines(points, starts, classes, widths, np.zeros(len(classes), np.bool_)), CROSSING)


def resample(cells: Points, starts: Indices, radius: int) -> tuple[Points, Indices]:
    """Points about `STEP_CELLS` apart along chains of cells, and where each line now begins.

    Both ends are kept. A point is the average over `radius` cells each way.
    """
    # The jumps between lines have lengths too, but get no points, because every target lies inside a line.
    along = np.zeros(len(cells), np.float32)
    np.cumsum(np.abs(cells[1:] - cells[:-1]), out=along[1:])
    begin = along[starts[:-1]]
    length = along[starts[1:] - 1] - begin
    steps = np.maximum(np.rint(length / STEP_CELLS).astype(np.intp), 1)
    counts = steps + 1
    new_starts = starts_of(counts)
    step = np.repeat(length / steps, counts)
    target = np.repeat(begin - 0.5 - new_starts[:-1] * (length / steps), counts) + np.arange(len(step)) * step
    index = np.searchsorted(along, target.astype(np.float32))
    index[new_starts[:-1]], index[new_starts[1:] - 1] = starts[:-1], starts[1:] - 1
    first, last = np.repeat(starts[:-1], counts), np.repeat(starts[1:] - 1, counts)
    return _averaged(cells, index, np.minimum(np.minimum(index - first, last - index), radius)), new_starts


def centered(points: Points, starts: Indices, classes: Indices, evidence: Evidence) -> tuple[Points, Floats]:
    """Moves every point (P,) to the middle of its class's profile across the line, and measures the width there.

    `classes` (P,) are those of the points. The profile is cut at the first valley on either side, so that a
    neighbouring parallel line does not pull. Widths are in cells.
    """
    # All profiles lie side by side, (K, P): long rows make every step a plain loop over memory.
    normal = _normals(points, starts)
    offsets = np.arange(-_REACH_CELLS, _REACH_CELLS + 1, dtype=np.float32)              # K
    col = points.real + offsets[:, None] * normal.real                                  # K P
    row = points.imag + offsets[:, None] * normal.imag
    rows, cols = evidence.class_map.shape
    middle_col, middle_row = (cols - 1) / 2, (rows - 1) / 2
    inside = (np.abs(col - middle_col) < middle_col + 0.5) & (np.abs(row - middle_row) < middle_row + 0.5)
    profile = (evidence.probability_at(col, row, classes) * inside).astype(np.float32)
    middle = _REACH_CELLS
    for k in range(1, _REACH_CELLS + 1):
        np.minimum(profile[middle + k], profile[middle + k - 1], out=profile[middle + k])
        np.minimum(profile[middle - k], profile[middle - k + 1], out=profile[middle - k])
    weight = np.maximum(profile / np.maximum(profile[middle], 1) - np.float32(_FLOOR), 0)
    shift = offsets @ weight / np.maximum(weight.sum(0), np.float32(1e-3))              # P
    # From full weight at three quarters of the peak to none at one: on a slope that is the place of the half.
    widths = np.minimum(2 * weight, 1).sum(0)
    return points + np.minimum(np.maximum(shift, -_MAX_SHIFT_CELLS), _MAX_SHIFT_CELLS) * normal, widths


def smooth(points: Points, widths: Floats, starts: Indices, radius: int) -> tuple[Points, Floats]:
    """Centered moving averages along each line; the window narrows toward the ends, which stay."""
    first, last = first_and_last(starts)
    index = np.arange(len(points))
    reach = np.minimum(np.minimum(index - first, last - index), radius)
    return _averaged(points, index, reach), _averaged(widths, index, reach)


def straighten_ends(points: Points, starts: Indices) -> Points:
    """Puts the last two points at each end in line with those before."""
    first, last = starts[:-1], starts[1:] - 1
    long = np.flatnonzero(last - first >= _END_POINTS + _BASE_POINTS)
    straight = points.copy()
    tip = np.concatenate([first[long], last[long]])
    inward = np.repeat([1, -1], len(long))
    base = points[tip + _END_POINTS * inward]
    outward = unit(base - points[tip + (_END_POINTS + _BASE_POINTS) * inward])
    for k in range(_END_POINTS):
        moved = tip + k * inward
        straight[moved] = base + ((points[moved] - base) * outward.conj()).real * outward
    return straight


def split_at_corners(lines: Lines, class_index: int) -> Lines:
    """Cuts the open lines of one class at their sharp corners."""
    starts = lines.starts
    index = np.flatnonzero(lines.point_classes == class_index)
    if len(index) == 0:
        return lines
    first, last = first_and_last(starts)
    before, after = np.maximum(index - _CORNER_POINTS, first[index]), np.minimum(index + _CORNER_POINTS, last[index])
    here = lines.points[index]
    turn = np.abs(np.angle((lines.points[after] - here) * (here - lines.points[before]).conj()))
    turn[(before == index) | (after == index)] = 0
    sharpest = (turn >= np.roll(turn, 1)) & (turn > np.roll(turn, -1)) & (turn > _CORNER)
    if not sharpest.any():
        return lines
    cut = np.sort(np.concatenate([starts, index[sharpest]]))
    line = np.searchsorted(starts, cut[:-1], "right") - 1
    return replace(lines, starts=cut, classes=lines.classes[line], closed=lines.closed[line])


def _averaged(values: NDArray[Any], index: Indices, reach: Indices) -> NDArray[Any]:
    """Means of `values` (P,) over `reach` neighbours on either side of `index`."""
    total = np.zeros(len(values) + 1, np.result_type(values, np.float64))
    np.cumsum(values, out=total[1:])
    return ((total[index + reach + 1] - total[index - reach]) / (2 * reach + 1)).astype(values.dtype)


def _normals(points: Points, starts: Indices) -> Points:
    """Unit vectors to the left of the way at every point, from the points two before and two after it."""
    index = np.arange(len(points))
    first, last = first_and_last(starts)
    return unit(points[np.minimum(index + 2, last)] - points[np.maximum(index - 2, first)]) * np.complex64(1j)
