"""What moving solids and wet road add to a packet of rays: shade on the ground, and mirror images."""
from __future__ import annotations

import math

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, clip, exponential, larger, smaller
from mapkd_core.sim.render.compiled.hits import FAR
from mapkd_core.sim.render.compiled.meet import meet
from mapkd_core.sim.render.compiled.textures import noise_at, smooth_noise
from mapkd_core.sim.render.raycast import NOTHING, ROAD


@kernel
def shade_ground(world, views, shadows, view, row, place, dx, dy, dz, t, target, sun, open_sky):
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
def mirror(world, views, mirrored, view, row, place, dx, dy, dz, t, target, share, tilt, far, what):
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
