"""Sky and lamps. As in render/light.py."""
from __future__ import annotations

import math

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, clip, exponential, larger, lerp
from mapkd_core.sim.render.compiled.packet_samples import smooth_noise_packet
from mapkd_core.sim.render.light import HEADLIGHT, HEADLIGHT_AT_M, STREET_LAMP

LAMP = tuple(F(c) for c in STREET_LAMP)
BEAM = tuple(F(c) for c in HEADLIGHT)
BEAM_X, BEAM_Z = (F(c) for c in HEADLIGHT_AT_M)


@inline
def plain_sky(world, z):
    """Radiance of the sky without clouds at the sine `z` over the horizon."""
    share = math.sqrt(clip(z, F(0), F(1)))
    return (
        lerp(world.horizon[0], world.zenith[0], share),
        lerp(world.horizon[1], world.zenith[1], share),
        lerp(world.horizon[2], world.zenith[2], share),
    )


@kernel
def light_sky(world, n, t, dx, dy, dz, far, room, light):
    """Radiance of the sky for a packet's rays that meet nothing, into `light`."""
    rows, pick, m = room.rows, room.pick, 0
    for i in range(n):
        if t[i] >= far:
            pick[m] = i
            rows[0, m], rows[1, m], rows[2, m] = dx[i], dy[i], dz[i]
            m += 1
    if m == 0:
        return
    for j in range(m):
        length = math.sqrt(rows[0, j] * rows[0, j] + rows[1, j] * rows[1, j] + rows[2, j] * rows[2, j])
        z = rows[2, j] / length
        reach = F(14) / (clip(z, F(0), F(1)) + F(0.12)) / length
        rows[2, j], rows[3, j], rows[4, j] = z, rows[0, j] * reach, rows[1, j] * reach
    smooth_noise_packet(world.noise, rows[3, :m], rows[4, :m], rows[5, :m])
    for j in range(m):
        rows[6, j], rows[7, j], rows[8, j] = _clouded(world, rows[2, j], rows[5, j])
    for j in range(m):
        i = pick[j]
        light[i, 0], light[i, 1], light[i, 2] = rows[6, j], rows[7, j], rows[8, j]


@inline
def _clouded(world, z, cover):
    """Radiance of the sky at the sine `z` over the horizon with clouds of a density."""
    height = clip(z, F(0), F(1))
    r, g, b = plain_sky(world, z)
    if world.covered:
        gain = F(1) + F(0.22) * clip(cover, F(-2.2), F(2.2)) * clip(height / F(0.08), F(0.3), F(1))
        return r * gain, g * gain, b * gain
    share = clip((cover - F(0.3)) * F(0.9), F(0), F(0.95)) * clip(height / F(0.05), F(0), F(1))
    bright = F(1.15)
    return (
        lerp(r, world.horizon[0] * bright, share),
        lerp(g, world.horizon[1] * bright, share),
        lerp(b, world.horizon[2] * bright, share),
    )


@inline
def lamps(headlights, view, pool, x, y, z):
    """Light of street lamps of strength `pool` and of the ego's headlights at a point."""
    beam = F(0)
    if len(headlights):
        m = headlights[view]
        ahead = m[0] * x + m[1] * y + m[2] * z + m[3] - BEAM_X
        left = m[4] * x + m[5] * y + m[6] * z + m[7]
        up = m[8] * x + m[9] * y + m[10] * z + m[11] - BEAM_Z
        if ahead > F(-0.5):
            safe = larger(ahead, F(0.5))
            across = left / (F(0.33) * safe + F(0.9))
            above = larger(up / (F(0.04) * safe + F(0.15)), F(0))
            beam = exponential(-across * across - above * above) * F(22) / (safe * safe + F(22))
    return (
        pool * LAMP[0] + beam * BEAM[0],
        pool * LAMP[1] + beam * BEAM[1],
        pool * LAMP[2] + beam * BEAM[2],
    )
