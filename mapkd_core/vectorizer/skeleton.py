"""Thin line masks to one-cell chains: the topology half of the vectorizer (see docs/explanation/vectorizer.md)."""
from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.vectorizer.bitplane import Mask, grow, neighbours, shrink

Cells = NDArray[np.int32]
"""(N, 2) col, row."""


def thin(plane: int, stride: int, max_passes: int) -> int:
    """Thins a bit plane to lines one cell wide; regions wider than about 2 * `max_passes` cells vanish.

    Two-subiteration parallel thinning of Guo and Hall (CACM 1989).
    """
    # One plain erosion stands for the first pass; what is too thin to survive it stays as it is. The hairline cut
    # between the two, where a line's width changes, is closed when pieces are linked.
    core = shrink(plane, stride)
    plane = core | _without(plane, grow(grow(core, stride), stride))
    unchanged = 0
    for side in (0, 4) * (max_passes - 1):
        thinned = _thinned(plane, stride, side)
        unchanged = unchanged + 1 if thinned == plane else 0
        if unchanged == 2:
            return plane
        plane = thinned
    # Whatever still has an inside was no line: its ragged outline would become hundreds of false branches.
    return _without(plane, grow(grow(shrink(plane, stride), stride), stride))


def _without(plane: int, other: int) -> int:
    """`plane & ~other`: Python has no quick complement of a large integer."""
    return plane ^ (plane & other)


def _thinned(plane: int, stride: int, first: int) -> int:
    """One sub-iteration: takes cells off the sides that lie east of the way (`first` 0) or west of it (`first` 4)."""
    p2, p3, p4, p5, p6, p7, p8, p9 = neighbours(plane, stride)
    # Cyclic pairs of neighbours, from p9 | p2 and from p2 | p3 on.
    a, b, c, d = p9 | p2, p3 | p4, p5 | p6, p7 | p8
    e, f, g, h = p2 | p3, p4 | p5, p6 | p7, p8 | p9
    # The neighbours form one connected piece: exactly one of four gaps between the sides is followed by a cell.
    north, east, south, west = (b | p2) ^ p2, (c | p4) ^ p4, (d | p6) ^ p6, (a | p8) ^ p8
    one = _without(north ^ east ^ south ^ west, north & east | south & west)
    # Two or three pairs are occupied, whichever way of pairing gives fewer: neither an end nor the inside.
    ab, cd, ef, gh = a & b, c & d, e & f, g & h
    two = (ab | cd | (a | b) & (c | d)) & (ef | gh | (e | f) & (g | h))
    removable = _without(plane & one & two, ab & cd & ef & gh)
    side, corner, beyond = (p4, p5, e) if first == 0 else (p8, p9, g)
    kept = _without(side, _without(corner, beyond))
    return plane ^ _without(removable, kept)


def split_at_junctions(skeleton: int, stride: int) -> tuple[int, int]:
    """Removes the 3x3 cells round every junction; returns the branches and the removed zone, which may run over."""
    p2, p3, p4, p5, p6, p7, p8, p9 = neighbours(skeleton, stride)
    # Going round, a way begins where an empty neighbour is followed by a cell; that cannot happen twice in a row,
    # so each of these four counts at most one.
    a, b = (p2 | p3) ^ p2 | (p3 | p4) ^ p3, (p4 | p5) ^ p4 | (p5 | p6) ^ p5
    c, d = (p6 | p7) ^ p6 | (p7 | p8) ^ p7, (p8 | p9) ^ p8 | (p9 | p2) ^ p9
    three = a & b & (c | d) | c & d & (a | b)
    zone = grow(skeleton & three, stride)
    return _without(skeleton, zone), zone


def without_crumbs(branches: int, stride: int, passes: int) -> int:
    """Drops branches of up to 2 * `passes` cells: taking the ends off that often leaves nothing to grow back from."""
    core = branches
    for _ in range(passes):
        some = several = 0
        for plane in neighbours(core, stride):
            several |= some & plane
            some |= plane
        core &= several
    for _ in range(passes):
        core = grow(core, stride) & branches
    return core


def chains(branches: Mask, min_cells: int, max_chains: int) -> list[Cells]:
    """Orders the cells of each branch from end to end: a list of (N, 2) arrays of (col, row), longest first.

    A ring comes as an open chain whose last cell touches its first. Branches of fewer than `min_cells` cells
    are left out, and so are all but the `max_chains` longest, which bounds the work on noise.
    """
    contours, hierarchy = cv2.findContours(branches, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # The outline of a one-cell line walks along it and back, but round a ring only once; holes (with a parent)
    # repeat a ring's cells.
    outlines = [
        c for c, parent in zip(contours, hierarchy[0, :, 3].tolist() if contours else (), strict=True)
        if parent < 0 and len(c) >= min_cells
    ]
    outlines = sorted(outlines, key=len, reverse=True)[:max_chains]
    if not outlines:
        return []
    cells = np.ascontiguousarray(np.concatenate(outlines)[:, 0], np.int32)
    starts = np.array([0, *itertools.accumulate(map(len, outlines))])
    ends = starts[1:]
    # Both coordinates of a cell as one number; the walk turns back where the cells before and after are the same.
    key = cells.view(np.int64)[:, 0]
    before, after = np.empty_like(key), np.empty_like(key)
    before[1:], after[:-1] = key[:-1], key[1:]
    before[starts[:-1]], after[ends - 1] = key[ends - 1], key[starts[:-1]]
    turns = np.flatnonzero(before == after)
    bounds = np.searchsorted(turns, starts).tolist()
    found = []
    for (start, stop), (low, high) in zip(itertools.pairwise(starts.tolist()), itertools.pairwise(bounds), strict=True):
        if high - low == 2:
            found.append(cells[turns[low] : turns[low + 1] + 1])
        elif high == low:
            found.append(cells[start:stop])
        else:
            found += _cut(cells[start:stop], (turns[low:high] - start).tolist())
    return sorted((c for c in found if len(c) >= min_cells), key=len, reverse=True)[:max_chains]


def _cut(outline: Cells, turns: list[int]) -> list[Cells]:
    """The chains in a closed outline with more than two ends, each cell used once.

    It holds a junction that the neighbour codes did not show; later stretches drop cells already used.
    """
    outline = np.roll(outline, -turns[0], 0)
    first = np.zeros(len(outline), bool)
    first[np.unique(outline.view(np.int64), return_index=True)[1]] = True
    cuts = [*(turn - turns[0] for turn in turns), len(outline)]
    return [outline[a : b + 1][first[a : b + 1]] for a, b in itertools.pairwise(cuts)]
