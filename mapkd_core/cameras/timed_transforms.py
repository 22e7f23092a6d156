"""Transforms between frames at any time: how a vehicle moved, from /tf or Odometry.

TransformTree has the newest of each, which is right for how cameras are mounted; this one blends between two stamps.
"""
from __future__ import annotations

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


class NoTransformError(ValueError):
    """No transform is known at a time; with `later` one may still come."""

    def __init__(self, reason: str, later: bool = False) -> None:
        super().__init__(reason)
        self.later = later


@dataclass
class _Edge:
    """The transform from a frame to its parent, at several times or always."""

    parent: str
    fixed: NDArray[np.float64] | None = None
    stamps_ns: list[int] = field(default_factory=list)
    poses: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def at(self, stamp_ns: int) -> NDArray[np.float64]:
        if self.fixed is not None:
            return self.fixed
        after = bisect_right(self.stamps_ns, stamp_ns)
        if after == 0 or after == len(self.stamps_ns):
            nearest = self.stamps_ns[0 if after == 0 else -1]
            if abs(nearest - stamp_ns) > BEYOND_NS:
                away_s = (stamp_ns - nearest) / 1e9
                raise NoTransformError(f"{away_s:+.2f} s from the nearest pose", later=after > 0)
            return self.poses[nearest]
        before_ns, after_ns = self.stamps_ns[after - 1], self.stamps_ns[after]
        if stamp_ns == before_ns:
            return self.poses[before_ns]
        if after_ns - before_ns > LONGEST_GAP_NS:
            raise NoTransformError(f"poses {(after_ns - before_ns) / 1e9:.1f} s apart")
        return between(
            self.poses[before_ns], self.poses[after_ns], (stamp_ns - before_ns) / (after_ns - before_ns)
        )

    def add(self, stamp_ns: int, pose: NDArray[np.float64], keep_ns: int | None) -> None:
        if stamp_ns not in self.poses:
            insort(self.stamps_ns, stamp_ns)
        self.poses[stamp_ns] = pose
        if keep_ns is None:
            return
        if stamp_ns < self.stamps_ns[-1] - keep_ns:  # time went back, as a bag does that is played again
            self.stamps_ns, self.poses = [stamp_ns], {stamp_ns: pose}
        while self.stamps_ns[0] < self.stamps_ns[-1] - keep_ns:
            del self.poses[self.stamps_ns.pop(0)]


class TimedTransforms:
    """Transforms by frame and time. `keep_s` forgets those that are older than the newest by more; None keeps all."""

    def __init__(self, keep_s: float | None = None) -> None:
        self._edges: dict[str, _Edge] = {}
        self._keep_ns = None if keep_s is None else round(keep_s * 1e9)

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
        """Takes one; False for one that is none."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        t, r = translation, rotation
        try:
            pose = transform((t.x, t.y, t.z), (r.w, r.x, r.y, r.z))
        except ValueError:
            return False
        if not parent or not child or parent == child or not np.isfinite(pose).all():
            return False
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent:  # another parent: the last one holds, as in tf
            edge = self._edges[child] = _Edge(parent)
        if fixed:
            edge.fixed = pose
        else:
            edge.add(stamp.sec * 1_000_000_000 + stamp.nanosec, pose, self._keep_ns)
        return True

    def ancestors(self, frame: str) -> list[str]:
        """The parent of a frame, its parent, and so on."""
        names: list[str] = []
        at = frame
        while at in self._edges and self._edges[at].parent not in (*names, frame):
            at = self._edges[at].parent
            names.append(at)
        return names

    def at(self, target: str, source: str, stamp_ns: int) -> NDArray[np.float64]:
        """4x4 `target_from_source` at a time, `target` being an ancestor. Raises NoTransformError."""
        names = self.ancestors(source)
        if target not in names:
            there = f"{source} hangs on {' <- '.join(names[::-1])}" if names else f"nothing names the frame {source}"
            raise NoTransformError(f"no transform {target} <- {source}: {there}", later=True)
        pose, child = np.eye(4), source
        for parent in names[: names.index(target) + 1]:
            pose, child = self._edges[child].at(stamp_ns) @ pose, parent
        return pose


def between(first: NDArray[np.float64], second: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The pose (4, 4) at a share of the way from one to another: straight on, turning evenly."""
    from scipy.spatial.transform import Rotation, Slerp

    pose = np.eye(4)
    pose[:3, 3] = first[:3, 3] + share * (second[:3, 3] - first[:3, 3])
    turns = Rotation.from_matrix(np.stack([first[:3, :3], second[:3, :3]]))
    pose[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    return pose
