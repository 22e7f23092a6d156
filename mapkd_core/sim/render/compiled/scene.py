"""From pixels to the light that comes through them, row after row. As in render/scene.py."""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.render.cameras import EDGE_CONTRAST, SUBPIXELS
from mapkd_core.sim.render.compiled.arithmetic import F, clip, exponential, larger, lerp, smaller
from mapkd_core.sim.render.compiled.ground import ground_light
from mapkd_core.sim.render.compiled.hits import FAR, ground_hits, slopes
from mapkd_core.sim.render.compiled.kernel import inline, kernel
from mapkd_core.sim.render.compiled.light import plain_sky, sky
from mapkd_core.sim.render.compiled.meet import meet, solid_hits
from mapkd_core.sim.render.compiled.solids import solid_light
from mapkd_core.sim.render.compiled.textures import noise_at, smooth_noise
from mapkd_core.sim.render.raycast import NOTHING, ROAD

PACKET = 512
"""Most rays in flight: their numbers fit into the processor's nearest cache."""
SCRATCH = 5


class Room(NamedTuple):
    """Where one thread works on a packet."""

    rays: NDArray[np.float32]
    marks: NDArray[np.int32]
    columns: NDArray[np.float32]
    place: NDArray[np.int64]
    light: NDArray[np.float32]
    distance: NDArray[np.float32]
    target: NDArray[np.int32]

    @classmethod
    def of(cls, width: int) -> Room:
        """Room for images of a width."""
        return cls(
            np.empty((8 + SCRATCH, PACKET), F), np.empty((2, PACKET), np.int32), np.empty(width, F),
            np.empty((2, width + 1), np.int64), np.empty((PACKET, 3), F), np.empty(PACKET, F),
            np.empty(PACKET, np.int32),
        )


SUB_U, SUB_V = (np.array(axis, F) for axis in zip(*SUBPIXELS, strict=True))
SHARE = F(len(SUBPIXELS) ** -0.5)
"""Of a pixel's width: four rays do not each filter the whole pixel."""
CONTRAST = F(EDGE_CONTRAST)


@kernel
def _directions(views, view, u, v, dx, dy, dz):
    corner, step_u, step_v = views.corner[view], views.step_u[view], views.step_v[view]
    x, y, z = v * step_v[0] + corner[0], v * step_v[1] + corner[1], v * step_v[2] + corner[2]
    sx, sy, sz = step_u[0], step_u[1], step_u[2]
    for i in range(len(u)):
        dx[i] = x + u[i] * sx
        dy[i] = y + u[i] * sy
        dz[i] = z + u[i] * sz


@kernel
def _shade(world, views, shadows, view, row, place, dx, dy, dz, t, target, sun, open_sky):
    """Shares of sun and sky that moving solids let through to the packet's ground points."""
    sun[:] = F(1)
    open_sky[:] = F(1)
    ox, oy, oz = views.origin[view, 0], views.origin[view, 1], views.origin[view, 2]
    sx, sy, sz = world.sun_direction[0], world.sun_direction[1], world.sun_direction[2]
    for k in range(shadows.first[view], shadows.first[view + 1]):
        rect = shadows.rect[k]
        if row < rect[0] or row >= rect[1]:
            continue
        half, centre = world.half_m[shadows.solid[k]], shadows.centre_m[k]
        hx, hy, hz, c, s = half[0], half[1], half[2], shadows.cos[k], shadows.sin[k]
        toward_x, toward_y = c * sx + s * sy, c * sy - s * sx
        for i in range(place[rect[2]], place[rect[3]]):
            if target[i] >= 0 or t[i] >= FAR:
                continue
            px, py = ox + t[i] * dx[i] - centre[0], oy + t[i] * dy[i] - centre[1]
            x, y, z = c * px + s * py, c * py - s * px, oz + t[i] * dz[i] - centre[2]
            if -z - hz < F(0.6):  # only what is close above the ground hides the sky there
                gx, gy = larger(abs(x) - hx, F(0)), larger(abs(y) - hy, F(0))
                gap = math.sqrt(gx * gx + gy * gy)
                if gap < F(6):
                    open_sky[i] = smaller(open_sky[i], F(1) - F(0.75) * exponential(gap / F(-0.3)))
            if world.casts_shadows and _shaded(x, y, z, hx, hy, hz, toward_x, toward_y, sz):
                sun[i] = F(0)


