"""Which lines of a map run side by side, and where each is cut so that lanes share whole pieces of them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along, points_at

Points = NDArray[np.float64]
WIDTHS_M = (2.2, 5.5)
"""Of a lane."""
LARGEST_ANGLE_DEG = 30.0
"""Between the lines of a lane."""
SHORTEST_M = 4.0
SNAP_M = 2.0
"""Cuts of one line nearer to each other than this are one."""
_STEP_M = 1.0


@dataclass(frozen=True)
class Strip:
    """A stretch of `line` with `other` beside it, by distances along both, station by station."""

    line: int
    other: int
    on_left: bool
    """Whether `other` is on the left of `line`."""
    at: NDArray[np.float64]
    other_at: NDArray[np.float64]

    @cached_property
    def _from_line(self) -> tuple[Points, Points]:
        return self.at, self.other_at

    @cached_property
    def _from_other(self) -> tuple[Points, Points]:
        order = np.argsort(self.other_at, kind="stable")
        return self.other_at[order], self.at[order]

    def mapped(self, line: int, at: float) -> float | None:
        """Where the strip has `at` of one of its lines on the other; None beyond its ends."""
        mine, theirs = self._from_line if line == self.line else self._from_other
        return float(np.interp(at, mine, theirs)) if mine[0] - 1e-9 <= at <= mine[-1] + 1e-9 else None


def length_m(points_m: Points) -> float:
    """Length on the ground of a line (N, 2 or 3)."""
    return float(distances_along(points_m[:, :2])[-1])


def strips_between(lines: Sequence[Points]) -> list[Strip]:
    """Where two lines run beside each other, each pair seen from the first of the two."""
    if not lines:
        return []
    ends = [np.stack([line[:-1, :2], line[1:, :2]], 1) for line in lines]
    segments = np.concatenate(ends)                                                                      # S 2 2
    owner = np.repeat(np.arange(len(lines)), [len(e) for e in ends])
    start = np.concatenate([distances_along(line[:, :2])[:-1] for line in lines])
    tree = shapely.STRtree([shapely.LineString(segment) for segment in segments])
    found = []
    for number, line in enumerate(lines):
        for side in (1.0, -1.0):
            at, other, other_at = _seen(line[:, :2], side, number, tree, segments, owner, start)
            for begin, end in _runs(at, other, other_at):
                strip = Strip(number, int(other[begin]), side > 0, at[begin:end], other_at[begin:end])
                if strip.other > number and np.ptp(strip.at) >= SHORTEST_M and np.ptp(strip.other_at) >= SHORTEST_M:
                    found.append(strip)
    return found


def _seen(
    line: Points, side: float, number: int, tree: shapely.STRtree, segments: Points, owner: NDArray, start: Points
) -> tuple[NDArray, NDArray, NDArray]:
    """Stations along a line, the nearest line on its left (side 1) or right there (-1 for none), and where on it."""
    length = length_m(line)
    at = np.linspace(0, length, max(2, int(length / _STEP_M) + 1))
    # a little inside, so that the ends see a line that begins at the very same place
    here = points_at(line, np.clip(at, 1e-3, max(length - 1e-3, 1e-3)))
    ahead = points_at(line, at + 0.5) - points_at(line, at - 0.5)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-12)
    across = side * np.stack([-ahead[:, 1], ahead[:, 0]], -1)
    rays = shapely.linestrings(np.stack([here, here + WIDTHS_M[1] * across], 1))
    ray, segment = tree.query(rays, predicate="intersects")
    a, along = segments[segment, 0], segments[segment, 1] - segments[segment, 0]
    between = a - here[ray]
    turn = across[ray, 0] * along[:, 1] - across[ray, 1] * along[:, 0]
    usable = np.abs(turn) > 1e-12
    ray, segment, between, along, turn = (v[usable] for v in (ray, segment, between, along, turn))
    distance = (between[:, 0] * along[:, 1] - between[:, 1] * along[:, 0]) / turn
    share = (between[:, 0] * across[ray, 1] - between[:, 1] * across[ray, 0]) / turn
    size = np.linalg.norm(along, axis=1)
    cosine = np.abs((along * ahead[ray]).sum(1)) / np.maximum(size, 1e-12)
    blocks = (distance > 0.3) | ((owner[segment] != number) & (distance > 1e-6))
    ray, segment, distance, share, size, cosine = (
        v[blocks] for v in (ray, segment, distance, share, size, cosine)
    )  # fmt: skip
    order = np.lexsort((distance, ray))
    nearest = order[np.unique(ray[order], return_index=True)[1]]
    good = nearest[
        (distance[nearest] >= WIDTHS_M[0]) & (cosine[nearest] >= np.cos(np.radians(LARGEST_ANGLE_DEG)))
        & (owner[segment[nearest]] != number)
    ]  # fmt: skip
    other, other_at = np.full(len(at), -1), np.zeros(len(at))
    other[ray[good]] = owner[segment[good]]
    other_at[ray[good]] = start[segment[good]] + np.clip(share[good], 0, 1) * size[good]
    return at, other, other_at


def _runs(at: Points, other: NDArray[np.int64], other_at: Points) -> list[tuple[int, int]]:
    """Stretches of stations with one and the same line beside them, along which it runs one way."""
    result, begin, way = [], 0, 0.0
    for k in range(1, len(at) + 1):
        step = other_at[k] - other_at[k - 1] if k < len(at) else 0.0
        goes_on = k < len(at) and other[k] == other[begin] and step * way >= 0 and abs(step) < 5 * _STEP_M
        if not goes_on:
            if other[begin] >= 0 and k - begin > 1:
                result.append((begin, k))
            begin, way = k, 0.0
        elif step:
            way = step
    return result


def cuts_of(lines: Sequence[Points], strips: Sequence[Strip]) -> list[list[float]]:
    """Where each line is cut: at its ends, where strips begin and end, and beside the cuts of its neighbors."""
    cuts = [[0.0, length_m(line)] for line in lines]
    of_line: dict[int, list[Strip]] = {}
    todo = []
    for strip in strips:
        for line, places in ((strip.line, strip.at), (strip.other, strip.other_at)):
            of_line.setdefault(line, []).append(strip)
            todo += [(line, float(places[0])), (line, float(places[-1]))]
    todo += [(line, at) for line, ends in enumerate(cuts) for at in ends]
    # a ring in halves: a lane whose bound ends where it begins has no beginning
    todo += [(line, cuts[line][1] / 2) for line, points in enumerate(lines) if np.array_equal(points[0], points[-1])]
    done = set()
    while todo:
        line, at = todo.pop()
        if (line, at) in done:
            continue
        done.add((line, at))
        nearest = min(cuts[line], key=lambda known, at=at: abs(known - at))  # type: ignore[misc]
        if abs(nearest - at) >= SNAP_M:
            cuts[line].append(at)
        elif at not in (0.0, cuts[line][1]):
            continue
        for strip in of_line.get(line, ()):
            there = strip.mapped(line, at)
            if there is not None:
                todo.append((strip.other if line == strip.line else strip.line, there))
    return [sorted(at) for at in cuts]
