"""Colours of what rays hit, in linear light before the camera's exposure.

Legend: n points. A spot is the patch of surface that one pixel sees: the vectors by which the hit point moves from one
pixel to the next (`across` per column, `down` per row).
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapkd_core.sim import solids as kinds
from mapkd_core.sim.conditions import Conditions
from mapkd_core.sim.ground import EDGE_CELL_M
from mapkd_core.sim.raycast import CURB, WALK
from mapkd_core.sim.textures import sample_bilinear
from mapkd_core.sim.world import World


@dataclass(frozen=True)
class Light:
    """Colour and strength of the sun and the sky, chosen so that a white sheet in full light is about 1."""

    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    cloud: float
    """0 is a blue sky, 1 is covered."""


def light_of(conditions: Conditions) -> Light:
    """The light of a weather."""
    if conditions.weather == "clear":
        warm = max(0.0, 1 - conditions.sun_elevation / 0.8)
        return Light((1.0, 0.93 - 0.18 * warm, 0.84 - 0.34 * warm), (0.27, 0.31, 0.38), (0.22, 0.4, 0.75), (0.75, 0.85, 0.95), 0.4)
    if conditions.weather == "night":
        return Light((0.0, 0.0, 0.0), (0.012, 0.012, 0.015), (0.006, 0.007, 0.012), (0.03, 0.028, 0.03), 0.5)
    dim = 0.72 if conditions.weather == "wet" else 0.85
    return Light((0.0, 0.0, 0.0), (dim, dim, 1.02 * dim), (0.62 * dim, 0.66 * dim, 0.7 * dim), (0.95 * dim,) * 3, 1.0)


def _rgb(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device)


def box_filtered_stripes(at: Tensor, period: float | Tensor, share: float | Tensor, width: Tensor) -> Tensor:
    """Mean over `width` around `at` of a pulse train that is 1 for the first `share` of each period."""

    def integral(x: Tensor) -> Tensor:
        turns = x / period
        whole = turns.floor()
        return (whole * share + torch.minimum(turns - whole, torch.as_tensor(share, device=x.device))) * period

    width = width.clamp_min(1e-4)
    return (integral(at + width / 2) - integral(at - width / 2)) / width


def shade_ground(world: World, kind: Tensor, x: Tensor, y: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Radiance (n, 3) of the ground at (x, y); `kind` is ROAD, WALK or CURB, spots are (n, 2) vectors."""
    conditions, ground = world.conditions, world.ground
    light = light_of(conditions)
    long_across = across.square().sum(1) > down.square().sum(1)
    axis = torch.where(long_across[:, None], across, down)
    major = axis.square().sum(1).sqrt().clamp_min(1e-6)
    minor = (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]).abs() / major
    paint, yellow, wear, lit = ground.surface.sample(x, y, axis[:, 0], axis[:, 1], minor)
    # Magnified cells would blur paint's edges: steepen the ramp to the size of the pixel.
    steep = (ground.surface.cell_m / minor.clamp_min(1e-4)).clamp(1, 4)
    shown = torch.where(paint < 0.95, ((paint - 0.5) * steep + 0.5).clamp(0, 1), paint)
    paint = torch.where((steep > 1) & (paint > 0.5 / steep), torch.minimum(shown, paint * 2), paint)
    edge = sample_bilinear(ground.edge_m, x, y, ground.origin_m, EDGE_CELL_M)
    wet = conditions.weather == "wet"
    asphalt = _rgb((0.128, 0.126, 0.122), x) * (0.62 if wet else 1.0)
    color = asphalt * (wear * 2 * 255 / 256)[:, None]
    gutter = ((edge + 0.35) / 0.1).clamp(0, 1) * 0.45
    color = torch.lerp(color, _rgb((0.2, 0.195, 0.185), x), gutter[:, None])
    hue = (yellow / paint.clamp_min(1e-3)).clamp(0, 1)[:, None]
    ink = torch.lerp(_rgb((0.52, 0.52, 0.5), x), _rgb((0.5, 0.3, 0.05), x), hue)
    color = torch.lerp(color, ink, (paint * (0.8 if wet else 0.95))[:, None])
    off_road = (kind == WALK).nonzero().squeeze(1)
    if len(off_road):
        color[off_road] = _verge_color(world, x[off_road], y[off_road], edge[off_road], across[off_road], down[off_road])
    color = torch.where((kind == CURB)[:, None], _curb_color(world, x, y) * 0.8, color)
    _, _, height = conditions.sun_direction
    sun = _rgb(light.sun, x) * (height * lit)[:, None]
    return color * (sun + _rgb(light.sky, x))


