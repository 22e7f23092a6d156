"""Thin line masks to one-cell chains: the topology half of the vectorizer (see docs/vectorizer.md)."""
from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

# Bit of each neighbour in a cell's code; numbered P2..P9 clockwise from the top as in the thinning literature.
_BITS = np.array([[1, 2, 4], [128, 0, 8], [64, 32, 16]], np.float32)
_AROUND = np.ones((3, 3), np.uint8)


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """What a cell's neighbour code says: keep it in the odd pass, keep it in the even pass, and is it a junction."""
    code = np.arange(256)
    p2, p3, p4, p5, p6, p7, p8, p9 = ((code >> bit) & 1 for bit in (1, 2, 3, 4, 5, 6, 7, 0))
    components = (
        ((1 - p2) & (p3 | p4)) + ((1 - p4) & (p5 | p6)) + ((1 - p6) & (p7 | p8)) + ((1 - p8) & (p9 | p2))
    )
    pairs = np.minimum(
        (p9 | p2) + (p3 | p4) + (p5 | p6) + (p7 | p8),
        (p2 | p3) + (p4 | p5) + (p6 | p7) + (p8 | p9),
    )
    removable = (components == 1) & (pairs >= 2) & (pairs <= 3)
    odd = removable & (((p2 | p3 | (1 - p5)) & p4) == 0)
    even = removable & (((p6 | p7 | (1 - p9)) & p8) == 0)
    ring = np.stack([p2, p3, p4, p5, p6, p7, p8, p9])
    junction = ((np.roll(ring, -1, 0) - ring) == 1).sum(0) >= 3
    return (~odd).astype(np.uint8), (~even).astype(np.uint8), junction.astype(np.uint8)


def _neighbour_codes(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.filter2D(mask, -1, _BITS, borderType=cv2.BORDER_CONSTANT)  # type: ignore[return-value]


def thin(mask: NDArray[np.uint8], max_passes: int) -> NDArray[np.uint8]:
    """Thins a 0/1 mask (Y, X) to lines one cell wide; regions wider than about 2 * `max_passes` cells vanish.

    Two-subiteration parallel thinning of Guo and Hall (CACM 1989), as look-ups in a 256-entry table.
    """
    keep_odd, keep_even, _ = _tables()
    remaining = cv2.countNonZero(mask)
    for _ in range(max_passes):
        for keep in (keep_odd, keep_even):
            mask = cv2.bitwise_and(mask, cv2.LUT(_neighbour_codes(mask), keep))  # type: ignore[assignment]
        before, remaining = remaining, cv2.countNonZero(mask)
        if remaining == before:
            return mask
    # Whatever still has an inside was no line: its ragged outline would become hundreds of false branches.
    inside = cv2.erode(mask, _AROUND, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    fat = cv2.dilate(inside, np.ones((5, 5), np.uint8))
    return cv2.bitwise_and(mask, 1 - fat)  # type: ignore[return-value]


def split_at_junctions(skeleton: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Removes the 3x3 cells round every junction; returns the branches (0/1) and the removed zone (0/1)."""
    junction = cv2.bitwise_and(skeleton, cv2.LUT(_neighbour_codes(skeleton), _tables()[2]))
    zone = cv2.dilate(junction, _AROUND)
    return cv2.bitwise_and(skeleton, 1 - zone), zone  # type: ignore[return-value]


def chains(branches: NDArray[np.uint8], min_cells: int, max_chains: int) -> list[NDArray[np.int32]]:
    """Orders the cells of each branch from end to end: a list of (N, 2) arrays of (col, row), longest first.

    A ring comes as an open chain whose last cell touches its first. Branches of fewer than `min_cells` cells
    are left out, and so are all but the `max_chains` longest, which bounds the work on noise.
    """
    contours, hierarchy = cv2.findContours(branches, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if hierarchy is None:
        return []
    # The outline of a one-cell line walks along it and back; holes (hierarchy parent >= 0) repeat a ring's cells.
    outlines = [c[:, 0] for c, parent in zip(contours, hierarchy[0, :, 3], strict=True) if parent < 0 and len(c) > 2]
    outlines = sorted(outlines, key=len, reverse=True)[:max_chains]
    found = [chain for outline in outlines for chain in _walk(outline) if len(chain) >= min_cells]
    return sorted(found, key=len, reverse=True)[:max_chains]


def _walk(outline: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """The chains in one closed outline: cut where it turns back on itself, each cell used once."""
    turns = np.flatnonzero((np.roll(outline, 1, 0) == np.roll(outline, -1, 0)).all(1))
    if len(turns) == 0:
        return [outline]
    if len(turns) == 2:
        return [outline[turns[0] : turns[1] + 1]]
    # More than two ends: a junction that the neighbour codes did not show. Later stretches drop cells already used.
    outline = np.roll(outline, -turns[0], 0)
    keys = outline[:, 1].astype(np.int64) * (1 << 20) + outline[:, 0]
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, return_index=True)[1]] = True
    cuts = [*(turns - turns[0]), len(keys)]
    return [outline[a : b + 1][first[a : b + 1]] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
