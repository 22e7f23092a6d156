"""From pixels to the light that comes through them, row after row. As in render/scene.py."""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.cameras import EDGE_CONTRAST, SUBPIXELS
from mapkd_core.sim.render.compiled.arithmetic import F, clip, exponential, lerp
from mapkd_core.sim.render.compiled.ground import light_ground
from mapkd_core.sim.render.compiled.hits import FAR, ground_hits
from mapkd_core.sim.render.compiled.light import light_sky, plain_sky
from mapkd_core.sim.render.compiled.meet import solid_hits
from mapkd_core.sim.render.compiled.shade import mirror, shade_ground
from mapkd_core.sim.render.compiled.solids import solid_light
from mapkd_core.sim.render.raycast import NOTHING, ROAD

PACKET = 512
"""Most rays in flight: their numbers fit into the processor's nearest cache."""
SCRATCH = 6


class Room(NamedTuple):
    """Where one thread works on a packet."""

    rays: NDArray[np.float32]
    scratch: NDArray[np.float32]
    """Not a part of `rays`: slices of slices are no longer known to be contiguous, and are slow."""
    marks: NDArray[np.int32]
    columns: NDArray[np.float32]
    places: NDArray[np.float32]
    place: NDArray[np.int64]
    light: NDArray[np.float32]
    distance: NDArray[np.float32]
    target: NDArray[np.int32]
    rows: NDArray[np.float32]
    """What is known of the ground points, see `light_ground`."""
    seen: NDArray[np.float32]
    surface: NDArray[np.float32]
    verge: NDArray[np.float32]
    taps: NDArray[np.float32]
    counts: NDArray[np.int32]
    pick: NDArray[np.int32]
    kinds: NDArray[np.int32]

    @classmethod
    def of(cls, width: int) -> Room:
        """Room for images of a width."""

        def floats(*shape: int) -> NDArray[np.float32]:
            return np.empty(shape, F)

        def whole(*shape: int) -> NDArray[np.int32]:
            return np.empty(shape, np.int32)

        return cls(
            floats(8, PACKET), floats(SCRATCH, PACKET), whole(2, PACKET), floats(width), floats(2, PACKET),
            np.empty((2, width + 1), np.int64), floats(PACKET, 3), floats(PACKET), whole(PACKET),
            floats(19, PACKET), floats(5, PACKET), floats(4, PACKET), floats(4, PACKET),
            floats(6, PACKET), whole(5, PACKET), whole(PACKET), whole(PACKET),
        )


SUB_U, SUB_V = (np.array(axis, F) for axis in zip(*SUBPIXELS, strict=True))
SHARE = F(len(SUBPIXELS) ** -0.5)
"""Of a pixel's width: four rays do not each filter the whole pixel."""
CONTRAST = F(EDGE_CONTRAST)


@kernel
def _directions(corner, step_u, step_v, u, v, dx, dy, dz):
    cx, cy, cz = corner[0], corner[1], corner[2]
    ux, uy, uz, vx, vy, vz = step_u[0], step_u[1], step_u[2], step_v[0], step_v[1], step_v[2]
    for i in range(len(u)):
        dx[i] = v[i] * vx + cx + u[i] * ux
        dy[i] = v[i] * vy + cy + u[i] * uy
        dz[i] = v[i] * vz + cz + u[i] * uz


