"""Which way lanes go.

Lanes side by side make a roadway. Of one with boundaries on both sides, each half has its boundary on its right (in
left-hand traffic on its left); the middle lane of an odd number goes with the larger half. With a boundary on one side
alone, all lanes have it there. A double or yellow line, or one that the map calls a road divider, parts the two ways
instead of the middle. Where the drive's path runs in a lane, that lane and those on its right (left) go its way,
whatever the rest says. Lanes that follow each other go one way: the path's, or that of the greater length. Source:
ours.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import shapely

from mapkd_core.map_formats.lane_map import Lane, Lanes, Piece, Points
from mapkd_core.mapping.street_map import StreetElement

Traffic = Literal["right", "left"]
_DRIVEN = 1000.0
"""A metre of a lane that was driven counts as much as so many of others."""


def directed(found: Lanes, paths_m: Sequence[Points] = (), traffic: Traffic = "right") -> Lanes:
    """The same lanes, each in its driving direction, with the roadways that they form."""
    if traffic not in ("right", "left"):
        raise ValueError(f"traffic is {traffic!r}; expected 'right' or 'left'")
    lanes, roadways = list(found.lanes), []
    weight = [0.0] * len(lanes)
    tree = _PathTree(paths_m) if any(len(path) > 1 for path in paths_m) else None
    for chain in _chains(found.lanes):
        along = [lanes[k] if agrees else lanes[k].turned() for k, agrees in chain]
        driven = [0 if tree is None else tree.way(found, lane) for lane in along]
        ways = _ways([found.pieces[p] for p in (along[0].left, *(lane.right for lane in along))], driven, traffic)
        for (k, _), lane, way, path in zip(chain, along, ways, driven, strict=True):
            lanes[k] = lane if way > 0 else lane.turned()
            weight[k] = float(np.ptp(found.bounds_m(lane)[0], axis=0).max()) * (_DRIVEN if path else 1.0)
        roadways.append(tuple(k for k, _ in chain))
    for group in _followers(found, lanes):
        turn = sum(weight[k] if same else -weight[k] for k, same in group) < 0
        for k, same in group:
            lanes[k] = lanes[k].turned() if same == turn else lanes[k]
    return replace(found, lanes=tuple(lanes), roadways=tuple(roadways))


def _followers(found: Lanes, lanes: Sequence[Lane]) -> list[list[tuple[int, bool]]]:
    """Lanes that follow each other, and whether each goes the way of the first."""
    ends: dict[frozenset[tuple[float, ...]], list[tuple[int, bool]]] = {}
    keys = []
    for k, lane in enumerate(lanes):
        left, right = (np.round(bound[[0, -1], :2], 3) + 0.0 for bound in found.bounds_m(lane))
        keys.append([frozenset(map(tuple, (left[e].tolist(), right[e].tolist()))) for e in (0, 1)])
        for at_end in (False, True):
            ends.setdefault(keys[k][at_end], []).append((k, at_end))
    done: set[int] = set()
    groups = []
    for k in range(len(lanes)):
        todo, group = [(k, True)], []
        while todo:
            at, same = todo.pop()
            if at in done:
                continue
            done.add(at)
            group.append((at, same))
            for at_end in (False, True):
                meeting = ends[keys[at][at_end]]
                if len(meeting) == 2:  # where more meet, each may go where it likes
                    other, other_end = meeting[0] if meeting[1][0] == at else meeting[1]
                    todo.append((other, same == (at_end != other_end)))
        groups.append(group)
    return groups


def _chains(lanes: Sequence[Lane]) -> list[list[tuple[int, bool]]]:
    """Lanes side by side, from left to right in one direction, and whether each one runs in it."""
    of_piece: dict[int, list[int]] = {}
    for k, lane in enumerate(lanes):
        for piece in (lane.left, lane.right):
            of_piece.setdefault(piece, []).append(k)
    done: set[int] = set()
    chains = []
    for k in range(len(lanes)):
        if k in done:
            continue
        done.add(k)
        chain = [(k, True)]
        for to_right in (False, True):
            at, agrees = (k, True)
            while True:
                lane = lanes[at] if agrees else lanes[at].turned()
                piece, turned = (lane.right, lane.right_reversed) if to_right else (lane.left, lane.left_reversed)
                after = next((m for m in of_piece[piece] if m not in done), None)
                if after is None:
                    break
                one = lanes[after]
                side = (one.left, one.left_reversed) if to_right else (one.right, one.right_reversed)
                at, agrees = after, side == (piece, turned)
                done.add(at)
                chain = [*chain, (at, agrees)] if to_right else [(at, agrees), *chain]
        chains.append(chain)
    return chains


def _ways(across: Sequence[Piece], driven: Sequence[int], traffic: Traffic) -> list[int]:
    """1 for each lane of a roadway that goes the way of the whole, -1 for each that goes against it.

    `across` are the lines from left to right, `driven` the way of the path in each lane (0 for none).
    """
    count = len(across) - 1
    parting = [k for k in range(1, count) if _parts_ways(across[k].element)]
    left, right = across[0].element.label == "boundary", across[-1].element.label == "boundary"
    against = parting[0] if len(parting) == 1 else count // 2 if left == right else count if left else 0
    if count == 1 or not (left or right or parting):
        against = 0
    ways = [-1 if k < against else 1 for k in range(count)]
    if traffic == "left":
        ways = [-way for way in ways]
    for k, way in enumerate(driven):
        if way:
            outward = way if traffic == "right" else -way
            for beside in range(k, count) if outward > 0 else range(k, -1, -1):
                ways[beside] = way
    return [way or known for way, known in zip(driven, ways, strict=True)]


def _parts_ways(element: StreetElement) -> bool:
    """Whether traffic on the two sides of a line goes opposite ways."""
    known = element.attributes
    return (
        element.label == "boundary" or known.get("paint") == "double" or known.get("color") == "yellow"
        or known.get("layer") == "road_divider"
    )  # fmt: skip


class _PathTree:
    """The ways of drives, searchable by place."""

    def __init__(self, paths_m: Sequence[Points]) -> None:
        ways = [np.asarray(path, np.float64)[:, :2] for path in paths_m]
        steps_m = np.concatenate([np.stack([way[:-1], way[1:]], 1) for way in ways])
        steps = steps_m[:, 1] - steps_m[:, 0]
        moving = np.linalg.norm(steps, axis=1) > 1e-6
        self.steps, steps_m = steps[moving], steps_m[moving]
        self.tree = shapely.STRtree([shapely.LineString(step) for step in steps_m])

    def way(self, lanes: Lanes, lane: Lane) -> int:
        """1 if the path runs along a lane in its direction, -1 if against it, 0 if not in it."""
        left_m, right_m = lanes.bounds_m(lane)
        inside = self.tree.query(lanes.area(lane), predicate="intersects")
        ahead = (left_m[-1] + right_m[-1] - left_m[0] - right_m[0])[:2]
        run = float((self.steps[inside] @ ahead).sum()) / max(float(np.linalg.norm(ahead)), 1e-9)
        return int(np.sign(run)) if abs(run) > 2.0 else 0
