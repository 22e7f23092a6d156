"""Where rays meet boxes, cylinders and ellipsoids. As in render/raycast.py."""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import exact, inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, larger, lot, smaller
from mapkd_core.sim.render.compiled.hits import FAR
from mapkd_core.sim.world.solids import BOX, CYLINDER


@inline
def meet_box(ox, oy, oz, hx, hy, hz, dx, dy, dz):
    """Distance at which a ray in the box's own axes enters it, FAR if it does not."""
    ix = F(1) / (F(1e-9) if abs(dx) < F(1e-9) else dx)
    iy = F(1) / (F(1e-9) if abs(dy) < F(1e-9) else dy)
    iz = F(1) / (F(1e-9) if abs(dz) < F(1e-9) else dz)
    mx, my, mz = -ox * ix, -oy * iy, -oz * iz
    rx, ry, rz = hx * abs(ix), hy * abs(iy), hz * abs(iz)
    enter = larger(larger(mx - rx, my - ry), larger(mz - rz, F(1e-4)))
    leave = smaller(smaller(mx + rx, my + ry), smaller(mz + rz, FAR))
    return enter if (enter <= leave) & (enter > F(1e-4)) else FAR


@inline
def meet_cylinder(ox, oy, oz, radius, hz, dx, dy, dz):
    """Distance at which a ray meets an upright cylinder's side or top."""
    a = larger(dx * dx + dy * dy, F(1e-12))
    b = ox * dx + oy * dy
    root = b * b - a * (ox * ox + oy * oy - radius * radius)
    at = (-b - math.sqrt(larger(root, F(0)))) / a
    side = (root > F(0)) & (at > F(1e-4)) & (abs(oz + at * dz) <= hz)
    top = (hz - oz) / (F(-1e-9) if abs(dz) < F(1e-9) else dz)
    x, y = ox + top * dx, oy + top * dy
    cap = (dz < F(0)) & (top > F(1e-4)) & (x * x + y * y <= radius * radius)
    return at if side else (top if cap else FAR)


@exact
def _leaf_lot(x, y, z):
    cell = np.floor(x * F(4)) * F(12.9898) + np.floor(y * F(4)) * F(78.233)
    return lot(cell + np.floor(z * F(4)) * F(37.719), F(4375.85))


@exact
def meet_ellipsoid(ox, oy, oz, hx, hy, hz, dx, dy, dz, end):
    """Distance before `end` at which a ray meets an ellipsoid, else FAR; large ones are crowns, which have holes."""
    ux, uy, uz, vx, vy, vz = ox / hx, oy / hy, oz / hz, dx / hx, dy / hy, dz / hz
    a = larger(vx * vx + vy * vy + vz * vz, F(1e-12))
    b = ux * vx + uy * vy + uz * vz
    root = b * b - a * (ux * ux + uy * uy + uz * uz - F(1))
    if root <= F(0):
        return FAR
    reach = math.sqrt(root)
    share = F(0.1) + F(1.3) * math.sqrt(root / a)  # more holes near the rim
    near, far = (-reach - b) / a, (reach - b) / a
    if near >= end:  # most crowns stand behind something
        return FAR
    if near > F(1e-4) and (hx <= F(0.3) or _leaf_lot(ox + near * dx, oy + near * dy, oz + near * dz) < share):
        return near
    if far > F(1e-4) and (hx <= F(0.3) or _leaf_lot(ox + far * dx, oy + far * dy, oz + far * dz) < share):
        return far
    return FAR


@kernel
def _box_packet(o, half, c, s, dx, dy, dz, t, target, k):
    ox, oy, oz, hx, hy, hz = o[0], o[1], o[2], half[0], half[1], half[2]
    for i in range(len(dx)):
        at = meet_box(ox, oy, oz, hx, hy, hz, c * dx[i] + s * dy[i], c * dy[i] - s * dx[i], dz[i])
        nearer = at < t[i]
        t[i] = at if nearer else t[i]
        target[i] = k if nearer else target[i]


@kernel
def _cylinder_packet(o, half, c, s, dx, dy, dz, t, target, k):
    ox, oy, oz, radius, hz = o[0], o[1], o[2], half[0], half[2]
    for i in range(len(dx)):
        at = meet_cylinder(ox, oy, oz, radius, hz, c * dx[i] + s * dy[i], c * dy[i] - s * dx[i], dz[i])
        nearer = at < t[i]
        t[i] = at if nearer else t[i]
        target[i] = k if nearer else target[i]


@kernel
def _ellipsoid_roots(o, half, c, s, dx, dy, dz, roots):
    px, py, pz = F(1) / half[0], F(1) / half[1], F(1) / half[2]
    ux, uy, uz = o[0] * px, o[1] * py, o[2] * pz
    rest = ux * ux + uy * uy + uz * uz - F(1)
    for i in range(len(dx)):
        vx, vy, vz = (c * dx[i] + s * dy[i]) * px, (c * dy[i] - s * dx[i]) * py, dz[i] * pz
        b = ux * vx + uy * vy + uz * vz
        roots[i] = b * b - (vx * vx + vy * vy + vz * vz) * rest


@kernel
def _ellipsoid_packet(o, half, c, s, dx, dy, dz, t, target, k, roots):
    _ellipsoid_roots(o, half, c, s, dx, dy, dz, roots)
    for i in range(len(dx)):
        if roots[i] > F(0):
            at = meet_ellipsoid(
                o[0], o[1], o[2], half[0], half[1], half[2], c * dx[i] + s * dy[i], c * dy[i] - s * dx[i], dz[i],
                t[i],
            )
            if at < t[i]:
                t[i], target[i] = at, k


@kernel
def solid_hits(world, candidates, view, row, place, dx, dy, dz, t, target, scratch):
    """Puts the candidates that the packet's rays meet before `t` into `t` and `target`.

    `place[c]` is how many of the packet's rays lie in columns before `c`.
    """
    for k in range(candidates.first[view], candidates.first[view + 1]):
        rect = candidates.rect[k]
        if row < rect[0] or row >= rect[1]:
            continue
        a, b = place[rect[2]], place[rect[3]]
        if a >= b:
            continue
        solid = candidates.solid[k]
        o, half, kind = candidates.origin[k], world.half_m[solid], world.kind[solid]
        c, s, index = candidates.cos[k], candidates.sin[k], np.int32(k)
        own = (dx[a:b], dy[a:b], dz[a:b], t[a:b], target[a:b])
        if kind == BOX:
            _box_packet(o, half, c, s, *own, index)
        elif kind == CYLINDER:
            _cylinder_packet(o, half, c, s, *own, index)
        else:
            _ellipsoid_packet(o, half, c, s, *own, index, scratch[0, : b - a])


@inline
def meet(world, candidates, k, dx, dy, dz):
    """Distance at which one ray of the candidate's view meets candidate `k`."""
    solid = candidates.solid[k]
    o, half, kind = candidates.origin[k], world.half_m[solid], world.kind[solid]
    c, s = candidates.cos[k], candidates.sin[k]
    x, y = c * dx + s * dy, c * dy - s * dx
    if kind == BOX:
        return meet_box(o[0], o[1], o[2], half[0], half[1], half[2], x, y, dz)
    if kind == CYLINDER:
        return meet_cylinder(o[0], o[1], o[2], half[0], half[2], x, y, dz)
    return meet_ellipsoid(o[0], o[1], o[2], half[0], half[1], half[2], x, y, dz, FAR)