@kernel
def _light_packet(world, views, solids, shadows, mirrored, view, row, u, v, scale, place, room):
    """Light, distances and targets, into `room`, of the rays through places (u, v) in the image, in columns' order."""
    n = len(u)
    rays, marks, t, target, light = room.rays, room.marks, room.distance[:n], room.target[:n], room.light
    dx, dy, dz, scratch = rays[0, :n], rays[1, :n], rays[2, :n], room.scratch
    _directions(views.corner[view], views.step_u[view], views.step_v[view], u, v, dx, dy, dz)
    ox, oy, oz = views.origin[view, 0], views.origin[view, 1], views.origin[view, 2]
    t[:], target[:] = FAR, NOTHING
    solid_hits(world, solids, view, row, place, dx, dy, dz, t, target, scratch)
    ground_hits(world, ox, oy, oz, dx, dy, dz, t, target, scratch, marks[0])
    sun, open_sky, share, tilt, far, what = rays[3, :n], rays[4, :n], rays[5, :n], rays[6, :n], rays[7, :n], marks[1]
    shade_ground(world, views, shadows, view, row, place, dx, dy, dz, t, target, sun, open_sky)
    light_sky(world, n, t, dx, dy, dz, FAR, room, light)
    light_ground(world, views, view, scale, n, t, target, dx, dy, dz, sun, open_sky, FAR, room, light)
    if world.wet:
        mirror(world, views, mirrored, view, row, place, dx, dy, dz, t, target, share, tilt, far, what)
    hazes = scratch[0, :n]
    _haze(t, F(-1) / world.visibility_m, hazes)
    for i in range(n):
        x, y, z, distance, kind = dx[i], dy[i], dz[i], t[i], target[i]
        if distance >= FAR:
            continue
        r, g, b = light[i, 0], light[i, 1], light[i, 2]
        if kind >= 0:
            r, g, b = solid_light(world, views, view, solids, kind, distance, x, y, z, scale, F(1))
        elif world.wet and kind == ROAD:
            z = tilt[i]
            if what[i] >= 0:
                mr, mg, mb = solid_light(world, views, view, mirrored, what[i], far[i], x, y, z, scale, F(-1))
            else:
                mr, mg, mb = plain_sky(world, -z / math.sqrt(x * x + y * y + z * z))
            r, g, b = lerp(r, mr, share[i]), lerp(g, mg, share[i]), lerp(b, mb, share[i])
        light[i, 0] = lerp(r, world.horizon[0], hazes[i])
        light[i, 1] = lerp(g, world.horizon[1], hazes[i])
        light[i, 2] = lerp(b, world.horizon[2], hazes[i])


@kernel
def _haze(t, per_visibility, hazes):
    for i in range(len(t)):
        hazes[i] = F(1) - exponential(t[i] * per_visibility)


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
        rays = len(SUB_U) if smooth else 1  # a pixel's rays lie side by side
        for first in range(0, n, PACKET // rays):
            end = min(first + PACKET // rays, n)
            local = room.place[1]
            for c in range(len(local)):
                local[c] = (min(max(place[c], first), end) - first) * rays
            count = (end - first) * rays
            u, v = room.places[0, :count], room.places[1, :count]
            for j in range(end - first):
                for ray in range(rays):
                    du, dv = (SUB_U[ray], SUB_V[ray]) if smooth else (F(0), F(0))
                    u[j * rays + ray], v[j * rays + ray] = room.columns[first + j] + du, F(row) + dv
            scale = SHARE if smooth else F(1)
            _light_packet(world, views, solids, shadows, mirrored, view, row, u, v, scale, local, room)
            line = radiance[view, row]
            if smooth:
                _mend(first, end, room.columns, room.light, line)
            else:
                _keep(first, end, gain, room, line, distance[view, row], target[view, row], tone[view, row])


@kernel
def _mend(first, end, columns, light, line):
    """Mean light of the rays through each pixel."""
    rays = len(SUB_U)
    for j in range(end - first):
        c = np.int64(columns[first + j])
        for channel in range(3):
            total = F(0)
            for ray in range(rays):
                total += light[j * rays + ray, channel] * F(1 / len(SUB_U))
            line[c, channel] = total


@kernel
def _keep(first, end, gain, room, line, distance, target, tone):
    for i in range(end - first):
        c = first + i
        r, g, b = room.light[i, 0], room.light[i, 1], room.light[i, 2]
        line[c, 0], line[c, 1], line[c, 2] = r, g, b
        distance[c], target[c] = room.distance[i], room.target[i]
        tone[c] = math.sqrt(clip((r + g + b) * F(1 / 3) * gain, F(0), F(1.2)))
