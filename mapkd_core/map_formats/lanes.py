"""Lanes between the lines of a street map.

A lane is a strip 2.2 to 5.5 m wide between two lines that run within 30 degrees of each other. Where one begins or
ends, all beside it are cut too, so that neighbors share whole pieces of lines and followers share their ends. Which way
a lane goes: `lane_ways.py`. Source: ours.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from mapkd_core.geometry import distances_along
from mapkd_core.map_formats.lane_map import Lane, Lanes, Piece, Points
from mapkd_core.map_formats.lane_strips import SNAP_M, Strip, cuts_of, length_m, strips_between
from mapkd_core.map_formats.lane_ways import Traffic, directed
from mapkd_core.mapping.street_map import StreetElement, StreetMap


def lanes_of(street_map: StreetMap, paths_m: Sequence[Points] = (), traffic: Traffic = "right") -> Lanes:
    """The lanes of a map; `paths_m` (N, 2 or 3) are the ways of drives in the map's frame, where known."""
    elements = [e for e in street_map.elements if e.label in ("divider", "boundary") and length_m(e.points_m) > 0.1]
    lines = [element.points_m for element in elements]
    strips = strips_between(lines)
    cuts = cuts_of(lines, strips)
    pieces: list[Piece] = []
    first = []
    for element, at in zip(elements, cuts, strict=True):
        first.append(len(pieces))
        pieces += _pieces(element, at)
    every = Lanes(tuple(pieces), tuple(lane for strip in strips for lane in _lanes_along(strip, cuts, first)), ())
    return directed(replace(every, lanes=tuple(_alone(filter(every.is_simple, every.lanes)))), paths_m, traffic)


def _pieces(element: StreetElement, cuts: list[float]) -> list[Piece]:
    """An element cut; a new vertex lies on the line between its neighbors."""
    line = element.points_m
    along = distances_along(line[:, :2])

    def place(at: float) -> tuple[int, bool]:
        """The vertex there, or the one beyond a new one."""
        there = np.flatnonzero(np.abs(along - at) <= 1e-9)
        return (int(there[0]), False) if len(there) else (int(np.searchsorted(along, at)), True)

    places = [(0, False), *(place(at) for at in cuts[1:-1]), (len(line) - 1, False)]
    pieces = []
    for number, ((begin, end), ((a, new_a), (b, new_b))) in enumerate(
        zip(pairwise(cuts), pairwise(places), strict=True)
    ):
        first, last = (np.array([[np.interp(at, along, column) for column in line.T]]) for at in (begin, end))
        points = [first] * new_a + [line[a : b if new_b else b + 1]] + [last] * new_b
        pieces.append(Piece(element, number, np.concatenate(points), (new_a, new_b)))
    return pieces


def _lanes_along(strip: Strip, cuts: list[list[float]], first: list[int]) -> list[Lane]:
    """The lanes between two lines, each along the first of the two."""
    mine, theirs = cuts[strip.line], np.array(cuts[strip.other])
    low, high = strip.at[0], strip.at[-1]
    places = [k for k, at in enumerate(mine) if low - SNAP_M <= at <= high + SNAP_M]
    beside = [int(np.abs(theirs - strip.mapped(strip.line, float(np.clip(mine[k], low, high)))).argmin())
              for k in places]  # fmt: skip
    lanes = []
    for k, (a, b) in zip(places, pairwise(beside), strict=False):
        middle = (mine[k] + mine[k + 1]) / 2
        if abs(b - a) == 1 and low <= middle <= high:
            own, other, turned = first[strip.line] + k, first[strip.other] + min(a, b), b < a
            lanes.append(Lane(other, own, turned, False) if strip.on_left else Lane(own, other, False, turned))
    return lanes


def _alone(lanes: Iterable[Lane]) -> list[Lane]:
    """At most one lane on each side of a piece."""
    taken: set[tuple[int, bool]] = set()
    kept = []
    for lane in lanes:
        # the side of the piece, as seen along it, on which the lane lies
        sides = {(lane.left, lane.left_reversed), (lane.right, not lane.right_reversed)}
        if not sides & taken:
            taken |= sides
            kept.append(lane)
    return kept
