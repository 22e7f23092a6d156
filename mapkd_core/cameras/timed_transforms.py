"""Transforms between frames at any time: how a vehicle moved, from /tf or Odometry.

TransformTree has the newest of each, which is right for how cameras are mounted; this one blends between two stamps.
"""
from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import transform

LONGEST_GAP_NS = 1_500_000_000
"""Between two poses farther apart than this, nobody knows how the vehicle moved."""
BEYOND_NS = 5_000_000
"""So long before the first and after the last pose, that one is taken: 15 cm at 30 m/s."""
JUMP_NS = 1_000_000_000
"""Transport disorders less: what is older is of another run, as of a bag that is played again or a simulator reset."""
OFTEN = 5
"""No simulator is reset and no bag begins anew so often, before a user asks why."""
FARTHEST_M = 1e8
"""No place in a frame on Earth lies so far from its origin."""


class NoTransformError(ValueError):
    """No transform is known at a time; with `later` one may still come. `kind` is the reason without its figures."""

    def __init__(self, reason: str, later: bool = False, kind: str = "") -> None:
        super().__init__(reason)
        self.later, self.kind = later, kind or reason


@dataclass
class _Edge:
    """The transform from a frame to a parent, at several times or, where none moves it, always."""

    fixed: NDArray[np.float64] | None = None
    went_back: int = 0
    """How often its stamps began anew."""
    stamps_ns: list[int] = field(default_factory=list)
    poses: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def at(self, stamp_ns: int) -> NDArray[np.float64]:
        if self.fixed is not None and not self.stamps_ns:
            return self.fixed
        after = bisect_right(self.stamps_ns, stamp_ns)
        if after == 0 or after == len(self.stamps_ns):
            nearest = self.stamps_ns[0 if after == 0 else -1]
            if abs(nearest - stamp_ns) > BEYOND_NS:
                away_s = (stamp_ns - nearest) / 1e9
                text = f"{away_s:+.2f} s from the nearest pose"
                if self.went_back >= OFTEN:
                    text += f", of a transform whose stamps went back {self.went_back} times: two publishers of it?"
                raise NoTransformError(text, after > 0, "too far from the nearest")
            return self.poses[nearest]
        before_ns, after_ns = self.stamps_ns[after - 1], self.stamps_ns[after]
        if stamp_ns == before_ns:
            return self.poses[before_ns]
        if after_ns - before_ns > LONGEST_GAP_NS:
            raise NoTransformError(f"poses {(after_ns - before_ns) / 1e9:.1f} s apart", kind="a gap in the poses")
        return between(
            self.poses[before_ns], self.poses[after_ns], (stamp_ns - before_ns) / (after_ns - before_ns)
        )

    def add(self, stamp_ns: int, pose: NDArray[np.float64], keep_ns: int | None) -> None:
        if keep_ns is not None and self.stamps_ns and stamp_ns < self.stamps_ns[-1] - JUMP_NS:
            self.stamps_ns, self.poses, self.went_back = [], {}, self.went_back + 1
        if stamp_ns not in self.poses:
            insort(self.stamps_ns, stamp_ns)
        self.poses[stamp_ns] = pose
        while keep_ns is not None and self.stamps_ns[0] < self.stamps_ns[-1] - keep_ns:
            del self.poses[self.stamps_ns.pop(0)]


class TimedTransforms:
    """Transforms by frame and time. `keep_s` forgets those that are older than the newest by more; None keeps all.

    A frame that is given several parents, by publishers that contradict each other, is followed to whichever leads to
    the frame that is asked for.
    """

    def __init__(self, keep_s: float | None = None) -> None:
        self._edges: dict[str, dict[str, _Edge]] = {}
        """Frame -> parent -> transform, the newest parent last."""
        self._keep_ns = None if keep_s is None else round(keep_s * 1e9)
        self.fault = ""
        """What was wrong with the newest transform that could not be used."""

    def update(self, transforms: Iterable[Any], fixed: bool) -> int:
        """Takes TransformStamped messages, `fixed` ones of /tf_static; returns how many were none."""
        return sum(
            not self.add(
                stamped.header.frame_id, stamped.child_frame_id, stamped.header.stamp,
                stamped.transform.translation, stamped.transform.rotation, fixed,
            )
            for stamped in transforms
        )  # fmt: skip

    def add(self, parent: str, child: str, stamp: Any, translation: Any, rotation: Any, fixed: bool = False) -> bool:
        """Takes one; False, with the reason in `fault`, for one that is none."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        t, r = translation, rotation
        try:
            if not parent or not child or parent == child:
                raise ValueError("expected two different frame names")
            if not (np.abs((t.x, t.y, t.z)) <= FARTHEST_M).all():
                raise ValueError(f"translation {[t.x, t.y, t.z]} is no place on Earth in metres")
            pose = transform((t.x, t.y, t.z), (r.w, r.x, r.y, r.z))
        except ValueError as error:
            self.fault = f"transform {parent!r} <- {child!r}: {error}"
            return False
        parents = self._edges.setdefault(child, {})
        edge = parents.pop(parent) if parent in parents else _Edge()
        parents[parent] = edge
        if fixed:
            edge.fixed = pose
        else:
            edge.add(stamp.sec * 1_000_000_000 + stamp.nanosec, pose, self._keep_ns)
        return True

    def ancestors(self, frame: str) -> list[str]:
        """The parent of a frame, its parent, and so on; of several parents the newest first."""
        return list(self._chains(frame))

    def parents(self, target: str, source: str) -> tuple[str, list[str]] | None:
        """The first frame from `source` up to `target` that is given several parents, with them; None if none is.

        One that has not been said for `keep_s` does not count.
        """
        for frame in self._chains(source).get(target, ()):
            lasts = {parent: edge.stamps_ns[-1] for parent, edge in self._edges[frame].items() if edge.stamps_ns}
            old_ns = max(lasts.values(), default=0) - (self._keep_ns or math.inf)
            said = [parent for parent in self._edges[frame] if lasts.get(parent, math.inf) >= old_ns]
            if len(said) > 1:
                return frame, said
        return None

    def at(self, target: str, source: str, stamp_ns: int) -> NDArray[np.float64]:
        """4x4 `target_from_source` at a time, `target` being an ancestor. Raises NoTransformError."""
        chains = self._chains(source)
        if target not in chains:
            names = list(chains)
            there = f"{source} hangs on {' <- '.join(names[::-1])}" if names else f"nothing names the frame {source}"
            raise NoTransformError(f"no transform {target} <- {source}: {there}", later=True)
        pose, chain = np.eye(4), chains[target]
        for child, parent in zip(chain, (*chain[1:], target), strict=True):
            pose = self._edges[child][parent].at(stamp_ns) @ pose
        return pose

    def _chains(self, source: str) -> dict[str, tuple[str, ...]]:
        """Each ancestor -> the frames from `source` up to below it."""
        found: dict[str, tuple[str, ...]] = {}
        ways: list[tuple[str, tuple[str, ...]]] = [(source, ())]
        while ways:
            frame, below = ways.pop()
            if frame in found or frame in below:
                continue
            if below:
                found[frame] = below
            ways += [(parent, (*below, frame)) for parent in self._edges.get(frame, ())]
        return found


def between(first: NDArray[np.float64], second: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The pose (4, 4) at a share of the way from one to another: straight on, turning evenly."""
    from scipy.spatial.transform import Rotation, Slerp

    pose = np.eye(4)
    pose[:3, 3] = first[:3, 3] + share * (second[:3, 3] - first[:3, 3])
    turns = Rotation.from_matrix(np.stack([first[:3, :3], second[:3, :3]]))
    pose[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    return pose