@inline
def _shaded(x, y, z, hx, hy, hz, dx, dy, dz):
    """Whether a ray from a point in a box's axes towards the sun meets the box."""
    ix = F(1) / (F(1e-9) if abs(dx) < F(1e-9) else dx)
    iy = F(1) / (F(1e-9) if abs(dy) < F(1e-9) else dy)
    iz = F(1) / (F(1e-9) if abs(dz) < F(1e-9) else dz)
    mx, my, mz = -x * ix, -y * iy, -z * iz
    rx, ry, rz = hx * abs(ix), hy * abs(iy), hz * abs(iz)
    enter = larger(larger(mx - rx, my - ry), larger(mz - rz, F(0)))
    return enter <= smaller(smaller(mx + rx, my + ry), mz + rz)


@kernel
def _mirror(world, views, mirrored, view, row, place, dx, dy, dz, t, target, share, tilt, far, what):
    """What wet road mirrors: share of light, the ray's slope after the asphalt's grain, and the solid met."""
    ox, oy = views.origin[view, 0], views.origin[view, 1]
    for i in range(len(dx)):
        far[i], what[i] = FAR, NOTHING
        if target[i] != ROAD:
            continue
        x, y = ox + t[i] * dx[i], oy + t[i] * dy[i]
        puddle = clip(smooth_noise(world.noise, x * F(0.9), y * F(0.9)) * F(0.8) + F(0.1), F(0), F(1))
        length = math.sqrt(dx[i] * dx[i] + dy[i] * dy[i] + dz[i] * dz[i])
        rest = F(1) - clip(-dz[i] / length, F(0), F(1))
        square = rest * rest
        share[i] = (F(0.02) + F(0.98) * square * square * rest) * (F(0.35) + F(0.6) * puddle)
        rough = (F(0.045) - F(0.035) * puddle) * length
        tilted = dz[i] + rough * noise_at(world.noise, x * F(7), y * F(7)) * F(0.7)
        tilt[i] = tilted if tilted < F(-1e-4) else dz[i]
    for k in range(mirrored.first[view], mirrored.first[view + 1]):
        rect = mirrored.rect[k]
        if row < rect[0] or row >= rect[1]:
            continue
        for i in range(place[rect[2]], place[rect[3]]):
            if target[i] == ROAD:
                at = meet(world, mirrored, k, dx[i], dy[i], tilt[i])
                if at < far[i]:
                    far[i], what[i] = at, k


@kernel
def _light_packet(world, views, solids, shadows, mirrored, view, row, ray, u, place, room):
    """Light, distances and targets, into `room`, of the rays through columns `u`: pixels' centres, or one of four."""
    n = len(u)
    rays, marks, t, target, light = room.rays, room.marks, room.distance[:n], room.target[:n], room.light
    dx, dy, dz, scratch, moved = rays[0, :n], rays[1, :n], rays[2, :n], rays[8:, :n], rays[3, :n]
    gx, gy = scratch[0], scratch[1]
    du, dv, scale = (SUB_U[ray], SUB_V[ray], SHARE) if ray >= 0 else (F(0), F(0), F(1))
    for i in range(n):
        moved[i] = u[i] + du
    _directions(views, view, moved, F(row) + dv, dx, dy, dz)
    ox, oy, oz = views.origin[view, 0], views.origin[view, 1], views.origin[view, 2]
    ground_hits(world, ox, oy, oz, dx, dy, dz, t, target, scratch, marks[0])
    solid_hits(world, solids, view, row, place, dx, dy, dz, t, target, scratch)
    sun, open_sky, share, tilt, far, what = rays[3, :n], rays[4, :n], rays[5, :n], rays[6, :n], rays[7, :n], marks[1]
    _shade(world, views, shadows, view, row, place, dx, dy, dz, t, target, sun, open_sky)
    gx[:], gy[:] = F(0), F(0)
    if world.hilly:
        slopes(world.waves, ox, oy, dx, dy, t, gx, gy)
    if world.wet:
        _mirror(world, views, mirrored, view, row, place, dx, dy, dz, t, target, share, tilt, far, what)
    per_visibility = F(-1) / world.visibility_m
    for i in range(n):
        x, y, z, distance, kind = dx[i], dy[i], dz[i], t[i], target[i]
        if distance >= FAR:
            length = math.sqrt(x * x + y * y + z * z)
            light[i, 0], light[i, 1], light[i, 2] = sky(world, x / length, y / length, z / length)
            continue
        if kind < 0:
            r, g, b = ground_light(
                world, views, view, kind, distance, x, y, z, gx[i], gy[i], scale, sun[i], open_sky[i]
            )
            if world.wet and kind == ROAD:
                z = tilt[i]
                if what[i] >= 0:
                    mr, mg, mb = solid_light(
                        world, views, view, mirrored, what[i], far[i], x, y, z, scale, F(-1)
                    )
                else:
                    mr, mg, mb = plain_sky(world, -z / math.sqrt(x * x + y * y + z * z))
                r, g, b = lerp(r, mr, share[i]), lerp(g, mg, share[i]), lerp(b, mb, share[i])
        else:
            r, g, b = solid_light(world, views, view, solids, kind, distance, x, y, z, scale, F(1))
        haze = F(1) - exponential(distance * per_visibility)
        light[i, 0] = lerp(r, world.horizon[0], haze)
        light[i, 1] = lerp(g, world.horizon[1], haze)
        light[i, 2] = lerp(b, world.horizon[2], haze)


