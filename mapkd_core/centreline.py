"""Cell chains to smooth, sub-cell accurate centre lines: the accuracy half of the vectorizer (docs/vectorizer.md).

All chains are handled at once: `points` (P, 2) holds the (col, row) points of every chain one after the other,
and `starts` (C + 1,) the index at which each begins.  Integer coordinates are cell centres here.
"""
from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Index = NDArray[np.intp]

STEP_CELLS = 2.0
"""Spacing of the points of a centre line."""
_REACH = 5
"""How far across a line its profile is looked at, in cells."""


def smooth(points: Points, starts: Index, radius: int) -> Points:
    """Centred moving average along each chain; the window narrows toward the ends, which stay where they are."""
    index = np.arange(len(points))
    first, last = np.repeat(starts[:-1], np.diff(starts)), np.repeat(starts[1:] - 1, np.diff(starts))
    r = np.minimum(radius, np.minimum(index - first, last - index))
    total = np.concatenate([np.zeros((1, points.shape[1])), np.cumsum(points, 0, dtype=np.float64)])
    return ((total[index + r + 1] - total[index - r]) / (2 * r + 1)[:, None]).astype(np.float32)


def resample(points: Points, starts: Index, step: float = STEP_CELLS) -> tuple[Points, Index]:
    """Points at equal distances of about `step` along each chain, both ends kept."""
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    # A jump between chains gets no points, because every target lies inside a chain.
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    begin, end = along[starts[:-1]], along[starts[1:] - 1]
    pieces = np.maximum(np.rint((end - begin) / step).astype(int), 1)
    new_starts = np.concatenate([[0], np.cumsum(pieces + 1)])
    chain = np.repeat(np.arange(len(pieces)), pieces + 1)
    fraction = (np.arange(new_starts[-1]) - new_starts[chain]) / pieces[chain]
    target = begin[chain] + fraction * (end - begin)[chain]
    resampled = np.stack([np.interp(target, along, points[:, k]) for k in (0, 1)], 1)
    return resampled.astype(np.float32), new_starts


def tangents(points: Points, starts: Index, radius: int = 2) -> Points:
    """Unit direction of travel at every point, from the points `radius` before and after it."""
    index = np.arange(len(points))
    first, last = np.repeat(starts[:-1], np.diff(starts)), np.repeat(starts[1:] - 1, np.diff(starts))
    chord = points[np.minimum(index + radius, last)] - points[np.maximum(index - radius, first)]
    return chord / np.maximum(np.linalg.norm(chord, axis=1, keepdims=True), 1e-6)


def centre(
    points: Points, starts: Index, channel: NDArray[np.intp], scores: NDArray[np.uint8]
) -> tuple[Points, NDArray[np.float32]]:
    """Moves every point to the middle of its class's profile across the line; also the line's width in cells there.

    `scores` (4, Y, X) are read at `channel` (P,). The profile is cut at the first valley on either side, so a
    neighbouring parallel line does not pull.
    """
    direction = tangents(points, starts)
    normal = np.stack([-direction[:, 1], direction[:, 0]], 1)
    offsets = np.arange(-_REACH, _REACH + 1, dtype=np.float32)
    where = points[:, None] + offsets[None, :, None] * normal[:, None]  # P K 2
    profile = sample(scores, where, channel[:, None])
    profile = np.where(_inside(where, scores), profile, 0).astype(np.float32)
    profile[:, _REACH:] = np.minimum.accumulate(profile[:, _REACH:], 1)
    profile[:, _REACH::-1] = np.minimum.accumulate(profile[:, _REACH::-1], 1)
    weight = np.maximum(profile - 0.25 * profile[:, _REACH : _REACH + 1], 0)
    mass = weight.sum(1)
    shift = np.clip((weight @ offsets) / np.maximum(mass, 1e-3), -2, 2)
    peak = np.maximum(profile[:, _REACH], 1)
    return points + shift[:, None] * normal, mass / (0.75 * peak)


def sample(scores: NDArray[np.uint8], where: Points, channel: NDArray[np.intp]) -> NDArray[np.uint8]:
    """`scores` (4, Y, X) of a class at positions (..., 2), bilinear; `channel` broadcasts against (...)."""
    height, width = scores.shape[1:]
    # The channels lie one below the other in memory, so one look-up serves all classes.
    row = np.clip(where[..., 1], 0, height - 1) + channel * height
    flat = cv2.remap(
        scores.reshape(-1, width),
        where[..., 0].reshape(len(where), -1).astype(np.float32),
        row.reshape(len(where), -1).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return flat.reshape(where.shape[:-1])  # type: ignore[no-any-return]


def _inside(where: Points, scores: NDArray[np.uint8]) -> NDArray[np.bool_]:
    height, width = scores.shape[1:]
    return ((where > -0.5) & (where < [width - 0.5, height - 0.5])).all(-1)


def extend_ends(
    lines: list[Points],
    classes: Index,
    closed: NDArray[np.bool_],
    scores: NDArray[np.uint8],
    label: NDArray[np.uint8],
    half_width: float = 2.5,
) -> list[Points]:
    """Continues each open line straight ahead to where its class ends, less half a line's width.

    A drawn line reaches half its width beyond its last vertex. One that leaves the grid is continued to the border.
    """
    open_lines = np.flatnonzero(~closed)
    if len(open_lines) == 0:
        return lines
    tips = np.stack([lines[k][0] for k in open_lines] + [lines[k][-1] for k in open_lines])
    inner = np.stack([lines[k][min(4, len(lines[k]) - 1)] for k in open_lines] + [lines[k][max(-5, -len(lines[k]))] for k in open_lines])
    heading = tips - inner
    heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-6)
    steps = np.arange(0, 12.1, 0.5, dtype=np.float32)
    where = tips[:, None] + steps[None, :, None] * heading[:, None]  # E S 2
    inside = _inside(where, scores)
    col = np.clip(np.rint(where[..., 0]).astype(int), 0, scores.shape[2] - 1)
    row = np.clip(np.rint(where[..., 1]).astype(int), 0, scores.shape[1] - 1)
    own = (label[row, col] == np.tile(classes[open_lines], 2)[:, None]) | ~inside
    leaves = np.argmin(own, 1)
    leaves[own.all(1)] = len(steps) - 1
    border = np.argmin(inside, 1)
    to_border = (border > 0) & (border <= leaves)
    reach = np.where(to_border, steps[border], np.maximum(steps[leaves] - 0.25 - half_width, 0))
    ends = tips + reach[:, None] * heading
    count = len(open_lines)
    extended = list(lines)
    for k, line in enumerate(open_lines):
        extended[line] = np.concatenate([ends[k : k + 1], lines[line], ends[count + k : count + k + 1]])
    return extended
