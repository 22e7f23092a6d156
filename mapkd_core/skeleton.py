"""Thin line masks to one-cell chains: the topology half of the vectorizer (see docs/vectorizer.md)."""
from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Bit of each neighbour in a cell's code; numbered P2..P9 clockwise from the top as in the thinning literature.
_BITS = np.array([[1, 2, 4], [128, 0, 8], [64, 32, 16]], np.float32)
_AROUND = np.ones((3, 3), np.uint8)
_TWO_AROUND = np.ones((5, 5), np.uint8)

Mask = NDArray[Any]
"""(Y, X) uint8 of 0 and 1."""


@cache
def _tables() -> tuple[bytes, bytes, bytes]:
    """What a cell's neighbour code says: keep it in the odd pass, keep it in the even pass, and is it a junction."""
    code = np.arange(256)
    p2, p3, p4, p5, p6, p7, p8, p9 = ((code >> bit) & 1 for bit in (1, 2, 3, 4, 5, 6, 7, 0))
    components = ((1 - p2) & (p3 | p4)) + ((1 - p4) & (p5 | p6)) + ((1 - p6) & (p7 | p8)) + ((1 - p8) & (p9 | p2))
    pairs = np.minimum(
        (p9 | p2) + (p3 | p4) + (p5 | p6) + (p7 | p8),
        (p2 | p3) + (p4 | p5) + (p6 | p7) + (p8 | p9),
    )
    removable = (components == 1) & (pairs >= 2) & (pairs <= 3)
    odd = removable & (((p2 | p3 | (1 - p5)) & p4) == 0)
    even = removable & (((p6 | p7 | (1 - p9)) & p8) == 0)
    around = np.stack([p2, p3, p4, p5, p6, p7, p8, p9])
    junction = ((np.roll(around, -1, 0) - around) == 1).sum(0) >= 3
    return tuple(table.astype(np.uint8).tobytes() for table in (~odd, ~even, junction))  # type: ignore[return-value]


def _where(mask: Mask, table: bytes) -> Mask:
    """Cells of a 0/1 mask whose eight neighbours the table says yes to."""
    code = cv2.filter2D(mask, -1, _BITS, borderType=cv2.BORDER_CONSTANT)
    # bytes.translate looks a picture up in half of cv2.LUT's time.
    answer = np.frombuffer(code.tobytes().translate(table), np.uint8).reshape(mask.shape)
    return cv2.bitwise_and(mask, answer)


def thin(mask: Mask, max_passes: int) -> Mask:
    """Thins a 0/1 mask (Y, X) to lines one cell wide; regions wider than about 2 * `max_passes` cells vanish.

    Two-subiteration parallel thinning of Guo and Hall (CACM 1989), by look-up in a 256-entry table.
    """
    # One plain erosion stands for the first pass; what is too thin to survive it stays as it is. The hairline cut
    # between the two, where a line's width changes, is closed when pieces are linked.
    core = cv2.erode(mask, _AROUND, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    mask = cv2.bitwise_or(core, cv2.subtract(mask, cv2.dilate(core, _TWO_AROUND)))
    keep_odd, keep_even, _ = _tables()
    remaining = cv2.countNonZero(mask)
    for _ in range(max_passes - 1):
        mask = _where(_where(mask, keep_odd), keep_even)
        before, remaining = remaining, cv2.countNonZero(mask)
        if remaining == before:
            return mask
    # Whatever still has an inside was no line: its ragged outline would become hundreds of false branches.
    inside = cv2.erode(mask, _AROUND, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.subtract(mask, cv2.dilate(inside, _TWO_AROUND))


def split_at_junctions(skeleton: Mask) -> tuple[Mask, Mask]:
    """Removes the 3x3 cells round every junction; returns the branches (0/1) and the removed zone (0/1)."""
    zone = cv2.dilate(_where(skeleton, _tables()[2]), _AROUND)
    return cv2.subtract(skeleton, zone), zone


def chains(branches: Mask, min_cells: int, max_chains: int) -> list[NDArray[np.int32]]:
    """Orders the cells of each branch from end to end: a list of (N, 2) arrays of (col, row), longest first.

    A ring comes as an open chain whose last cell touches its first. Branches of fewer than `min_cells` cells
    are left out, and so are all but the `max_chains` longest, which bounds the work on noise.
    """
    contours, hierarchy = cv2.findContours(branches, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if hierarchy is None:
        return []
    # The outline of a one-cell line walks along it and back, but round a ring only once; holes (with a parent)
    # repeat a ring's cells.
    outlines = [
        c[:, 0] for c, parent in zip(contours, hierarchy[0, :, 3].tolist(), strict=True)
        if parent < 0 and len(c) >= min_cells
    ]
    outlines = sorted(outlines, key=len, reverse=True)[:max_chains]
    if not outlines:
        return []
    lengths = np.array([len(c) for c in outlines])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    cells = np.concatenate(outlines)
    index = np.arange(len(cells))
    before, after = index - 1, index + 1
    before[starts[:-1]], after[starts[1:] - 1] = starts[1:] - 1, starts[:-1]
    turns = np.flatnonzero((cells[before] == cells[after]).all(1))
    bounds = np.searchsorted(turns, starts).tolist()
    found = []
    for k, outline in enumerate(outlines):
        own = (turns[bounds[k] : bounds[k + 1]] - starts[k]).tolist()
        found += _cut(outline, own)
    return sorted((c for c in found if len(c) >= min_cells), key=len, reverse=True)[:max_chains]


def _cut(outline: NDArray[np.int32], turns: list[int]) -> list[NDArray[np.int32]]:
    """The chains in one closed outline: cut where it turns back on itself, each cell used once."""
    if not turns:
        return [outline]
    if len(turns) == 2:
        return [outline[turns[0] : turns[1] + 1]]
    # More than two ends: a junction that the neighbour codes did not show. Later stretches drop cells already used.
    outline = np.roll(outline, -turns[0], 0)
    keys = outline[:, 1].astype(np.int64) * (1 << 20) + outline[:, 0]
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, return_index=True)[1]] = True
    cuts = [*(turn - turns[0] for turn in turns), len(keys)]
    return [outline[a : b + 1][first[a : b + 1]] for a, b in itertools.pairwise(cuts)]