@inline
def _differs(tone, target, other_tone, other_target):
    return abs(tone - other_tone) > CONTRAST and (target != other_target or target >= 0)


@kernel
def _edges(tone, target, row, u, place):
    """Columns of a row's pixels that differ from a neighbour, where no filter smooths that already."""
    height, width = tone.shape
    n = 0
    for c in range(width):
        place[c] = n
        own, what = tone[row, c], target[row, c]
        if (
            (c > 0 and _differs(own, what, tone[row, c - 1], target[row, c - 1]))
            or (c + 1 < width and _differs(own, what, tone[row, c + 1], target[row, c + 1]))
            or (row > 0 and _differs(own, what, tone[row - 1, c], target[row - 1, c]))
            or (row + 1 < height and _differs(own, what, tone[row + 1, c], target[row + 1, c]))
        ):
            u[n] = F(c)
            n += 1
    place[width] = n
    return n


@kernel
def light_rows(scene, start, stop, smooth, gain, room, radiance, distance, target, tone):
    """Lights rows `start` to `stop`, counted over all views: with a ray through every pixel, or, if `smooth`, with four
    through those that lie on an edge.

    Args: `scene` as (world, views, solids, shadows, mirrored). The first run fills `radiance` (V, H, W, 3), `distance`,
    `target` and `tone`, about what the eye would see (V, H, W); the second mends `radiance`.
    """
    world, views, solids, shadows, mirrored = scene
    for flat in range(start, stop):
        view, row = flat // views.height, flat % views.height
        n, place = views.width, room.place[0]
        if smooth:
            n = _edges(tone[view], target[view], row, room.columns, place)
        else:
            for c in range(n + 1):
                place[c] = c
                if c < n:
                    room.columns[c] = F(c)
        for first in range(0, n, PACKET):
            end = min(first + PACKET, n)
            local = room.place[1]
            for c in range(len(local)):
                local[c] = min(max(place[c] - first, 0), end - first)
            u = room.columns[first:end]
            for ray in range(len(SUB_U) if smooth else 1):
                _light_packet(
                    world, views, solids, shadows, mirrored, view, row, ray if smooth else -1, u, local, room
                )
                if smooth:
                    _add_ray(ray, u, room.light, radiance[view, row])
            if not smooth:
                line = radiance[view, row]
                _keep(first, end, gain, room, line, distance[view, row], target[view, row], tone[view, row])


@kernel
def _add_ray(ray, u, light, line):
    for i in range(len(u)):
        c = np.int64(u[i])
        for channel in range(3):
            before = F(0) if ray == 0 else line[c, channel]
            line[c, channel] = before + light[i, channel] * F(1 / len(SUB_U))


@kernel
def _keep(first, end, gain, room, line, distance, target, tone):
    for i in range(end - first):
        c = first + i
        r, g, b = room.light[i, 0], room.light[i, 1], room.light[i, 2]
        line[c, 0], line[c, 1], line[c, 2] = r, g, b
        distance[c], target[c] = room.distance[i], room.target[i]
        tone[c] = math.sqrt(clip((r + g + b) * F(1 / 3) * gain, F(0), F(1.2)))
