"""What the LiDAR's beams meet, one column of beams after another. As in render/lidar.py.

Legend: V columns, B beams, S solids, N blocks of columns, K pairs of a block and a solid that may be in it.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.render.compiled.arithmetic import F, larger, lerp, smaller
from mapkd_core.sim.render.compiled.hits import FAR, ground_hits, height
from mapkd_core.sim.render.compiled.kernel import inline, kernel
from mapkd_core.sim.render.compiled.meet import meet_box, meet_cylinder, meet_ellipsoid
from mapkd_core.sim.render.compiled.tables import Floats, WorldTable
from mapkd_core.sim.render.compiled.textures import sample
from mapkd_core.sim.render.lidar import BLOCK, LidarModel, Returns, blocks_of
from mapkd_core.sim.render.raycast import CURB, NOTHING, WALK
from mapkd_core.sim.world.solids import BOX, CAR_CABIN, CYLINDER, FOLIAGE
from mapkd_core.sim.world.world import World

SLACK = 1e-4
Doubles = NDArray[np.float64]


class Movers(NamedTuple):
    """Solids' places: those that stand still in the world's axes, the others relative to a path."""

    centre_m: Floats
    yaw: Floats
    mover: NDArray[np.int32]
    first: NDArray[np.int64]
    """Vertices of path p are `first[p]` to `first[p + 1]`."""
    points_m: Doubles
    along_m: Doubles
    speed_mps: Doubles
    start_m: Doubles


class CompiledSweeps:
    """Sweeps of one world."""

    def __init__(self, world: World, table: WorldTable) -> None:
        self.world, self.table = world, table
        solids, paths = world.solids, world.solids.paths
        self.movers = Movers(
            solids.centre_m, solids.yaw, solids.mover,
            np.cumsum([0, *(len(path.points_m) for path in paths)]),
            np.concatenate([np.zeros((0, 2)), *(path.points_m for path in paths)]),
            np.concatenate([np.zeros(0), *(path.along_m for path in paths)]),
            np.array([path.speed_mps for path in paths], float), np.array([path.start_m for path in paths], float),
        )

    def returns(self, poses: Doubles, ahead: Doubles, times: Doubles, model: LidarModel) -> Returns:
        """As `lidar.tensor_returns`, in numpy arrays."""
        block, solid = blocks_of(self.world, poses[:, :3, 3], ahead, times, model)
        first = np.searchsorted(block, np.arange(-(-len(times) // BLOCK) + 1))
        shape = ahead.shape[:2]
        found = np.empty(shape, F), np.empty(shape, F), np.empty(shape, F)
        directions = np.ascontiguousarray(np.swapaxes(ahead, 1, 2), F)  # V 3 B
        heading = np.arctan2(ahead[:, 0, 1], ahead[:, 0, 0])
        room, kinds = np.empty((6, shape[1]), F), np.empty((2, shape[1]), np.int32)
        _columns(
            self.table, self.movers, first, solid, np.ascontiguousarray(poses[:, :3, 3], F), directions, heading,
            times, model.range_m, room, kinds, *found,
        )
        return found


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
def _place(world, movers, solid, time):
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


@kernel
def _columns(
    world, movers, first, pairs, origins, directions, headings, times, range_m, room, kinds, distance, reflectance,
    grazing,
):
    """Fills distance, reflectance and grazing (V, B)."""
    for v in range(len(times)):
        ox, oy, oz = origins[v, 0], origins[v, 1], origins[v, 2]
        dx, dy, dz = directions[v, 0], directions[v, 1], directions[v, 2]
        t, target = distance[v], kinds[0]
        t[:], target[:] = FAR, NOTHING
        ground_hits(world, ox, oy, oz, dx, dy, dz, t, target, room, kinds[1])
        cos, sin, block = math.cos(headings[v]), math.sin(headings[v]), v // BLOCK
        for k in range(first[block], first[block + 1]):
            x, y, z, yaw, present = _place(world, movers, pairs[k], times[v])
            half = world.half_m[pairs[k]]
            x, y, z = x - ox, y - oy, z - oz
            along, beside, turn = cos * x + sin * y, cos * y - sin * x, yaw - headings[v]
            depth = half[0] * abs(math.cos(turn)) + half[1] * abs(math.sin(turn))
            width = half[0] * abs(math.sin(turn)) + half[1] * abs(math.cos(turn))
            far = along + depth
            if present and far > 0 and along - depth < range_m and abs(beside) - width <= far * SLACK + 0.05:
                _meet_solid(world, pairs[k], -x, -y, -z, F(math.cos(yaw)), F(math.sin(yaw)), dx, dy, dz, t, target)
        for b in range(len(dx)):
            at = smaller(t[b], F(2 * range_m))
            x, y = ox + at * dx[b], oy + at * dy[b]
            reflectance[v, b], grazing[v, b] = _reflectance(world, x, y, dz[b], t[b], target[b])


@inline
def _meet_solid(world, solid, ox, oy, oz, c, s, dx, dy, dz, t, target):
    half, kind = world.half_m[solid], world.kind[solid]
    x, y = c * ox + s * oy, c * oy - s * ox
    # Beams below its foot and above its head pass.
    reach, gap = math.sqrt(half[0] * half[0] + half[1] * half[1]), math.sqrt(ox * ox + oy * oy)
    nearest, farthest = larger(gap - reach, F(0.05)), gap + reach
    foot, head = -oz - half[2], -oz + half[2]
    low = foot / (nearest if foot < F(0) else farthest) - F(2e-3)
    high = head / (farthest if head < F(0) else nearest) + F(2e-3)
    for b in range(len(dx)):
        level = math.sqrt(dx[b] * dx[b] + dy[b] * dy[b])
        if dz[b] < (low - abs(low) * F(2e-3)) * level or dz[b] > (high + abs(high) * F(2e-3)) * level:
            continue
        bx, by = c * dx[b] + s * dy[b], c * dy[b] - s * dx[b]
        if kind == BOX:
            at = meet_box(x, y, oz, half[0], half[1], half[2], bx, by, dz[b])
        elif kind == CYLINDER:
            at = meet_cylinder(x, y, oz, half[0], half[2], bx, by, dz[b])
        else:
            at = meet_ellipsoid(x, y, oz, half[0], half[1], half[2], bx, by, dz[b])
        if at < t[b]:
            t[b], target[b] = at, solid


@inline
def _reflectance(world, x, y, dz, distance, target):
    """Share of the pulse that comes back, and the sine of the angle at which ground is met (1 on solids)."""
    if distance >= FAR:
        return F(0.06), F(1)
    if target >= 0:
        style = world.style[target]
        if style == FOLIAGE:
            return F(0.07), F(1)
        color = world.color[target]
        value = F(0.02) + F(0.22) * ((color[0] + color[1] + color[2]) * F(1 / 3))
        return value * (F(0.35) if style == CAR_CABIN else F(1)), F(1)
    width = larger(F(0.003) * distance, F(0.03))
    sine = larger(abs(dz), F(0.01))
    if target == CURB:
        value, sine = F(0.08), F(1)
    elif target == WALK:
        paved, grass, _, mottle = sample(world.verge, x, y, width, F(0), width)
        value = lerp(lerp(F(0.05), F(0.09), grass), F(0.075), paved) * (F(0.5) + mottle)
    else:
        paint, _, wear, _ = sample(world.surface, x, y, width, F(0), width)
        value = F(0.05) * wear + F(0.3) * paint
    return value * (F(0.5) if world.wet else F(1)), sine