def _curb_color(world: World, x: Tensor, y: Tensor) -> Tensor:
    stone = _rgb((0.33, 0.32, 0.3), x).expand(len(x), 3)
    if world.conditions.palette != "tropical":
        return stone
    painted = torch.remainder(torch.floor((x + 0.7 * y) / 0.9), 2)[:, None]
    return torch.lerp(_rgb((0.05, 0.05, 0.05), x), _rgb((0.5, 0.5, 0.48), x), painted)


def _verge_color(world: World, x: Tensor, y: Tensor, edge: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Curb stone, paving, grass and plazas beside the road."""
    ground = world.ground
    spot = torch.minimum(across.square().sum(1), down.square().sum(1)).sqrt()
    paved, grass, _, mottle = ground.verge.sample(x, y, across[:, 0] + down[:, 0], across[:, 1] + down[:, 1], spot)
    joint = torch.maximum(
        1 - box_filtered_stripes(x, 1.5, 0.985, spot), 1 - box_filtered_stripes(y, 1.5, 0.985, spot)
    )[:, None]
    concrete = _rgb((0.27, 0.26, 0.245), x) * (1 - 0.45 * joint)
    plaza = _rgb((0.2, 0.19, 0.18), x).expand(len(x), 3)
    lawn = _rgb((0.075, 0.095, 0.035), x).expand(len(x), 3)
    base = torch.lerp(plaza, lawn, grass[:, None])
    base = torch.lerp(base, concrete, paved[:, None]) * (0.4 + 1.2 * mottle[:, None])
    stone = ((0.16 - edge) / spot.clamp_min(0.02) + 0.5).clamp(0, 1)[:, None]
    return torch.lerp(base, _curb_color(world, x, y), stone)


def shade_solids(world: World, solid: Tensor, local: Tensor, direction: Tensor, yaw: Tensor, spot: Tensor) -> Tensor:
    """Radiance (n, 3) of solids.

    Args: the solids' indices (n,); hit points in the solids' own axes (n, 3); ray directions (n, 3), unit length;
    the solids' yaws (n,); the width that a pixel sees at that distance (n,), metres.
    """
    columns = _columns(world, solid.device)
    half, style = columns["half_m"][solid], columns["style"][solid]
    color, detail = columns["color"][solid], columns["detail"][solid]
    kind = columns["kind"][solid]
    ratio = local / half
    face = ratio.abs().argmax(1)
    box_normal = torch.nn.functional.one_hot(face, 3).float() * torch.sign(ratio)
    round_normal = ratio / half
    flat = kind == kinds.CYLINDER
    round_normal[:, 2] = torch.where(flat, (ratio[:, 2] > 0.999).float() * 1e3, round_normal[:, 2])
    normal = torch.where((kind == kinds.BOX)[:, None], box_normal, round_normal)
    normal = normal / normal.square().sum(1, keepdim=True).sqrt().clamp_min(1e-9)
    c, s = torch.cos(yaw), torch.sin(yaw)
    nx = c * normal[:, 0] - s * normal[:, 1]
    ny = s * normal[:, 0] + c * normal[:, 1]
    nz = normal[:, 2]
    gloss = torch.zeros_like(nx)
    for code, paint in (
        (kinds.BUILDING, _building), (kinds.CAR_BODY, _car_body), (kinds.CAR_CABIN, _car_cabin),
        (kinds.FOLIAGE, _foliage), (kinds.PERSON, _person),
    ):
        chosen = (style == code).nonzero().squeeze(1)
        if len(chosen):
            accent = columns["accent"][solid[chosen]]
            color[chosen], gloss[chosen] = paint(
                world, local[chosen], half[chosen], face[chosen], color[chosen], accent, detail[chosen], spot[chosen]
            )
    light = light_of(world.conditions)
    sx, sy, sz = world.conditions.sun_direction
    sun = (nx * sx + ny * sy + nz * sz).clamp_min(0)[:, None] * _rgb(light.sun, nx)
    # Walls see half the sky and half the ground; undersides see the ground alone.
    sky = _rgb(light.sky, nx) * (0.62 + 0.38 * nz)[:, None]
    toward = nx * direction[:, 0] + ny * direction[:, 1] + nz * direction[:, 2]
    mirrored_z = direction[:, 2] - 2 * toward * nz
    mirror = sky_color(world, None, None, mirrored_z)
    fresnel = (gloss * (0.25 + 0.75 * (1 - toward.abs()).clamp(0, 1) ** 4))[:, None]
    return torch.lerp(color * (sun + sky), mirror * 0.8, fresnel)


def _columns(world: World, device: torch.device) -> dict[str, Tensor]:
    names = ("kind", "half_m", "style", "color", "accent", "detail")
    return {name: torch.from_numpy(getattr(world.solids, name)).to(device) for name in names}


def _building(world, local, half, face, wall, glass, detail, spot):  # type: ignore[no-untyped-def]
    u = torch.where(face == 0, local[:, 1], local[:, 0])
    z = local[:, 2] + half[:, 2]
    across = box_filtered_stripes(u + detail[:, 3] * 3, detail[:, 0], detail[:, 2], spot)
    up = box_filtered_stripes(z - 0.9, detail[:, 1], 0.55, spot)
    window = across * up * (face != 2) * (z < 2 * half[:, 2] - 0.8)
    shop = ((z < 3.6) & (z > 0.9) & (face != 2)).float() * box_filtered_stripes(u, 5.0, 0.75, spot)
    window = torch.where(z < 4.0, shop, window)
    cell = torch.floor((u + detail[:, 3] * 3) / detail[:, 0]) * 12.9898 + torch.floor((z - 0.9) / detail[:, 1]) * 78.233
    vary = torch.frac(torch.sin(cell + detail[:, 3] * 40).abs() * 437.58)
    pane = glass * (0.5 + 1.5 * vary[:, None])
    if world.conditions.weather == "night":
        pane = pane + (vary > 0.72).float()[:, None] * _rgb((8.0, 6.5, 4.0), u)
    grain = _noise(world, u * 0.9 + detail[:, 3] * 60, z * 0.9)
    wall = wall * (1 + 0.1 * grain)[:, None] * (0.86 + 0.14 * (z / 6).clamp(0, 1))[:, None]
    return torch.lerp(wall, pane, window[:, None]), window * 0.75


def _car_body(world, local, half, face, color, glass, detail, spot):  # type: ignore[no-untyped-def]
    x, z = local[:, 0], local[:, 2] + half[:, 2] + detail[:, 0]
    wheel = torch.minimum((x - 0.62 * half[:, 0]).abs(), (x + 0.62 * half[:, 0]).abs())
    radius = torch.hypot(wheel, z - detail[:, 1])
    tyre = (face == 1) & (radius < detail[:, 1])
    hub = (face == 1) & (radius < 0.6 * detail[:, 1])
    side = local[:, 1].abs() / half[:, 1]
    ends = (face == 0) & (z > 0.5) & (z < 0.5 + 0.4 * (2 * half[:, 2])) & (side > 0.62)
    lamp = torch.where((x > 0)[:, None], _rgb((0.7, 0.7, 0.65), x), _rgb((0.45, 0.02, 0.02), x))
    if world.conditions.weather == "night":
        lamp = lamp * torch.where((x > 0)[:, None], 9.0, 2.5)
    plate = (face == 0) & (side < 0.28) & (z > 0.45) & (z < 0.58)
    bumper = ((z < 0.38) & ~tyre)[:, None]
    color = torch.where(bumper, color * 0.35 + 0.01, color)
    color = torch.where(tyre[:, None], torch.full_like(color, 0.02), color)
    color = torch.where(hub[:, None], torch.full_like(color, 0.22), color)
    color = torch.where(ends[:, None], lamp, color)
    color = torch.where(plate[:, None], torch.full_like(color, 0.5), color)
    return color, torch.where(tyre | ends | plate, 0.0, 0.25)


def _car_cabin(world, local, half, face, color, glass, detail, spot):  # type: ignore[no-untyped-def]
    z = local[:, 2] / half[:, 2]
    u = torch.where(face == 0, local[:, 1] / half[:, 1], local[:, 0] / half[:, 0])
    window = (face != 2) & (z.abs() < 0.72) & (u.abs() < 0.92) & ((face == 0) | (u.abs() > 0.04))
    return torch.where(window[:, None], glass, color), torch.where(window, 0.6, 0.25)


def _foliage(world, local, half, face, color, accent, detail, spot):  # type: ignore[no-untyped-def]
    leaf = _noise(world, local[:, 0] * 4 + local[:, 2] * 2.3 + detail[:, 0] * 31, local[:, 1] * 4 + local[:, 2] * 3.1)
    depth = 0.72 + 0.28 * local[:, 2] / half[:, 2]
    return color * ((1 + 0.45 * leaf).clamp(0.25, 2.2) * depth)[:, None], torch.zeros_like(leaf)


def _person(world, local, half, face, color, accent, detail, spot):  # type: ignore[no-untyped-def]
    return torch.where((local[:, 2] < 0.05)[:, None], accent, color), torch.zeros_like(local[:, 0])


def _noise(world: World, u: Tensor, v: Tensor) -> Tensor:
    """World noise at (u, v) in texels of about a tenth; mean 0, deviation 1."""
    noise = world.sky_noise
    size = noise.shape[0]
    i = torch.remainder(torch.floor(u * 10).to(torch.int64), size)
    j = torch.remainder(torch.floor(v * 10).to(torch.int64), size)
    return noise.reshape(-1)[j * size + i]


def sky_color(world: World, x: Tensor | None, y: Tensor | None, z: Tensor) -> Tensor:
    """Radiance (n, 3) of the sky along unit directions; without x and y it has no clouds."""
    light = light_of(world.conditions)
    height = z.clamp(0, 1)
    blue = torch.lerp(_rgb(light.horizon, z), _rgb(light.zenith, z), height.sqrt()[:, None])
    if x is None or y is None:
        return blue
    reach = 14.0 / (height + 0.12)  # clouds lie in a plane above
    cover = _smooth_noise(world, x * reach, y * reach)
    bright = _rgb(light.horizon, z) * (1.0 if light.cloud < 1 else 0.92)
    if light.cloud < 1:
        share = ((cover - 0.4) * 0.9).clamp(0, 0.95) * (height / 0.05).clamp(0, 1)
        return torch.lerp(blue, bright * 1.12, share[:, None])
    return blue * (1 + 0.13 * cover.clamp(-2, 2))[:, None]


def _smooth_noise(world: World, u: Tensor, v: Tensor) -> Tensor:
    size = world.sky_noise.shape[0]
    return sample_bilinear(world.sky_noise, torch.remainder(u * 4, size), torch.remainder(v * 4, size), (0.0, 0.0), 1.0)
