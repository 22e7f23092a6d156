"""Colours of the road, its paint, curbs and verges, in linear light before the camera's exposure.

Legend: n points. A spot is the patch of ground that one pixel sees, given by the vectors (n, 2) by which the hit point
moves from one pixel to the next: `across` per column, `down` per row.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mapkd_core.sim.render.light import lamp_light, light_of, noise_at, rgb
from mapkd_core.sim.render.raycast import CURB, ROAD, WALK
from mapkd_core.sim.world.ground import EDGE_CELL_M
from mapkd_core.sim.world.textures import box_filtered_stripes, sample_bilinear
from mapkd_core.sim.world.world import World


@dataclass(frozen=True, eq=False)
class GroundLook:
    """The ground at n points before light falls on it."""

    color: Tensor
    """(n, 3) reflectance."""
    lit: Tensor
    """(n,) share of sun (or, at night, of lamp light) that reaches it past solids that stand still."""
    open_sky: Tensor
    """(n,) share of the sky it sees."""
    normal: Tensor
    """(n, 3)."""


def look_of_ground(world: World, kind: Tensor, x: Tensor, y: Tensor, across: Tensor, down: Tensor) -> GroundLook:
    """What the ground looks like at (x, y); `kind` (n,) is ROAD, WALK or CURB."""
    ground = world.ground
    long_across = across.square().sum(1) > down.square().sum(1)
    axis = torch.where(long_across[:, None], across, down)
    major = axis.square().sum(1).sqrt().clamp_min(1e-6)
    minor = (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]).abs() / major
    paint, yellow, wear, lit = ground.surface.sample(x, y, axis[:, 0], axis[:, 1], minor)
    edge = sample_bilinear(ground.edge_m, x, y, ground.origin_m, EDGE_CELL_M)
    color = _road_color(world, x, y, minor, paint, yellow, wear, edge)
    off_road = (kind == WALK).nonzero().squeeze(1)
    if len(off_road):
        color[off_road] = _verge_color(
            world, x[off_road], y[off_road], edge[off_road], across[off_road], down[off_road]
        )
    gx, gy = world.terrain.gradient(x, y)
    normal = torch.stack([-gx, -gy, torch.ones_like(x)], 1)
    open_sky = 1 - 0.35 * ((edge + 0.25) / 0.25).clamp(0, 1) * (kind == ROAD)  # a curb shades its foot
    face = (kind == CURB).nonzero().squeeze(1)
    if len(face):
        color[face] = _curb_color(world, x[face], y[face])
        normal[face] = _curb_normal(world, x[face], y[face])
        open_sky[face] = 0.55
    return GroundLook(color, lit, open_sky, normal / normal.square().sum(1, keepdim=True).sqrt())


def light_ground(
    world: World, look: GroundLook, point: Tensor, moving_sun: Tensor, moving_sky: Tensor, headlights: Tensor | None
) -> Tensor:
    """Radiance (n, 3) of ground at points (n, 3).

    `moving_sun` and `moving_sky` (n,) are the shares that moving solids let through; `headlights` as in `lamp_light`.
    """
    conditions = world.conditions
    light = light_of(conditions)
    sx, sy, sz = conditions.sun_direction
    facing = (look.normal[:, 0] * sx + look.normal[:, 1] * sy + look.normal[:, 2] * sz).clamp_min(0)
    sun = rgb(light.sun, point) * (facing * look.lit * moving_sun)[:, None]
    total = sun + rgb(light.sky, point) * (look.open_sky * moving_sky)[:, None]
    if conditions.weather == "night":
        total = total + lamp_light(look.lit * moving_sky, point, headlights)
    return look.color * total


def _road_color(
    world: World, x: Tensor, y: Tensor, minor: Tensor, paint: Tensor, yellow: Tensor, wear: Tensor, edge: Tensor
) -> Tensor:
    wet = world.conditions.weather == "wet"
    hue = (yellow / paint.clamp_min(1 / 255)).clamp(0, 1)[:, None]
    # Magnified cells would blur paint's edges: steepen the ramp to the size of the pixel.
    steep = (world.ground.surface.cell_m / minor.clamp_min(1e-4)).clamp(1, 3)
    paint = ((paint - 0.5) * steep + 0.5).clamp(0, 1).minimum(paint * 2)
    color = rgb(world.asphalt, x) * ((0.62 if wet else 1.0) * wear * (2 * 255 / 256))[:, None]
    fine = ((0.03 / minor.clamp_min(1e-4)) - 0.5).clamp(0, 1) * 0.07  # grain that only close pixels resolve
    if bool((fine > 0).any()):
        color = color * (1 + fine * noise_at(world, x * 11, y * 11))[:, None]
    gutter = ((edge + 0.35) / 0.1).clamp(0, 1) * 0.4
    color = torch.lerp(color, rgb((0.2, 0.195, 0.185), x), gutter[:, None])
    ink = torch.lerp(rgb((0.55, 0.55, 0.53), x), rgb((0.5, 0.31, 0.07), x), hue)
    return torch.lerp(color, ink * (0.75 + 0.5 * wear)[:, None], (paint * (0.8 if wet else 0.95))[:, None])


def _curb_color(world: World, x: Tensor, y: Tensor) -> Tensor:
    stone = rgb((0.33, 0.32, 0.3), x).expand(len(x), 3)
    if world.conditions.palette != "tropical":
        return stone
    painted = torch.remainder(torch.floor((x + 0.7 * y) / 0.9), 2)[:, None]
    return torch.lerp(rgb((0.06, 0.06, 0.06), x), rgb((0.5, 0.5, 0.48), x), painted)


def _curb_normal(world: World, x: Tensor, y: Tensor) -> Tensor:
    """Unit vectors (n, 3) from the curb's face towards the road, down the slope of the distance to its edge."""
    ground, step = world.ground, EDGE_CELL_M

    def edge(dx: float, dy: float) -> Tensor:
        return sample_bilinear(ground.edge_m, x + dx, y + dy, ground.origin_m, EDGE_CELL_M)

    normal = torch.stack([edge(-step, 0) - edge(step, 0), edge(0, -step) - edge(0, step), torch.zeros_like(x)], 1)
    return normal / normal.square().sum(1, keepdim=True).sqrt().clamp_min(1e-6)


