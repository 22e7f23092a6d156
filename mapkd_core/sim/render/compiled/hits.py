"""Where a packet of rays from one view meets the ground. As in render/raycast.py.

A packet is a row's n rays; loops over it are plain enough to become vector instructions.
"""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.render.compiled.arithmetic import F, clip, cosine, larger, sine, smaller
from mapkd_core.sim.render.compiled.kernel import inline, kernel
from mapkd_core.sim.render.compiled.textures import bilinear
from mapkd_core.sim.render.raycast import CURB, FAR_M, NOTHING, ROAD, WALK

FAR = F(FAR_M)
STEPS_M = np.array([8, 25, 50, 80, 115, 155, 220], F)


@inline
def height(w, x, y):
    """Height of three waves, 12 numbers."""
    return (
        w[0] * sine(w[1] * x + w[2] * y + w[3])
        + w[4] * sine(w[5] * x + w[6] * y + w[7])
        + w[8] * sine(w[9] * x + w[10] * y + w[11])
    )


@inline
def slope(w, x, y):
    """Rise over run of three waves along x and y."""
    a = w[0] * cosine(w[1] * x + w[2] * y + w[3])
    b = w[4] * cosine(w[5] * x + w[6] * y + w[7])
    c = w[8] * cosine(w[9] * x + w[10] * y + w[11])
    return a * w[1] + b * w[5] + c * w[9], a * w[2] + b * w[6] + c * w[10]


@kernel
def _flat(oz, dz, t):
    for i in range(len(dz)):
        t[i] = -oz / smaller(dz[i], F(-1e-6)) if dz[i] < F(-1e-6) else FAR


@kernel
def _begin(start, steepest, dx, dy, dz, per_speed, before, gap_before, after, gap_after, state):
    """State 0: still above the sheet, 1: crossed it, 2: looks too steeply up. Returns how many are in state 0."""
    open_ = 0
    for i in range(len(dx)):
        speed = larger(math.sqrt(dx[i] * dx[i] + dy[i] * dy[i]), F(1e-9))
        per_speed[i] = F(1) / speed
        before[i], gap_before[i], after[i], gap_after[i] = F(0), start, FAR, F(1)
        up = dz[i] >= steepest * speed
        state[i] = 2 if up else 0
        open_ += 0 if up else 1
    return open_


@kernel
def _bracket(w, step, ox, oy, oz, dx, dy, dz, per_speed, before, gap_before, after, gap_after, state):
    open_ = 0
    for i in range(len(dx)):
        at = step * per_speed[i]
        gap = oz + at * dz[i] - height(w, ox + at * dx[i], oy + at * dy[i])
        was_open = state[i] == 0
        crossed = was_open & (gap <= F(0))
        still = was_open & (gap > F(0))
        after[i] = at if crossed else after[i]
        gap_after[i] = gap if crossed else gap_after[i]
        state[i] = 1 if crossed else state[i]
        before[i] = at if still else before[i]
        gap_before[i] = gap if still else gap_before[i]
        open_ += 1 if still else 0
    return open_


@kernel
def _close_in(w, ox, oy, oz, dx, dy, dz, before, gap_before, after, gap_after):
    """One step of the secant rule; halving the kept end's gap (the Illinois rule) keeps both ends moving."""
    for i in range(len(dx)):
        g0, g1 = gap_before[i], gap_after[i]
        at = before[i] + (after[i] - before[i]) * clip(g0 / larger(g0 - g1, F(1e-9)), F(0), F(1))
        gap = oz + at * dz[i] - height(w, ox + at * dx[i], oy + at * dy[i])
        above = gap > F(0)
        gap_before[i] = gap if above else g0 * F(0.5)
        gap_after[i] = g1 * F(0.5) if above else gap
        before[i] = at if above else before[i]
        after[i] = after[i] if above else at


