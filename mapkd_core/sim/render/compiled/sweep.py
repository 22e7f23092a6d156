"""What the LiDAR's beams meet, one column of beams after another. As in render/lidar.py.

Legend: V columns, B beams, S solids, N blocks of columns, K pairs of a block and a solid that may be in it.
"""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import exact_kernel, inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, larger, lerp, smaller
from mapkd_core.sim.render.compiled.hits import FAR, ground_hits
from mapkd_core.sim.render.compiled.meet import meet_box, meet_cylinder, meet_ellipsoid
from mapkd_core.sim.render.compiled.movers import Doubles, Movers, place
from mapkd_core.sim.render.compiled.tables import Floats, WorldTable
from mapkd_core.sim.render.compiled.textures import sample
from mapkd_core.sim.render.lidar import BLOCK, LidarModel, Luck, Returns
from mapkd_core.sim.render.raycast import CURB, NOTHING, WALK
from mapkd_core.sim.world.solids import BOX, CAR_CABIN, CYLINDER, FOLIAGE
from mapkd_core.sim.world.world import World

SLACK = 1e-4


class CompiledSweeps:
    """Sweeps of one world."""

    def __init__(self, world: World, table: WorldTable, movers: Movers) -> None:
        self.world, self.table, self.movers = world, table, movers

    def returns(self, poses: Doubles, ahead: Doubles, times: Doubles, model: LidarModel) -> Returns:
        """As `lidar.tensor_returns`, in numpy arrays."""
        heading = np.arctan2(ahead[:, 0, 1], ahead[:, 0, 0])
        middles = np.minimum(np.arange(BLOCK // 2, len(times) + BLOCK // 2, BLOCK), len(times) - 1)
        first = np.zeros(len(middles) + 1, np.int64)
        pairs = np.empty(len(middles) * len(self.world.solids), np.int64)
        width = math.tan(np.pi * BLOCK / len(times) + 0.02)
        origins = np.ascontiguousarray(poses[:, :3, 3], F)
        block = origins[middles], heading[middles], times[middles]
        _blocks(self.table, self.movers, *block, model.range_m, width, first, pairs)
        shape = ahead.shape[:2]
        found = np.empty(shape, F), np.empty(shape, F), np.empty(shape, F)
        directions = np.ascontiguousarray(np.swapaxes(ahead, 1, 2), F)  # V 3 B
        room, kinds = np.empty((6, shape[1]), F), np.empty((2, shape[1]), np.int32)
        rays = origins, directions, heading, times
        _columns(self.table, self.movers, first, pairs, *rays, model.range_m, room, kinds, *found)
        return found

    def points(
        self, origins: Floats, directions: Floats, found: Returns, luck: Luck, final: Doubles, model: LidarModel
    ) -> Floats:
        """As `lidar.tensor_points`."""
        result = np.empty((found[0].size, 5), F)
        limits = F(model.dropout), F(model.range_m), F(model.range_noise_m)
        lots = (part.numpy() for part in luck)
        return result[: _points(origins, directions, *found, *lots, final, *limits, result)]


@exact_kernel
def _points(
    origins, directions, distance, reflectance, grazing, chance, noise, flicker, final, dropout, range_m, noise_m,
    result,
):
    count = 0
    for v in range(distance.shape[0]):
        for b in range(distance.shape[1]):
            far, bright = distance[v, b], reflectance[v, b]
            share = far / range_m
            lost = dropout + F(0.25) * (share * share)
            lost += F(0.5) * min(max(F(1) - grazing[v, b] / F(0.04), F(0)), F(1))
            lost -= F(0.3) * min(max(bright - F(0.3), F(0)), F(1))
            if not (far < range_m and chance[v, b] > lost):
                continue
            ranged = far + noise[v, b] * noise_m
            x = np.float64(origins[v, 0] + ranged * directions[v, b, 0]) - final[0, 3]
            y = np.float64(origins[v, 1] + ranged * directions[v, b, 1]) - final[1, 3]
            z = np.float64(origins[v, 2] + ranged * directions[v, b, 2]) - final[2, 3]
            for axis in range(3):
                result[count, axis] = x * final[0, axis] + y * final[1, axis] + z * final[2, axis]
            lit = F(255) * bright * (F(1) + F(0.18) * flicker[v, b]) + F(0.8) * flicker[v, b]
            result[count, 3] = np.rint(min(max(lit, F(0)), F(255)))
            result[count, 4] = b
            count += 1
    return count


@kernel
def _blocks(world, movers, origins, headings, times, range_m, width, first, pairs):
    """Solids that each block of columns may meet: those of block k in `pairs` from `first[k]` to `first[k + 1]`.

    `width` is the tangent of half a block's angle, with room for the way that the sensor goes meanwhile.
    """
    count = 0
    for k in range(len(headings)):
        cos, sin = math.cos(headings[k]), math.sin(headings[k])
        for solid in range(len(world.kind)):
            half = world.half_m[solid]
            reach = math.sqrt(half[0] * half[0] + half[1] * half[1])
            if movers.mover[solid] < 0:  # most are told by the circle around them
                x, y = movers.centre_m[solid, 0] - origins[k, 0], movers.centre_m[solid, 1] - origins[k, 1]
                far = cos * x + sin * y + reach
                if far <= 0 or far - reach - reach >= range_m or abs(cos * y - sin * x) - reach > far * width + 0.05:
                    continue
            x, y, _, yaw, present = place(world, movers, solid, times[k])
            x, y = x - origins[k, 0], y - origins[k, 1]
            if present and _beside(half, x, y, yaw - headings[k], cos, sin, range_m, width):
                pairs[count] = solid
                count += 1
        first[k + 1] = count


@inline
def _beside(half, x, y, turn, cos, sin, range_m, width):
    """Whether a solid at (x, y) from the sensor comes as near to a heading's upright plane as `width` a metre."""
    along, beside = cos * x + sin * y, cos * y - sin * x
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    far = along + half[0] * c + half[1] * s
    near = along - half[0] * c - half[1] * s
    return far > 0 and near < range_m and abs(beside) - half[0] * s - half[1] * c <= far * width + 0.05


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
            x, y, z, yaw, present = place(world, movers, pairs[k], times[v])
            x, y, z = x - ox, y - oy, z - oz
            if present and _beside(world.half_m[pairs[k]], x, y, yaw - headings[v], cos, sin, range_m, SLACK):
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
            at = meet_ellipsoid(x, y, oz, half[0], half[1], half[2], bx, by, dz[b], t[b])
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
