"""The light that spots of road, curb and verge send to a camera. As in render/ground_color.py.

Legend: m points of ground of a packet, w of them beside the road.
"""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, clip, larger, lerp, smaller
from mapkd_core.sim.render.compiled.hits import slope
from mapkd_core.sim.render.compiled.light import lamps
from mapkd_core.sim.render.compiled.packet_samples import bilinear_packet, sample_packet
from mapkd_core.sim.render.compiled.textures import bilinear, noise_at, stripes
from mapkd_core.sim.render.raycast import ROAD, WALK
from mapkd_core.sim.world.ground import EDGE_CELL_M

STEP = F(EDGE_CELL_M)


@inline
def _mixed(r, g, b, r2, g2, b2, share):
    return lerp(r, F(r2), share), lerp(g, F(g2), share), lerp(b, F(b2), share)


@inline
def _road(world, x, y, minor, paint, yellow, wear, edge):
    hue = clip(yellow / larger(paint, F(1 / 255)), F(0), F(1))
    per_minor = F(1) / larger(minor, F(1e-4))
    steep = clip(world.surface.cell_m * per_minor, F(1), F(3))
    paint = smaller(clip((paint - F(0.5)) * steep + F(0.5), F(0), F(1)), paint * F(2))
    gain = (F(0.62) if world.wet else F(1)) * wear * F(510 / 256)
    fine = clip(F(0.03) * per_minor - F(0.5), F(0), F(1)) * F(0.07)
    if fine > F(0):  # grain that only close pixels resolve
        gain *= F(1) + fine * noise_at(world.noise, x * F(11), y * F(11))
    gutter = clip((edge + F(0.35)) * F(10), F(0), F(1)) * F(0.4)
    r, g, b = world.asphalt[0] * gain, world.asphalt[1] * gain, world.asphalt[2] * gain
    r, g, b = _mixed(r, g, b, 0.2, 0.195, 0.185, gutter)
    ink = F(0.75) + F(0.5) * wear
    cover = paint * (F(0.8) if world.wet else F(0.95))
    return (
        lerp(r, lerp(F(0.55), F(0.5), hue) * ink, cover),
        lerp(g, lerp(F(0.55), F(0.31), hue) * ink, cover),
        lerp(b, lerp(F(0.53), F(0.07), hue) * ink, cover),
    )


@inline
def _curb(world, x, y):
    if not world.tropical:
        return F(0.33), F(0.32), F(0.3)
    stripe = np.floor((x + F(0.7) * y) / F(0.9))
    stripe -= F(2) * np.floor(stripe * F(0.5))
    return _mixed(F(0.06), F(0.06), F(0.06), 0.5, 0.5, 0.48, stripe)


@inline
def _verge(world, x, y, edge, span_x, span_y, spot, paved, grass, contact, mottle):
    r, g, b = F(0.19), F(0.185), F(0.175)
    if grass > F(0):
        close = clip(F(0.06) / larger(spot, F(1e-4)) - F(0.5), F(0), F(1))
        blades = F(1) + F(0.3) * close * noise_at(world.noise, x * F(5), y * F(5))
        r, g, b = _mixed(r, g, b, F(0.085) * blades, F(0.1) * blades, F(0.05) * blades, grass)
    if paved > F(0):
        joint = larger(
            F(1) - stripes(x, F(1.5), F(0.985), span_x), F(1) - stripes(y, F(1.5), F(0.985), span_y)
        )
        dark = F(1) - F(0.45) * joint
        r, g, b = _mixed(r, g, b, F(0.27) * dark, F(0.26) * dark, F(0.245) * dark, paved)
    gain = (F(0.4) + F(1.2) * mottle) * contact
    stone = clip((F(0.16) - edge) / larger(spot, F(0.02)) + F(0.5), F(0), F(1))
    r, g, b = r * gain, g * gain, b * gain
    if stone > F(0):
        sr, sg, sb = _curb(world, x, y)
        r, g, b = lerp(r, sr, stone), lerp(g, sg, stone), lerp(b, sb, stone)
    return r, g, b


@inline
def _spots(distance, gx, gy, dx, dy, dz, step_u, step_v, scale):
    """How the hit point on the ground moves from one column, and one row, to the next: two vectors (x, y)."""
    per_sink = distance / larger(gx * dx + gy * dy - dz, F(1e-6))
    cu = (step_u[2] - gx * step_u[0] - gy * step_u[1]) * per_sink
    cv = (step_v[2] - gx * step_v[0] - gy * step_v[1]) * per_sink
    return (
        (distance * step_u[0] + cu * dx) * scale, (distance * step_u[1] + cu * dy) * scale,
        (distance * step_v[0] + cv * dx) * scale, (distance * step_v[1] + cv * dy) * scale,
    )


@kernel
def _take(n, t, target, dx, dy, dz, sun, open_sky, far, rows, pick, kinds):
    """Puts what is known of a packet's ground points side by side into `rows`; returns how many there are."""
    m = 0
    for i in range(n):
        if target[i] < 0 and t[i] < far:
            pick[m], kinds[m] = i, target[i]
            rows[0, m], rows[1, m], rows[2, m], rows[3, m] = t[i], dx[i], dy[i], dz[i]
            rows[4, m], rows[5, m] = sun[i], open_sky[i]
            m += 1
    return m


