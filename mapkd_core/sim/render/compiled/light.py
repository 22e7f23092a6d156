"""Sky and lamps. As in render/light.py."""
from __future__ import annotations

import math

from mapkd_core.sim.render.compiled.arithmetic import F, clip, exponential, larger, lerp
from mapkd_core.sim.render.compiled.kernel import inline
from mapkd_core.sim.render.compiled.textures import smooth_noise
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


@inline
def sky(world, x, y, z):
    """Radiance of the sky along a unit direction."""
    height = clip(z, F(0), F(1))
    r, g, b = plain_sky(world, z)
    reach = F(14) / (height + F(0.12))
    cover = smooth_noise(world.noise, x * reach, y * reach)
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
