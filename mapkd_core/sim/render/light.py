"""Sun, sky and lamps: how much light there is, and what the sky looks like."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.textures import sample_bilinear
from mapkd_core.sim.world.world import World

STREET_LAMP = (0.075, 0.058, 0.036)
HEADLIGHT = (0.9, 0.86, 0.76)
HEADLIGHT_AT_M = (3.7, 0.65)
"""Forward of `base_link`, and above the ground."""


@dataclass(frozen=True)
class Light:
    """Colour and strength of the sun and the sky, chosen so that a white sheet in full light is about 1."""

    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    """What a sheet that sees the whole sky gets from it."""
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    covered: bool
    """Whether clouds hide all of the sky."""


def light_of(conditions: Conditions) -> Light:
    """The light of a weather."""
    if conditions.weather == "clear":
        low = max(0.0, 1 - conditions.sun_elevation / 0.8)
        sun = (1.15, 1.08 - 0.18 * low, 0.99 - 0.34 * low)
        return Light(sun, (0.3, 0.33, 0.38), (0.28, 0.42, 0.66), (0.78, 0.85, 0.92), covered=False)
    if conditions.weather == "night":
        return Light((0.0,) * 3, (0.006, 0.006, 0.0075), (0.003, 0.0035, 0.006), (0.016, 0.014, 0.014), covered=False)
    dim = 0.8 if conditions.weather == "wet" else 1.0
    return Light(
        (0.0,) * 3, (0.95 * dim, 0.97 * dim, dim), (0.52 * dim, 0.54 * dim, 0.57 * dim), (0.88 * dim,) * 3, covered=True
    )


def rgb(values: tuple[float, ...], like: Tensor) -> Tensor:
    """A colour as a tensor beside another."""
    return torch.tensor(values, dtype=torch.float32, device=like.device)


def sky_color(world: World, x: Tensor | None, y: Tensor | None, z: Tensor) -> Tensor:
    """Radiance (n, 3) of the sky along unit directions; without x and y it has no clouds."""
    light = light_of(world.conditions)
    height = z.clamp(0, 1)
    clear = torch.lerp(rgb(light.horizon, z), rgb(light.zenith, z), height.sqrt()[:, None])
    if x is None or y is None:
        return clear
    reach = 14.0 / (height + 0.12)  # clouds lie in a plane above
    cover = smooth_noise(world, x * reach, y * reach)
    if light.covered:
        return clear * (1 + 0.22 * cover.clamp(-2.2, 2.2) * (height / 0.08).clamp(0.3, 1))[:, None]
    share = ((cover - 0.3) * 0.9).clamp(0, 0.95) * (height / 0.05).clamp(0, 1)
    return torch.lerp(clear, rgb(light.horizon, z) * 1.15, share[:, None])


def lamp_light(pool: Tensor, point: Tensor, headlights: Tensor | None) -> Tensor:
    """Light (n, 3) that street lamps and the ego's headlights throw on points (n, 3) at night.

    `pool` (n,) is the strength of the street lamps there; `headlights` (n, 12) holds, flattened row by row, the
    transform into the ego's `base_link`, and is None where there are none.
    """
    total = pool[:, None] * rgb(STREET_LAMP, point)
    if headlights is None:
        return total
    m = headlights
    ahead = m[:, 0] * point[:, 0] + m[:, 1] * point[:, 1] + m[:, 2] * point[:, 2] + m[:, 3] - HEADLIGHT_AT_M[0]
    left = m[:, 4] * point[:, 0] + m[:, 5] * point[:, 1] + m[:, 6] * point[:, 2] + m[:, 7]
    up = m[:, 8] * point[:, 0] + m[:, 9] * point[:, 1] + m[:, 10] * point[:, 2] + m[:, 11] - HEADLIGHT_AT_M[1]
    safe = ahead.clamp_min(0.5)
    across = left / (0.33 * safe + 0.9)
    above = (up / (0.04 * safe + 0.15)).clamp_min(0)  # a dipped beam ends just above the lamps
    strength = torch.exp(-across * across - above * above) * 22 / (safe * safe + 22) * (ahead > -0.5)
    return total + strength[:, None] * rgb(HEADLIGHT, point)


def smooth_noise(world: World, u: Tensor, v: Tensor) -> Tensor:
    """World noise at (u, v), a texel every quarter, filtered; mean 0, deviation 1."""
    size = world.noise.shape[0]
    return sample_bilinear(world.noise, torch.remainder(u * 4, size), torch.remainder(v * 4, size), (0.0, 0.0), 1.0)


def noise_at(world: World, u: Tensor, v: Tensor) -> Tensor:
    """World noise at (u, v), a texel every tenth, not filtered; mean 0, deviation 1."""
    size = world.noise.shape[0]
    i = torch.remainder(torch.floor(u * 10).to(torch.int64), size)
    j = torch.remainder(torch.floor(v * 10).to(torch.int64), size)
    return world.noise.reshape(-1)[j * size + i]