@kernel
def _places(w, hilly, ox, oy, step_u, step_v, scale, m, rows):
    """Slopes, points, and the spots that pixels cover there."""
    for j in range(m):
        distance, dx, dy, dz = rows[0, j], rows[1, j], rows[2, j], rows[3, j]
        x, y = ox + distance * dx, oy + distance * dy
        gx, gy = F(0), F(0)
        if hilly:
            gx, gy = slope(w, x, y)
        ax, ay, bx, by = _spots(distance, gx, gy, dx, dy, dz, step_u, step_v, scale)
        long_a, long_b = ax * ax + ay * ay, bx * bx + by * by
        rows[6, j], rows[7, j], rows[8, j], rows[9, j] = gx, gy, x, y
        rows[10, j], rows[11, j] = ax if long_a > long_b else bx, ay if long_a > long_b else by
        rows[12, j] = abs(ax * by - ay * bx) / larger(math.sqrt(larger(long_a, long_b)), F(1e-6))
        rows[13, j], rows[14, j] = ax + bx, ay + by
        rows[15, j], rows[16, j] = abs(ax) + abs(bx), abs(ay) + abs(by)
        rows[17, j] = math.sqrt(smaller(long_a, long_b))


@kernel
def _verge_samples(world, m, rows, kinds, seen, place, f, k, samples):
    """Samples (4, w) of what lies beside the road."""
    count = 0
    for j in range(m):
        if kinds[j] == WALK:
            for row in range(5):
                seen[row, count] = rows[place[row], j]
            count += 1
    sample_packet(
        world.verge, seen[0, :count], seen[1, :count], seen[2, :count], seen[3, :count], seen[4, :count], f, k, samples
    )


VERGE_ROWS = np.array([8, 9, 13, 14, 17])


@kernel
def light_ground(world, views, view, scale, n, t, target, dx, dy, dz, sun, open_sky, far, room, light):
    """Radiance of a packet's ground points into `light`; see `look_of_ground` and `light_ground` of the tensors."""
    rows, pick, kinds, f, k = room.rows, room.pick, room.kinds, room.taps, room.counts
    m = _take(n, t, target, dx, dy, dz, sun, open_sky, far, rows, pick, kinds)
    if m == 0:
        return
    ox, oy = views.origin[view, 0], views.origin[view, 1]
    _places(world.waves, world.hilly, ox, oy, views.step_u[view], views.step_v[view], scale, m, rows)
    surface, verge, edges = room.surface, room.verge, rows[18, :m]
    sample_packet(
        world.surface, rows[8, :m], rows[9, :m], rows[10, :m], rows[11, :m], rows[12, :m], f, k, surface
    )
    _verge_samples(world, m, rows, kinds, room.seen, VERGE_ROWS, f, k, verge)
    bilinear_packet(world.edge, rows[8, :m], rows[9, :m], edges)
    beside = 0
    for j in range(m):
        x, y, edge, kind = rows[8, j], rows[9, j], edges[j], kinds[j]
        wear, lit = surface[2, j], surface[3, j]
        nx, ny, nz, around = -rows[6, j], -rows[7, j], F(1), F(1)
        if kind == ROAD:
            r, g, b = _road(world, x, y, rows[12, j], surface[0, j], surface[1, j], wear, edge)
            around = F(1) - F(0.35) * clip((edge + F(0.25)) * F(4), F(0), F(1))  # a curb shades its foot
        elif kind == WALK:
            r, g, b = _verge(
                world, x, y, edge, rows[15, j], rows[16, j], rows[17, j],
                verge[0, beside], verge[1, beside], verge[2, beside], verge[3, beside],
            )
            beside += 1
        else:
            r, g, b = _curb(world, x, y)
            nx = bilinear(world.edge, x - STEP, y) - bilinear(world.edge, x + STEP, y)
            ny = bilinear(world.edge, x, y - STEP) - bilinear(world.edge, x, y + STEP)
            nz, around = F(0), F(0.55)
        direct = F(0)
        if world.casts_shadows:
            facing = nx * world.sun_direction[0] + ny * world.sun_direction[1] + nz * world.sun_direction[2]
            length = larger(math.sqrt(nx * nx + ny * ny + nz * nz), F(1e-6))
            direct = larger(facing / length, F(0)) * lit * rows[4, j]
        around *= rows[5, j]
        tr = world.sun[0] * direct + world.sky[0] * around
        tg = world.sun[1] * direct + world.sky[1] * around
        tb = world.sun[2] * direct + world.sky[2] * around
        if world.night:
            z = views.origin[view, 2] + rows[0, j] * rows[3, j]
            lr, lg, lb = lamps(views.headlights, view, lit * rows[5, j], x, y, z)
            tr, tg, tb = tr + lr, tg + lg, tb + lb
        i = pick[j]
        light[i, 0], light[i, 1], light[i, 2] = r * tr, g * tg, b * tb