@kernel
def _meeting(before, gap_before, after, gap_after, state, t):
    for i in range(len(t)):
        g0, g1 = gap_before[i], gap_after[i]
        at = before[i] + (after[i] - before[i]) * clip(g0 / larger(g0 - g1, F(1e-9)), F(0), F(1))
        t[i] = at if state[i] == 1 else FAR


@kernel
def slopes(w, ox, oy, dx, dy, t, gx, gy):
    """Rise over run of the terrain where each ray of a packet is at `t`."""
    for i in range(len(t)):
        gx[i], gy[i] = slope(w, ox + t[i] * dx[i], oy + t[i] * dy[i])


@kernel
def _between_sheets(w, curb_m, ox, oy, dx, dy, dz, t, t_top):
    """Where the ray is a curb's height over the sheet that it meets at `t`."""
    for i in range(len(t)):
        gx, gy = slope(w, ox + t[i] * dx[i], oy + t[i] * dy[i])
        sink = larger(gx * dx[i] + gy * dy[i] - dz[i], F(1e-9))
        t_top[i] = larger(t[i] - curb_m / sink, F(0))


@kernel
def ground_hits(world, ox, oy, oz, dx, dy, dz, t, target, scratch, state):
    """Distances and ROAD, WALK, CURB or NOTHING of a packet from one origin."""
    n = len(dx)
    w = world.waves
    if world.hilly:
        per_speed, before, gap_before = scratch[0, :n], scratch[1, :n], scratch[2, :n]
        after, gap_after, states = scratch[3, :n], scratch[4, :n], state[:n]
        start = oz - height(w, ox, oy)
        open_ = _begin(start, world.steepest, dx, dy, dz, per_speed, before, gap_before, after, gap_after, states)
        tried = open_
        for k in range(len(STEPS_M)):
            if open_ == 0:
                break
            open_ = _bracket(
                w, STEPS_M[k], ox, oy, oz, dx, dy, dz, per_speed, before, gap_before, after, gap_after, states
            )
        if tried > open_:
            for _ in range(4):
                _close_in(w, ox, oy, oz, dx, dy, dz, before, gap_before, after, gap_after)
            _meeting(before, gap_before, after, gap_after, states, t)
        else:
            t[:] = FAR
    else:
        _flat(oz, dz, t)
    t_top = scratch[0, :n]
    _between_sheets(w, world.curb_m, ox, oy, dx, dy, dz, t, t_top)
    for i in range(n):
        if t[i] >= FAR:
            target[i] = NOTHING
            continue
        edge = bilinear(world.edge, ox + t_top[i] * dx[i], oy + t_top[i] * dy[i])
        target[i] = ROAD
        if edge > F(0):
            t[i], target[i] = t_top[i], WALK
            continue
        speed = larger(math.sqrt(dx[i] * dx[i] + dy[i] * dy[i]), F(1e-9))
        if -edge < (t[i] - t_top[i]) * speed:
            at = _curb_face(world.edge, ox, oy, dx[i], dy[i], speed, t_top[i], edge, t[i])
            if at < t[i]:
                t[i], target[i] = at, CURB


@inline
def _curb_face(grid, ox, oy, dx, dy, speed, at, value, end):
    """Where a ray between the sheets crosses the road's edge before `end`, else `end`."""
    before, value_before = at, value
    for step in range(7):
        # Safe steps first; then the secant rule, because along a straight curb the distance falls evenly.
        ahead = -value / speed
        if step > 2:
            fall = (value - value_before) / larger(at - before, F(1e-6))
            if fall > F(0.05) * speed:
                ahead = -value / larger(fall, F(1e-6))
        before, value_before = at, value
        at = smaller(larger(at + ahead, at - F(0.5) * abs(ahead)), end)
        value = bilinear(grid, ox + at * dx, oy + at * dy)
        if at >= end and value < F(0):  # it can only stay there
            return end
    return at if value > F(-0.005) and at < end else end
