"""Colours of buildings, vehicles, plants and people, in linear light before the camera's exposure.

Legend: n points on solids. `local` (n, 3) is the point in the solid's own axes, `face` (n,) the axis (0, 1, 2) that a
box's face looks along, `spot` (n,) the width in metres that a pixel sees there.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapkd_core.sim.render.light import lamp_light, light_of, noise_at, rgb, sky_color
from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.textures import box_filtered_stripes
from mapkd_core.sim.world.world import World

Surface = tuple[Tensor, Tensor]
"""Reflectance (n, 3), and share of light (n,) that is mirrored rather than scattered."""


@dataclass(frozen=True, eq=False)
class Spots:
    """Points on solids of one style."""

    local: Tensor
    half: Tensor
    face: Tensor
    color: Tensor
    accent: Tensor
    detail: Tensor
    spot: Tensor


def shade_solids(
    world: World,
    solid: Tensor,
    local: Tensor,
    point: Tensor,
    direction: Tensor,
    yaw: Tensor,
    spot: Tensor,
    headlights: Tensor | None,
) -> Tensor:
    """Radiance (n, 3) of solids.

    Args: the solids' indices (n,); hit points in the solids' own axes and in the world (n, 3); ray directions (n, 3),
    unit length; the solids' yaws (n,); pixel widths (n,); `headlights` as in `light.lamp_light`.
    """
    columns = _columns(world, solid.device)
    half, style, kind = columns["half_m"][solid], columns["style"][solid], columns["kind"][solid]
    color, gloss = columns["color"][solid], torch.zeros_like(spot)
    ratio = local / half
    face = ratio.abs().argmax(1)
    for code, paint in _STYLES.items():
        chosen = (style == code).nonzero().squeeze(1)
        if len(chosen):
            own = solid[chosen]
            color[chosen], gloss[chosen] = paint(
                world,
                Spots(
                    local[chosen], half[chosen], face[chosen], color[chosen],
                    columns["accent"][own], columns["detail"][own], spot[chosen],
                ),
            )
    normal = _normals(kind, ratio, half, face, yaw)
    conditions = world.conditions
    light = light_of(conditions)
    sx, sy, sz = conditions.sun_direction
    facing = normal[:, 0] * sx + normal[:, 1] * sy + normal[:, 2] * sz
    facing = torch.where(style == kinds.FOLIAGE, 0.35 + 0.65 * facing, facing).clamp_min(0)  # light passes leaves
    # Walls see half the sky and half the ground; undersides see the ground alone.
    total = facing[:, None] * rgb(light.sun, spot) + (0.62 + 0.38 * normal[:, 2])[:, None] * rgb(light.sky, spot)
    if conditions.weather == "night":
        height = (point[:, 2] - world.terrain.height(point[:, 0], point[:, 1])).clamp_min(0)
        pool = 0.35 * torch.exp(-height / 5)
        total = total + lamp_light(pool, point, headlights)
    toward = (normal * direction).sum(1)
    mirrored_z = direction[:, 2] - 2 * toward * normal[:, 2]
    share = gloss * (0.12 + 0.88 * (1 - toward.abs()).clamp(0, 1) ** 4)
    result = torch.lerp(color * total, sky_color(world, None, None, mirrored_z) * 0.8, share[:, None])
    if conditions.weather == "night":
        result = result + _glow(world, style, Spots(local, half, face, color, color, columns["detail"][solid], spot))
    return result


def _columns(world: World, device: torch.device) -> dict[str, Tensor]:
    names = ("kind", "half_m", "style", "color", "accent", "detail")
    return {name: torch.from_numpy(getattr(world.solids, name)).to(device) for name in names}


def _normals(kind: Tensor, ratio: Tensor, half: Tensor, face: Tensor, yaw: Tensor) -> Tensor:
    """Outward unit normals (n, 3) in the world's axes."""
    box = torch.nn.functional.one_hot(face, 3).float() * torch.sign(ratio)
    round_ = ratio / half
    cap = (kind == kinds.CYLINDER) & (ratio[:, 2] > 0.999)
    upright = torch.where(kind == kinds.CYLINDER, torch.where(cap, 1e3, 0.0), round_[:, 2])
    normal = torch.where((kind == kinds.BOX)[:, None], box, torch.cat([round_[:, :2], upright[:, None]], 1))
    normal = normal / normal.square().sum(1, keepdim=True).sqrt().clamp_min(1e-9)
    c, s = torch.cos(yaw), torch.sin(yaw)
    x, y, z = normal.unbind(1)
    return torch.stack([c * x - s * y, s * x + c * y, z], 1)


def _building(world: World, at: Spots) -> Surface:
    u = torch.where(at.face == 0, at.local[:, 1], at.local[:, 0]) + at.detail[:, 3] * 3
    z = at.local[:, 2] + at.half[:, 2]
    upper = box_filtered_stripes(u, at.detail[:, 0], at.detail[:, 2], at.spot)
    upper = upper * box_filtered_stripes(z - 0.9, at.detail[:, 1], 0.55, at.spot)
    shops = ((z < 3.6) & (z > 1.1)).float() * box_filtered_stripes(u, 5.0, 0.75, at.spot)
    window = torch.where(z < 4.0, shops, upper) * ((at.face != 2) & (z < 2 * at.half[:, 2] - 0.8))
    ledge = box_filtered_stripes(z - 0.55, at.detail[:, 1], 0.06, at.spot) * (at.detail[:, 3] > 0.5)
    grain = noise_at(world, u * 0.9 + at.detail[:, 3] * 60, z * 0.9)
    wall = at.color * ((1 + 0.1 * grain) * (0.86 + 0.14 * (z / 6).clamp(0, 1)) * (1 - 0.35 * ledge))[:, None]
    pane = at.accent * (0.5 + 1.5 * _window_lot(at))[:, None]
    return torch.lerp(wall, pane, window[:, None]), window * 0.75


