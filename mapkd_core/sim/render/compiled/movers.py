"""Where solids are at a time. As `World.poses`, which tells all of them at once."""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.kernel import inline
from mapkd_core.sim.render.compiled.arithmetic import F
from mapkd_core.sim.render.compiled.hits import height
from mapkd_core.sim.world.solids import Solids

Doubles = NDArray[np.float64]


class Movers(NamedTuple):
    """Solids' places: those that stand still in the world's axes, the others relative to a path."""

    centre_m: NDArray[np.float32]
    yaw: NDArray[np.float32]
    mover: NDArray[np.int32]
    first: NDArray[np.int64]
    """Vertices of path p are `first[p]` to `first[p + 1]`."""
    points_m: Doubles
    along_m: Doubles
    speed_mps: Doubles
    start_m: Doubles

    @classmethod
    def of(cls, solids: Solids) -> Movers:
        """Shares the solids' arrays."""
        paths = solids.paths
        return cls(
            solids.centre_m, solids.yaw, solids.mover,
            np.cumsum([0, *(len(path.points_m) for path in paths)]),
            np.concatenate([np.zeros((0, 2)), *(path.points_m for path in paths)]),
            np.concatenate([np.zeros(0), *(path.along_m for path in paths)]),
            np.array([path.speed_mps for path in paths], float), np.array([path.start_m for path in paths], float),
        )


@inline
def _between(points, along, start, end, axis, at):
    """A path's coordinate at an arc length, as `numpy.interp` finds it."""
    if at <= along[start]:
        return points[start, axis]
    if at >= along[end - 1]:
        return points[end - 1, axis]
    low, high = start, end - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if along[middle] <= at:
            low = middle
        else:
            high = middle
    rise = (points[low + 1, axis] - points[low, axis]) / (along[low + 1] - along[low])
    return rise * (at - along[low]) + points[low, axis]


@inline
def place(world, movers, solid, time):
    """Centre and yaw of a solid at a time, and whether it is there."""
    x, y, z, yaw = movers.centre_m[solid, 0], movers.centre_m[solid, 1], movers.centre_m[solid, 2], movers.yaw[solid]
    path = movers.mover[solid]
    if path < 0:
        return x, y, z, yaw, True
    start, end = movers.first[path], movers.first[path + 1]
    points, along = movers.points_m, movers.along_m
    at, length = movers.start_m[path] + movers.speed_mps[path] * time, along[end - 1]
    if at < 0.0 or at > length:
        return x, y, z, yaw, False
    front, back = min(max(at + 1.0, 0.0), length), min(max(at - 1.0, 0.0), length)
    heading = math.atan2(
        _between(points, along, start, end, 1, front) - _between(points, along, start, end, 1, back),
        _between(points, along, start, end, 0, front) - _between(points, along, start, end, 0, back),
    )
    c, s = math.cos(heading), math.sin(heading)
    base_x, base_y = _between(points, along, start, end, 0, at), _between(points, along, start, end, 1, at)
    new_x, new_y = F(base_x + (c * x - s * y)), F(base_y + (s * x + c * y))
    if world.hilly:
        z += height(world.waves, new_x, new_y)
    return new_x, new_y, z, yaw + F(heading), True
