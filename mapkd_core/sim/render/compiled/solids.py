"""The light that one point of a building, vehicle, plant or person sends. As in render/solid_color.py."""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import exact, inline
from mapkd_core.sim.render.compiled.arithmetic import F, clip, exponential, larger, lerp, lot, smaller
from mapkd_core.sim.render.compiled.hits import height
from mapkd_core.sim.render.compiled.light import lamps, plain_sky
from mapkd_core.sim.render.compiled.textures import noise_at, stripes
from mapkd_core.sim.world.solids import (
    BARRIER,
    BOX,
    BUILDING,
    CAR_BODY,
    CAR_CABIN,
    ELLIPSOID,
    FOLIAGE,
    LAMP,
    PERSON,
)


@exact
def _window_lot(u, z, detail):
    """A fixed random number 0..1 per window."""
    cell = np.floor(u / larger(detail[0], F(0.1))) * F(12.9898)
    cell = cell + np.floor((z - F(0.9)) / larger(detail[1], F(0.1))) * F(78.233)
    return lot(cell + detail[3] * F(40), F(437.58))


@inline
def _building(world, lu, z, half_z, face, color, accent, detail, spot):
    u = lu + detail[3] * F(3)
    window = F(0)
    if face != 2 and z < F(2) * half_z - F(0.8):
        if z >= F(4):
            window = stripes(u, detail[0], detail[2], spot) * stripes(z - F(0.9), detail[1], F(0.55), spot)
        elif F(1.1) < z < F(3.6):
            window = stripes(u, F(5), F(0.75), spot)
    ledge = stripes(z - F(0.55), detail[1], F(0.06), spot) if detail[3] > F(0.5) else F(0)
    grain = noise_at(world.noise, u * F(0.9) + detail[3] * F(60), z * F(0.9))
    gain = (F(1) + F(0.1) * grain) * (F(0.86) + F(0.14) * clip(z / F(6), F(0), F(1))) * (F(1) - F(0.35) * ledge)
    r, g, b = color[0] * gain, color[1] * gain, color[2] * gain
    if window > F(0):
        pane = F(0.5) + F(1.5) * _window_lot(u, z, detail)
        pr, pg, pb = accent[0] * pane, accent[1] * pane, accent[2] * pane
        r, g, b = lerp(r, pr, window), lerp(g, pg, window), lerp(b, pb, window)
    return r, g, b, window * F(0.75)


@inline
def _is_lamp(face, y, z, half):
    z = z / half[2]
    return face == 0 and F(0.1) < z < F(0.62) and abs(y) / half[1] > F(0.66)


@inline
def _car_body(x, y, z, half, face, color, detail):
    high = z + half[2] + detail[0]
    wheel = smaller(abs(x - F(0.62) * half[0]), abs(x + F(0.62) * half[0]))
    up = high - detail[1]
    radius = math.sqrt(wheel * wheel + up * up) / larger(detail[1], F(0.1))
    if _is_lamp(face, y, z, half):
        if x > F(0):
            return F(0.7), F(0.7), F(0.65), F(0)
        return F(0.35), F(0.03), F(0.03), F(0)
    if face == 0 and abs(y) / half[1] < F(0.28) and F(0.45) < high < F(0.58):
        return F(0.5), F(0.5), F(0.5), F(0)
    if face == 1 and radius < F(0.6):
        return F(0.2), F(0.2), F(0.2), F(0)
    if face == 1 and radius < F(1):
        return F(0.02), F(0.02), F(0.02), F(0)
    if high < F(0.36):
        return color[0] * F(0.3) + F(0.01), color[1] * F(0.3) + F(0.01), color[2] * F(0.3) + F(0.01), F(0.25)
    return color[0], color[1], color[2], F(0.25)


@exact
def _leaf(noise, x, y, z, seed):
    coarse = noise_at(noise, x * F(1.3) + z * F(0.9) + seed * F(31), y * F(1.3) + z * F(1.1))
    return coarse + F(0.7) * noise_at(noise, x * F(5) + z * F(2.3), y * F(5) + z * F(3.1))


@inline
def _surface(world, style, x, y, z, half, face, color, accent, detail, spot):
    """Reflectance, and the share of light that is mirrored."""
    lu = y if face == 0 else x
    if style == BUILDING:
        return _building(world, lu, z + half[2], half[2], face, color, accent, detail, spot)
    if style == CAR_BODY:
        return _car_body(x, y, z, half, face, color, detail)
    r, g, b, gloss = color[0], color[1], color[2], F(0)
    if style == CAR_CABIN:
        u = y / half[1] if face == 0 else x / half[0]
        gloss = F(0.25)
        if face != 2 and abs(z / half[2]) < F(0.74) and abs(u) < F(0.93) and (face == 0 or abs(u) > F(0.04)):
            r, g, b, gloss = accent[0], accent[1], accent[2], F(0.6)
    elif style == FOLIAGE:
        leaf = _leaf(world.noise, x, y, z, detail[0])
        close = clip(F(0.15) / larger(spot, F(1e-3)), F(0), F(1))
        gain = clip(F(1) + F(0.45) * close * leaf, F(0.25), F(2.2)) * (F(0.7) + F(0.3) * z / half[2])
        r, g, b = r * gain, g * gain, b * gain
    elif style == PERSON:
        if z < F(0.05):
            r, g, b = accent[0], accent[1], accent[2]
    elif style == BARRIER:
        stripe = stripes(lu, larger(detail[0], F(0.1)), F(0.5), spot)
        r, g, b = lerp(r, accent[0], stripe), lerp(g, accent[1], stripe), lerp(b, accent[2], stripe)
    return r, g, b, gloss