def _window_lot(at: Spots) -> Tensor:
    """A fixed random number 0..1 per window."""
    u = torch.where(at.face == 0, at.local[:, 1], at.local[:, 0]) + at.detail[:, 3] * 3
    z = at.local[:, 2] + at.half[:, 2] - 0.9
    cell = torch.floor(u / at.detail[:, 0].clamp_min(0.1)) * 12.9898
    cell = cell + torch.floor(z / at.detail[:, 1].clamp_min(0.1)) * 78.233
    return torch.frac(torch.sin(cell + at.detail[:, 3] * 40).abs() * 437.58)


def _car_body(world: World, at: Spots) -> Surface:
    x, z = at.local[:, 0], at.local[:, 2] + at.half[:, 2] + at.detail[:, 0]
    wheel = torch.minimum((x - 0.62 * at.half[:, 0]).abs(), (x + 0.62 * at.half[:, 0]).abs())
    radius = torch.hypot(wheel, z - at.detail[:, 1]) / at.detail[:, 1].clamp_min(0.1)
    tyre, hub = (at.face == 1) & (radius < 1), (at.face == 1) & (radius < 0.6)
    side = at.local[:, 1].abs() / at.half[:, 1]
    lamps = _car_lamps(at)
    lamp = torch.where((x > 0)[:, None], rgb((0.7, 0.7, 0.65), x), rgb((0.35, 0.03, 0.03), x))
    plate = (at.face == 0) & (side < 0.28) & (z > 0.45) & (z < 0.58)
    color = torch.where(((z < 0.36) & ~tyre)[:, None], at.color * 0.3 + 0.01, at.color)
    for part, paint in ((tyre, 0.02), (hub, 0.2), (plate, 0.5)):
        color = torch.where(part[:, None], torch.full_like(color, paint), color)
    return torch.where(lamps[:, None], lamp, color), torch.where(tyre | lamps | plate, 0.0, 0.25)


def _car_lamps(at: Spots) -> Tensor:
    z = at.local[:, 2] / at.half[:, 2]
    return (at.face == 0) & (z > 0.1) & (z < 0.62) & (at.local[:, 1].abs() / at.half[:, 1] > 0.66)


def _car_cabin(world: World, at: Spots) -> Surface:
    z = at.local[:, 2] / at.half[:, 2]
    u = torch.where(at.face == 0, at.local[:, 1] / at.half[:, 1], at.local[:, 0] / at.half[:, 0])
    window = (at.face != 2) & (z.abs() < 0.74) & (u.abs() < 0.93) & ((at.face == 0) | (u.abs() > 0.04))
    return torch.where(window[:, None], at.accent, at.color), torch.where(window, 0.6, 0.25)


def _foliage(world: World, at: Spots) -> Surface:
    x, y, z = at.local.unbind(1)
    leaf = noise_at(world, x * 1.3 + z * 0.9 + at.detail[:, 0] * 31, y * 1.3 + z * 1.1)
    leaf = leaf + 0.7 * noise_at(world, x * 5 + z * 2.3, y * 5 + z * 3.1)
    close = (0.15 / at.spot.clamp_min(1e-3)).clamp(0, 1)
    depth = 0.7 + 0.3 * z / at.half[:, 2]
    return at.color * ((1 + 0.45 * close * leaf).clamp(0.25, 2.2) * depth)[:, None], torch.zeros_like(leaf)


def _person(world: World, at: Spots) -> Surface:
    return torch.where((at.local[:, 2] < 0.05)[:, None], at.accent, at.color), torch.zeros_like(at.spot)


def _barrier(world: World, at: Spots) -> Surface:
    u = torch.where(at.face == 0, at.local[:, 1], at.local[:, 0])
    stripe = box_filtered_stripes(u, at.detail[:, 0].clamp_min(0.1), 0.5, at.spot)[:, None]
    return torch.lerp(at.color, at.accent, stripe), torch.zeros_like(at.spot)


def _glow(world: World, style: Tensor, at: Spots) -> Tensor:
    """What shines by itself at night: some windows, vehicles' lamps, street lamps."""
    u = torch.where(at.face == 0, at.local[:, 1], at.local[:, 0]) + at.detail[:, 3] * 3
    z = at.local[:, 2] + at.half[:, 2]
    pane = box_filtered_stripes(u, at.detail[:, 0].clamp_min(0.1), at.detail[:, 2], at.spot)
    pane = pane * box_filtered_stripes(z - 0.9, at.detail[:, 1].clamp_min(0.1), 0.55, at.spot)
    home = (style == kinds.BUILDING) & (at.face != 2) & (_window_lot(at) > 0.78)
    glow = (home * pane * 0.09)[:, None] * rgb((1.0, 0.8, 0.5), u)
    lamps = (style == kinds.CAR_BODY) & _car_lamps(at)
    front = (at.local[:, 0] > 0)[:, None]
    glow = glow + lamps[:, None] * torch.where(front, rgb((1.2, 1.1, 0.95), u), rgb((0.16, 0.012, 0.01), u))
    return glow + (style == kinds.LAMP)[:, None] * rgb((1.0, 0.8, 0.5), u)


_STYLES = {
    kinds.BUILDING: _building,
    kinds.CAR_BODY: _car_body,
    kinds.CAR_CABIN: _car_cabin,
    kinds.FOLIAGE: _foliage,
    kinds.PERSON: _person,
    kinds.BARRIER: _barrier,
}
