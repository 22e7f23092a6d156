"""Simple solids of a world: oriented boxes, upright cylinders and ellipsoids, some of which travel along paths."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.geometry import distances_along

BOX, CYLINDER, ELLIPSOID = 0, 1, 2
PLAIN, BUILDING, CAR_BODY, CAR_CABIN, FOLIAGE, BARK, PERSON, BARRIER, LAMP = range(9)
"""How a solid is coloured, see shading.py."""
Poses = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]
"""Centres (V, S, 3), yaws (V, S) and presence (V, S) of S solids at V times."""


@dataclass(frozen=True, eq=False)
class Path:
    """A mover's way: where it is at which time."""

    points_m: NDArray[np.float64]
    """(N, 2) vertices in metres from the world's centre."""
    speed_mps: float
    start_m: float
    """Arc length at time 0."""

    def pose(self, times_s: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Positions (V, 2), headings (V,) in radians, and whether the mover is on its way (V,), at the times (V,)."""
        along = self.along_m
        at = self.start_m + self.speed_mps * np.asarray(times_s, np.float64)
        places = np.stack([at, np.clip(at + 1.0, 0, along[-1]), np.clip(at - 1.0, 0, along[-1])])
        (x, ahead_x, behind_x), (y, ahead_y, behind_y) = (np.interp(places, along, c) for c in self.points_m.T)
        present = (at >= 0) & (at <= along[-1])
        return np.stack([x, y], -1), np.arctan2(ahead_y - behind_y, ahead_x - behind_x), present

    @cached_property
    def along_m(self) -> NDArray[np.float64]:
        """(N,) arc length at each vertex."""
        return distances_along(self.points_m)


@dataclass(frozen=True, eq=False)
class Solids:
    """S solids as columns; metres from the world's centre, or from the mover's base for those that move."""

    kind: NDArray[np.int32]
    centre_m: NDArray[np.float32]
    """(S, 3)."""
    half_m: NDArray[np.float32]
    """(S, 3) half extents; a cylinder has its radius twice, then half its height."""
    yaw: NDArray[np.float32]
    style: NDArray[np.int32]
    color: NDArray[np.float32]
    """(S, 3) linear reflectance."""
    accent: NDArray[np.float32]
    """(S, 3) second colour: windows, stripes, trousers."""
    detail: NDArray[np.float32]
    """(S, 4) numbers of the style: a building's window pitch and share, and a seed."""
    mover: NDArray[np.int32]
    """Index into `paths`, -1 stands still."""
    paths: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.kind)

    def poses(self, times_s: NDArray) -> Poses:
        """Centres (V, S, 3) without terrain, yaws (V, S) and presence (V, S) at V times."""
        views = len(times_s)
        centre = np.repeat(self.centre_m[None], views, 0)
        yaw = np.repeat(self.yaw[None], views, 0)
        present = np.ones((views, len(self)), bool)
        for index, path in enumerate(self.paths):
            own = np.nonzero(self.mover == index)[0]
            at, heading, on_way = path.pose(times_s)
            c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
            x, y = self.centre_m[own, 0], self.centre_m[own, 1]
            centre[:, own, 0] = at[:, :1] + c * x - s * y
            centre[:, own, 1] = at[:, 1:] + s * x + c * y
            yaw[:, own] += heading[:, None].astype(np.float32)
            present[:, own] = on_way[:, None]
        return centre, yaw, present


class SolidsBuilder:
    """Collects solids one by one."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []
        self.paths: list[Path] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        kind: int,
        centre_m: ArrayLike,
        half_m: ArrayLike,
        color: ArrayLike,
        *,
        yaw: float = 0.0,
        style: int = PLAIN,
        accent: ArrayLike = (0.1, 0.1, 0.1),
        detail: ArrayLike = (0, 0, 0, 0),
        mover: int = -1,
    ) -> None:
        """Adds one solid; see `Solids` for the meaning of each column."""
        self._rows.append((kind, centre_m, half_m, yaw, style, color, accent, detail, mover))

    def build(self) -> Solids:
        """All solids added so far."""
        columns = zip(*self._rows, strict=True) if self._rows else [()] * 9
        kind, centre, half, yaw, style, color, accent, detail, mover = columns

        def table(rows: tuple, width: int) -> NDArray[np.float32]:
            return np.asarray(rows, np.float32).reshape(-1, width)

        return Solids(
            np.asarray(kind, np.int32), table(centre, 3), table(half, 3), np.asarray(yaw, np.float32),
            np.asarray(style, np.int32), table(color, 3), table(accent, 3), table(detail, 4),
            np.asarray(mover, np.int32), tuple(self.paths),
        )
