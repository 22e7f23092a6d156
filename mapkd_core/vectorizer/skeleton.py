"""Lines several cells wide to chains of cells, one cell wide: the topology half of the vectorizer.

Thinning follows Z. Guo and R. W. Hall, "Parallel thinning with two-subiteration algorithms", CACM 32(3), 1989,
algorithm A1. The conditions below carry the paper's names; p2..p9 are a cell's neighbours, clockwise from the north.
(OpenCV thins only in its contrib build, which would take the place of the headless one that users have.)
"""
from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_CELLS
from mapkd_core.vectorizer.bitplane import Mask, grow, neighbours, pack, shrink, stride_of, unpack, without

Cells = NDArray[np.int32]
"""(N, 2) cells of a raster as (col, row)."""

_MIN_CHAIN_CELLS = 6
"""A shorter chain has no direction; the gap that it leaves is bridged when chains are linked."""
_SPUR_CELLS = LINE_CELLS
"""A side branch no longer than a line is wide comes from a ragged outline, not from a line."""
_CROWD_CELLS = 40
"""More branch cells than this for each chain that may be kept: most branches are short fragments, as in noise."""


def trace_chains(line_map: Mask, max_line_cells: int, max_chains: int) -> list[Cells]:
    """The lines of a class map (Y, X) as chains of cells from end to end, cut at junctions, longest first.

    Regions wider than `max_line_cells` are no lines. Only the `max_chains` longest chains are kept, which bounds the
    work on noise.
    """
    stride, shape = stride_of(line_map.shape), line_map.shape
    skeleton = thin(pack(line_map), stride, max(max_line_cells // 2, 1))
    branches, junctions = split_at_junctions(skeleton, stride)
    if branches.bit_count() > _CROWD_CELLS * max_chains:
        branches = without_short_fragments(branches, stride, (_MIN_CHAIN_CELLS - 1) // 2)
    found = chains(unpack(branches, shape), _MIN_CHAIN_CELLS, max_chains)
    if found and len(found[-1]) <= _SPUR_CELLS:
        near_junction = unpack(grow(junctions, stride), shape)
        found = [chain for chain in found if not _is_spur(chain, near_junction)]
    return found


def thin(plane: int, stride: int, max_passes: int) -> int:
    """Thins a bit plane to lines one cell wide; regions wider than about 2 * `max_passes` cells vanish."""
    # One plain erosion stands for the first pass; what is too thin to survive it stays as it is. The hairline cut
    # between the two, where a line's width changes, is closed when chains are linked.
    core = shrink(plane, stride)
    plane = core | without(plane, grow(grow(core, stride), stride))
    unchanged = 0
    for odd in (True, False) * (max_passes - 1):
        thinned = thin_once(plane, stride, odd)
        unchanged = unchanged + 1 if thinned == plane else 0
        if unchanged == 2:
            return plane
        plane = thinned
    # Whatever still has an inside was no line: its ragged outline would become hundreds of false branches.
    return without(plane, grow(grow(shrink(plane, stride), stride), stride))


def thin_once(plane: int, stride: int, odd: bool) -> int:
    """One sub-iteration of Guo and Hall: deletes the cells that fulfil conditions (a), (b) and (c) of the paper."""
    p2, p3, p4, p5, p6, p7, p8, p9 = neighbours(plane, stride)
    p23, p34, p45, p56, p67, p78, p89, p92 = p2 | p3, p3 | p4, p4 | p5, p5 | p6, p6 | p7, p7 | p8, p8 | p9, p9 | p2
    # (a) C(p) = 1: the neighbours form one connected piece. C counts the sides that are empty and followed by a cell.
    a = _exactly_one(without(p34, p2), without(p56, p4), without(p78, p6), without(p92, p8))
    # (b) 2 <= N(p) <= 3 with N = min(N1, N2): neither an end of a line nor the inside of a region. N1 and N2 count the
    # occupied pairs in both ways of pairing the neighbours.
    two_of_n1, all_of_n1 = _two_and_all(p92, p34, p56, p78)
    two_of_n2, all_of_n2 = _two_and_all(p23, p45, p67, p89)
    b = without(two_of_n1 & two_of_n2, all_of_n1 & all_of_n2)
    # (c) The cell lies on the north or east side of a region, in even sub-iterations on the south or west side:
    # (p2 | p3 | not p5) & p4 = 0, or (p6 | p7 | not p9) & p8 = 0. These are the left-hand sides.
    must_be_zero = without(p4, without(p5, p23)) if odd else without(p8, without(p9, p67))
    return plane ^ without(plane & a & b, must_be_zero)


def _exactly_one(a: int, b: int, c: int, d: int) -> int:
    """The cells that are set in one of four planes: in an odd number of them, and not in three."""
    return without(a ^ b ^ c ^ d, a & b | c & d)


def _two_and_all(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    """The cells that are set in two or more of four planes, and those that are set in all."""
    ab, cd = a & b, c & d
    return ab | cd | (a | b) & (c | d), ab & cd


def split_at_junctions(skeleton: int, stride: int) -> tuple[int, int]:
    """Removes the 3x3 cells round every junction; returns the branches and the removed zone, which may run over.

    A junction is a cell from which three or more ways lead: as many neighbours are set whose predecessor is empty.
    """
    p2, p3, p4, p5, p6, p7, p8, p9 = neighbours(skeleton, stride)
    # Of two consecutive neighbours only one can begin a way, so each of these four counts at most one.
    a, b = without(p3, p2) | without(p4, p3), without(p5, p4) | without(p6, p5)
    c, d = without(p7, p6) | without(p8, p7), without(p9, p8) | without(p2, p9)
    three = a & b & (c | d) | c & d & (a | b)
    zone = grow(skeleton & three, stride)
    return without(skeleton, zone), zone


def without_short_fragments(branches: int, stride: int, passes: int) -> int:
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
    """Orders the cells of each branch (Y, X) from end to end, longest branch first.

    A ring comes as an open chain whose last cell touches its first. Branches of fewer than `min_cells` cells
    are left out, and so are all but the `max_chains` longest.
    """
    contours, hierarchy = cv2.findContours(branches, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # The outline of a one-cell line walks along it and back, but round a ring only once; holes (with a parent)
    # repeat a ring's cells.
    outlines = [
        c for c, parent in zip(contours, hierarchy[0, :, 3].tolist() if contours else (), strict=True)
        if parent < 0 and len(c) >= min_cells
    ]  # fmt: skip
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
            found += _cut_at_turns(cells[start:stop], (turns[low:high] - start).tolist())
    return sorted((c for c in found if len(c) >= min_cells), key=len, reverse=True)[:max_chains]


def _cut_at_turns(outline: Cells, turns: list[int]) -> list[Cells]:
    """The chains in a closed outline with more than two ends, each cell used once.

    It holds a junction that the neighbour codes did not show; later stretches drop cells already used.
    """
    outline = np.roll(outline, -turns[0], 0)
    first = np.zeros(len(outline), bool)
    first[np.unique(outline.view(np.int64), return_index=True)[1]] = True
    cuts = [*(turn - turns[0] for turn in turns), len(outline)]
    return [outline[a : b + 1][first[a : b + 1]] for a, b in itertools.pairwise(cuts)]


def _is_spur(chain: Cells, near_junction: Mask) -> bool:
    """A short side branch of a wide line: one end at a junction, the other loose, no longer than a line is wide."""
    if len(chain) > _SPUR_CELLS:
        return False
    (first_col, first_row), (last_col, last_row) = chain[0], chain[-1]
    return bool(near_junction[first_row, first_col]) != bool(near_junction[last_row, last_col])
