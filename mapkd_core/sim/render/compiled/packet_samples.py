"""Look-ups for a whole packet of points at once: as `sample`, `bilinear` and `smooth_noise` in textures.py.

Legend: n points, room for float32 numbers `f` (7, n) and int32 numbers `k` (5, n).
"""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, I, clip, larger, lerp, logarithm, smaller
from mapkd_core.sim.render.compiled.memory import get, look_up, put
from mapkd_core.sim.render.compiled.textures import LOG2_E, ORDER, TAPS, U

LANES, LOW = I(0x00FF00FF), I(0xFFFF)
L = np.int64


@kernel
def _plan(texture, x, y, axis_x, axis_y, minor, f, k):
    """First tap, step, share of a tap, level, and from which place in the order on taps go to the next level."""
    cell, last_level = texture.cell_m, F(texture.levels) - F(1.001)
    for i in range(len(x)):
        major = math.sqrt(axis_x[i] * axis_x[i] + axis_y[i] * axis_y[i])
        width = larger(minor[i], major / TAPS)
        lod = clip(logarithm(larger(width / cell, F(1e-6))) * LOG2_E, F(0), last_level)
        ratio = major / larger(width, cell * F(0.5))
        share = F(0.25) if ratio <= F(4.5) else F(0.125)
        share = F(0.5) if ratio <= F(2.5) else share
        share = F(1) if ratio <= F(1.5) else share
        level = I(lod)
        step_x, step_y = axis_x[i] * share, axis_y[i] * share
        f[0, i] = x[i] - texture.x_m - axis_x[i] * F(0.5) + step_x * F(0.5)
        f[1, i] = y[i] - texture.y_m - axis_y[i] * F(0.5) + step_y * F(0.5)
        f[2, i], f[3, i], f[4, i] = step_x, step_y, share
        f[5, i] = (F(1) - (lod - F(level))) * F(8) - F(0.5)
        k[0, i] = level
        k[1, i], k[2, i], k[3, i], k[4, i] = 0, 0, 0, 0


@inline
def _weighed(a, b, c, d, wa, wb, wc, wd):
    """Four texels' bytes 0 and 2, weighed, in the halves of 32 bits."""
    near = I(I(I(a & LANES) * wa) + I(I(b & LANES) * wb))
    return I(near + I(I(I(c & LANES) * wc) + I(I(d & LANES) * wd)))


@kernel
def _tap(texture, tap, at_x, at_y, step_x, step_y, share, coarse_from, levels, sum_0, sum_1, sum_2, sum_3):
    """Adds one tap of every point that has so many."""
    order, past = ORDER[U(tap)], F(tap) + F(0.5)
    size, scale_0, texels, starts = I(texture.size), texture.scales[0], texture.texels, texture.starts
    for i in range(len(at_x)):
        level = I(get(levels, i) + (I(1) if order >= get(coarse_from, i) else I(0)))
        scale = scale_0 * I(I(I(127) - level) << I(23)).view(F)  # halved with every level
        side = I(size >> level)
        last = I(side - I(1))
        x, y, limit = get(at_x, i), get(at_y, i), F(I(last << I(4)))
        u, v = I(clip(x * scale - F(8), F(0), limit)), I(clip(y * scale - F(8), F(0), limit))
        column, row = I(u >> I(4)), I(v >> I(4))
        a = I(look_up(starts, L(level)) + I(row * side) + column)
        b, below = I(a + (I(1) if column < last else I(0))), side if row < last else I(0)
        live = I(1) if past * get(share, i) < F(1) else I(0)
        fu, fv = I(I(u & I(15)) * live), I(v & I(15))
        gu, gv = I(I(live << I(4)) - fu), I(I(16) - fv)
        wa, wb, wc, wd = I(gu * gv), I(fu * gv), I(gu * fv), I(fu * fv)
        ta, tb = I(look_up(texels, L(a))), I(look_up(texels, L(b)))
        tc, td = I(look_up(texels, L(I(a + below)))), I(look_up(texels, L(I(b + below))))
        even = _weighed(ta, tb, tc, td, wa, wb, wc, wd)
        odd = _weighed(I(ta >> I(8)), I(tb >> I(8)), I(tc >> I(8)), I(td >> I(8)), wa, wb, wc, wd)
        put(sum_0, i, I(get(sum_0, i) + I(even & LOW)))
        put(sum_1, i, I(get(sum_1, i) + I(odd & LOW)))
        put(sum_2, i, I(get(sum_2, i) + I(I(even >> I(16)) & LOW)))
        put(sum_3, i, I(get(sum_3, i) + I(I(odd >> I(16)) & LOW)))
        put(at_x, i, x + get(step_x, i))
        put(at_y, i, y + get(step_y, i))


@kernel
def sample_packet(texture, x, y, axis_x, axis_y, minor, f, k, out):
    """Four channels (4, n) in 0..1 over n elongated spots, into `out`; see `PackedTexture.sample`."""
    n = len(x)
    if n == 0:
        return
    _plan(texture, x, y, axis_x, axis_y, minor, f, k)
    least = F(1)
    for i in range(n):
        least = smaller(least, f[4, i])
    for tap in range(L(F(1) / least)):
        _tap(
            texture, tap, f[0, :n], f[1, :n], f[2, :n], f[3, :n], f[4, :n], f[5, :n],
            k[0, :n], k[1, :n], k[2, :n], k[3, :n], k[4, :n],
        )
    for i in range(n):
        unit = f[4, i] * F(1 / (256 * 255))
        out[0, i], out[1, i] = F(k[1, i]) * unit, F(k[2, i]) * unit
        out[2, i], out[3, i] = F(k[3, i]) * unit, F(k[4, i]) * unit


@inline
def _between_four(grid, u, v):
    """Value between the four cells around a place counted in cells."""
    size = I(grid.size)
    u, v = clip(u, F(0), F(size) - F(1.001)), clip(v, F(0), F(size) - F(1.001))
    i, j = I(u), I(v)
    fu, fv = u - F(i), v - F(j)
    corner = L(I(I(j * size) + i))
    near = lerp(look_up(grid.values, corner), look_up(grid.values, corner + 1), fu)
    far = lerp(look_up(grid.values, corner + size), look_up(grid.values, corner + size + 1), fu)
    return lerp(near, far, fv)


@kernel
def bilinear_packet(grid, x, y, out):
    """Values (n,) at points in metres, held at the rim."""
    for i in range(len(out)):
        u = (get(x, i) - grid.x_m) * grid.per_cell - F(0.5)
        v = (get(y, i) - grid.y_m) * grid.per_cell - F(0.5)
        put(out, i, _between_four(grid, u, v))


@kernel
def smooth_noise_packet(grid, x, y, out):
    """Noise (n,) at points, a texel every quarter, filtered."""
    size = F(grid.size)
    for i in range(len(out)):
        u, v = get(x, i) * F(4), get(y, i) * F(4)
        u, v = u - np.floor(u / size) * size, v - np.floor(v / size) * size
        u, v = (u - grid.x_m) * grid.per_cell - F(0.5), (v - grid.y_m) * grid.per_cell - F(0.5)
        put(out, i, _between_four(grid, u, v))
