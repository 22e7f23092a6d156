"""Joins pieces of lines across junctions, gaps and places hidden by another class (see docs/vectorizer.md)."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

_HEADING_POINTS = 5
_GAP_SAMPLES = 17
_OWN_MARGIN = 10
"""A skeleton ends this many cells before its mask does (both ends of a gap together)."""


@dataclass(frozen=True)
class Ends:
    """Both ends of C chains: rows 0..C-1 are the first points, rows C..2C-1 the last ones."""

    points: Points
    """(2C, 2) positions in cells."""
    headings: Points
    """(2C, 2) unit vectors leading out of the chain."""


def ends_of(chains: list[Points]) -> Ends:
    """Positions and outward headings of the chains' ends; the heading is that of the last few points."""
    heads = np.stack([c[0] for c in chains] + [c[-1] for c in chains])
    inner = np.stack(
        [c[min(_HEADING_POINTS, len(c) - 1)] for c in chains] + [c[max(-1 - _HEADING_POINTS, -len(c))] for c in chains]
    )
    out = heads - inner
    return Ends(heads, out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6))


def link(
    chains: list[Points],
    classes: NDArray[np.intp],
    label: NDArray[np.uint8],
    max_gap: float,
    max_unseen: float,
    embeddings: NDArray[np.float32] | None = None,
    max_embedding_distance: float = 1.5,
) -> tuple[list[Points], NDArray[np.intp], NDArray[np.bool_]]:
    """Joins chains of one class whose ends continue each other, straightest and shortest joins first.

    `chains` are (N, 2) points in cells, `label` (Y, X) the class of each cell (0 background). A gap may be
    `max_gap` cells long, of which `max_unseen` lie on background: cells of another class, and two cells round
    them, hide a line rather than end it. `embeddings` (2C, E) of the ends, where given, forbid joins of ends that
    differ by more than `max_embedding_distance`. Returns the joined chains, their classes, and which are rings.
    """
    count = len(chains)
    first, second, closable = _candidates(chains, classes, label, max_gap, max_unseen, embeddings, max_embedding_distance)
    partner = np.full(2 * count, -1)
    root = np.arange(count)
    rings = np.zeros(count, bool)
    for i, j, may_close in zip(first.tolist(), second.tolist(), closable.tolist(), strict=True):
        if partner[i] >= 0 or partner[j] >= 0:
            continue
        a, b = root[i % count], root[j % count]
        if a == b:
            if not may_close:
                continue
            rings[a] = True
        root[root == b] = a
        rings[a] |= rings[b]
        partner[i], partner[j] = j, i
    return _assemble(chains, classes, partner, root, rings)


def _candidates(
    chains: list[Points],
    classes: NDArray[np.intp],
    label: NDArray[np.uint8],
    max_gap: float,
    max_unseen: float,
    embeddings: NDArray[np.float32] | None,
    max_embedding_distance: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Pairs of ends that may be joined, best first."""
    count = len(chains)
    ends = ends_of(chains)
    first, second = np.triu_indices(2 * count, 1)
    gap = ends.points[second] - ends.points[first]
    length = np.hypot(gap[:, 0], gap[:, 1])
    keep = (classes[first % count] == classes[second % count]) & (length < max_gap + _OWN_MARGIN)
    first, second, gap, length = first[keep], second[keep], gap[keep], length[keep]

    out_first, out_second = ends.headings[first], ends.headings[second]
    turn = np.arccos(np.clip(-(out_first * out_second).sum(1), -1, 1))
    ahead = np.minimum((gap * out_first).sum(1), -(gap * out_second).sum(1))
    miss = np.maximum(
        np.abs(gap[:, 0] * out_first[:, 1] - gap[:, 1] * out_first[:, 0]),
        np.abs(gap[:, 0] * out_second[:, 1] - gap[:, 1] * out_second[:, 0]),
    )
    # Across a junction (a few cells) only the turn counts; the longer the gap, the straighter it must be.
    near = length < 12
    fits = np.where(near, turn < np.deg2rad(50), turn < np.deg2rad(30))
    fits &= (ahead > -3) & (miss < 3 + 0.2 * length)
    own_length = np.array([len(c) for c in chains])
    itself = first % count == second % count
    fits &= ~itself | (own_length[first % count] > 10)
    if embeddings is not None:
        fits &= np.linalg.norm(embeddings[first] - embeddings[second], axis=1) < max_embedding_distance
    first, second, length, turn, miss = first[fits], second[fits], length[fits], turn[fits], miss[fits]

    other, unseen = length * _gap_cover(ends.points[first], ends.points[second], classes[first % count], label)
    order = np.argsort(unseen + 0.3 * length + 2 * miss + 10 * turn, kind="stable")
    order = order[(unseen[order] < max_unseen) & (other[order] < max_gap)]
    return first[order], second[order], length[order] < 20


def _gap_cover(start: Points, end: Points, classes: NDArray[np.intp], label: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(2, G) shares of each gap: off its own class, and off every class (nothing there that could hide a line)."""
    if len(start) == 0:
        return np.zeros((2, 0))
    t = np.linspace(0, 1, _GAP_SAMPLES, dtype=np.float32)[None, :, None]
    cells = np.rint(start[:, None] * (1 - t) + end[:, None] * t).astype(int)
    # Labels clear two cells round a later class, and two more where lines of five cells end.
    covered = cv2.dilate(label, np.ones((5, 5), np.uint8))
    col = np.clip(cells[..., 0], 0, label.shape[1] - 1)
    row = np.clip(cells[..., 1], 0, label.shape[0] - 1)
    own = label[row, col] == classes[:, None]
    return np.stack([1 - own.mean(1), 1 - (own | (covered[row, col] > 0)).mean(1)])


def _assemble(
    chains: list[Points],
    classes: NDArray[np.intp],
    partner: NDArray[np.intp],
    root: NDArray[np.intp],
    rings: NDArray[np.bool_],
) -> tuple[list[Points], NDArray[np.intp], NDArray[np.bool_]]:
    count = len(chains)
    used = np.zeros(count, bool)
    lines, line_classes, line_rings = [], [], []
    # Open lines are walked from an end without partner; what is left after them are rings.
    loose = [e for e in range(2 * count) if partner[e] < 0] + list(range(count))
    for end in loose:
        if used[end % count]:
            continue
        parts = []
        while not used[end % count]:
            chain = end % count
            used[chain] = True
            parts.append(chains[chain] if end < count else chains[chain][::-1])
            end = int(partner[chain + count if end < count else chain])
            if end < 0:
                break
        ring = bool(rings[root[chain]])
        lines.append(np.concatenate([*parts, parts[0][:1]] if ring else parts))
        line_classes.append(classes[chain])
        line_rings.append(ring)
    return lines, np.array(line_classes, np.intp), np.array(line_rings, bool)
