"""Where a packet of rays from one view meets the ground. As in render/raycast.py.

A packet is a row's n rays; loops over it are plain enough to become vector instructions.
"""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, clip, cosine, larger, sine, smaller
from mapkd_core.sim.render.compiled.packet_samples import bilinear_packet
from mapkd_core.sim.render.compiled.textures import bilinear
from mapkd_core.sim.render.raycast import CURB, FAR_M, ROAD, WALK

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
def _begin(start, oz, peak, steepest, dx, dy, dz, nearest, per_speed, before, gap_before, after, gap_after, state):
    """State 0: still above the sheet, 1: crossed it, 2: looks too steeply up, or meets something above all hills first.

    Returns how many are in state 0.
    """
    open_ = 0
    for i in range(len(dx)):
        speed = larger(math.sqrt(dx[i] * dx[i] + dy[i] * dy[i]), F(1e-9))
        per_speed[i] = F(1) / speed
        before[i], gap_before[i], after[i], gap_after[i] = F(0), start, FAR, F(1)
        closed = (dz[i] >= steepest * speed) | ((dz[i] < F(0)) & (oz + nearest[i] * dz[i] > peak))
        state[i] = 2 if closed else 0
        open_ += 0 if closed else 1
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
def _between_sheets(w, hilly, curb_m, ox, oy, dx, dy, dz, t, t_top, x, y):
    """Where the ray is a curb's height over the sheet that it meets at `t`; returns whether one meets it at all."""
    met = 0
    for i in range(len(t)):
        sink = -dz[i]
        if hilly:
            gx, gy = slope(w, ox + t[i] * dx[i], oy + t[i] * dy[i])
            sink += gx * dx[i] + gy * dy[i]
        top = larger(t[i] - curb_m / larger(sink, F(1e-9)), F(0))
        t_top[i], x[i], y[i] = top, ox + top * dx[i], oy + top * dy[i]
        met += 1 if t[i] < FAR else 0
    return met > 0


@kernel
def _sheet(world, ox, oy, oz, dx, dy, dz, nearest, t, scratch, states):
    """Where rays meet the road's sheet, FAR where not before `nearest`; five rows of scratch."""
    n, w = len(dx), world.waves
    if not world.hilly:
        _flat(oz, dz, t)
        return
    per_speed, before, gap_before = scratch[0, :n], scratch[1, :n], scratch[2, :n]
    after, gap_after = scratch[3, :n], scratch[4, :n]
    start = oz - height(w, ox, oy)
    open_ = _begin(
        start, oz, world.peak_m, world.steepest, dx, dy, dz, nearest, per_speed, before, gap_before, after, gap_after,
        states,
    )
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


@kernel
def ground_hits(world, ox, oy, oz, dx, dy, dz, t, target, scratch, state):
    """Puts ground that a packet from one origin meets before `t` into `t` and `target`: ROAD, WALK or CURB.

    Six rows of scratch.
    """
    n = len(dx)
    low = scratch[5, :n]
    _sheet(world, ox, oy, oz, dx, dy, dz, t, low, scratch, state[:n])
    t_top, x, y, edges = scratch[0, :n], scratch[1, :n], scratch[2, :n], scratch[3, :n]
    if not _between_sheets(world.waves, world.hilly, world.curb_m, ox, oy, dx, dy, dz, low, t_top, x, y):
        return
    bilinear_packet(world.edge, x, y, edges)
    for i in range(n):
        if low[i] >= FAR or t_top[i] > t[i]:
            continue
        at, what, edge = low[i], ROAD, edges[i]
        if edge > F(0):
            at, what = t_top[i], WALK
        else:
            speed = larger(math.sqrt(dx[i] * dx[i] + dy[i] * dy[i]), F(1e-9))
            if -edge < (low[i] - t_top[i]) * speed:
                face = _curb_face(world.edge, ox, oy, dx[i], dy[i], speed, t_top[i], edge, low[i])
                if face < low[i]:
                    at, what = face, CURB
        if at <= t[i]:
            t[i], target[i] = at, what


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