@inline
def _normal(kind, rx, ry, rz, half, face):
    """Outward unit normal in the solid's own axes."""
    if kind == BOX:
        if face == 0:
            return F(np.sign(rx)), F(0), F(0)
        if face == 1:
            return F(0), F(np.sign(ry)), F(0)
        return F(0), F(0), F(np.sign(rz))
    x, y, z = rx / half[0], ry / half[1], F(0)
    if kind == ELLIPSOID:
        z = rz / half[2]
    elif rz > F(0.999):
        z = F(1e3)
    length = larger(math.sqrt(x * x + y * y + z * z), F(1e-9))
    return x / length, y / length, z / length


@inline
def _glow(style, lx, ly, lz, half, face, detail, spot):
    """What shines by itself at night: some windows, vehicles' lamps, street lamps."""
    if style == LAMP:
        return F(1), F(0.8), F(0.5)
    if style == CAR_BODY and _is_lamp(face, ly, lz, half):
        if lx > F(0):
            return F(1.2), F(1.1), F(0.95)
        return F(0.16), F(0.012), F(0.01)
    if style == BUILDING and face != 2:
        u = (ly if face == 0 else lx) + detail[3] * F(3)
        z = lz + half[2]
        if _window_lot(u, z, detail) > F(0.78):
            pane = stripes(u, larger(detail[0], F(0.1)), detail[2], spot)
            pane *= stripes(z - F(0.9), larger(detail[1], F(0.1)), F(0.55), spot) * F(0.09)
            return pane, pane * F(0.8), pane * F(0.5)
    return F(0), F(0), F(0)


@inline
def solid_light(world, views, view, candidates, k, distance, dx, dy, dz, scale, flip):
    """Radiance of candidate `k` where a ray meets it; `flip` is -1 for the mirror image below the road, else 1."""
    x = views.origin[view, 0] + distance * dx
    y = views.origin[view, 1] + distance * dy
    z = views.origin[view, 2] + distance * dz
    ox, oy = x - candidates.centre_m[k, 0], y - candidates.centre_m[k, 1]
    lz = (z - candidates.centre_m[k, 2]) * flip
    c, s = candidates.cos[k], candidates.sin[k]
    lx, ly = c * ox + s * oy, c * oy - s * ox
    z, dz = z * flip, dz * flip
    solid = candidates.solid[k]
    kind, style, half = world.kind[solid], world.style[solid], world.half_m[solid]
    detail, step = world.detail[solid], views.step_u[view]
    spot = distance * math.sqrt(step[0] * step[0] + step[1] * step[1] + step[2] * step[2]) * scale
    rx, ry, rz = lx / half[0], ly / half[1], lz / half[2]
    face = 0
    if abs(ry) > abs(rx):
        face = 1
    if abs(rz) > larger(abs(rx), abs(ry)):
        face = 2
    r, g, b, gloss = _surface(
        world, style, lx, ly, lz, half, face, world.color[solid], world.accent[solid], detail, spot
    )
    ux, uy, nz = _normal(kind, rx, ry, rz, half, face)
    nx, ny = c * ux - s * uy, s * ux + c * uy
    facing = nx * world.sun_direction[0] + ny * world.sun_direction[1] + nz * world.sun_direction[2]
    if style == FOLIAGE:
        facing = F(0.35) + F(0.65) * facing  # light passes leaves
    facing = larger(facing, F(0))
    around = F(0.62) + F(0.38) * nz
    tr = facing * world.sun[0] + around * world.sky[0]
    tg = facing * world.sun[1] + around * world.sky[1]
    tb = facing * world.sun[2] + around * world.sky[2]
    if world.night:
        pool = F(0.35) * exponential(larger(z - height(world.waves, x, y), F(0)) * F(-0.2))
        lr, lg, lb = lamps(views.headlights, view, pool, x, y, z)
        tr, tg, tb = tr + lr, tg + lg, tb + lb
    r, g, b = r * tr, g * tg, b * tb
    if gloss > F(0):
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        toward = (nx * dx + ny * dy + nz * dz) / length
        rim = clip(F(1) - abs(toward), F(0), F(1))
        rim = rim * rim
        share = gloss * (F(0.12) + F(0.88) * rim * rim)
        sr, sg, sb = plain_sky(world, dz / length - F(2) * toward * nz)
        dim = F(0.8)
        r, g, b = lerp(r, sr * dim, share), lerp(g, sg * dim, share), lerp(b, sb * dim, share)
    if world.night:
        gr, gg, gb = _glow(style, lx, ly, lz, half, face, detail, spot)
        r, g, b = r + gr, g + gg, b + gb
    return r, g, b