def _verge_color(world: World, x: Tensor, y: Tensor, edge: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Curb stone, paving, grass and plazas beside the road."""
    ground = world.ground
    span_x, span_y = across[:, 0].abs() + down[:, 0].abs(), across[:, 1].abs() + down[:, 1].abs()
    spot = torch.minimum(across.square().sum(1), down.square().sum(1)).sqrt()
    axis = across + down
    paved, grass, contact, mottle = ground.verge.sample(x, y, axis[:, 0], axis[:, 1], spot)
    joint = torch.maximum(
        1 - box_filtered_stripes(x, 1.5, 0.985, span_x), 1 - box_filtered_stripes(y, 1.5, 0.985, span_y)
    )[:, None]
    concrete = rgb((0.27, 0.26, 0.245), x) * (1 - 0.45 * joint)
    plaza = rgb((0.19, 0.185, 0.175), x).expand(len(x), 3)
    lawn = rgb((0.085, 0.1, 0.05), x).expand(len(x), 3)
    close = ((0.06 / spot.clamp_min(1e-4)) - 0.5).clamp(0, 1)
    blades = (1 + 0.3 * close * noise_at(world, x * 5, y * 5))[:, None]
    base = torch.lerp(plaza, lawn * blades, grass[:, None])
    base = torch.lerp(base, concrete, paved[:, None]) * ((0.4 + 1.2 * mottle) * contact)[:, None]
    stone = ((0.16 - edge) / spot.clamp_min(0.02) + 0.5).clamp(0, 1)[:, None]
    return torch.lerp(base, _curb_color(world, x, y), stone)
