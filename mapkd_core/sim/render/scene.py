"""One batch of camera views of a world: from pixels to the light that comes through them.

Legend: V views, H W pixels, n pixels of all views, R rays through each, m rays of one kind.
"""
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.ground_color import light_ground, look_of_ground
from mapkd_core.sim.render.light import sky_color
from mapkd_core.sim.render.raycast import FAR_M, ROAD, Candidates, Rays, cast, solid_hits, solid_pixels
from mapkd_core.sim.render.reflection import mirrored, road_mirror
from mapkd_core.sim.render.solid_color import shade_solids
from mapkd_core.sim.world.shadows import moving_shade
from mapkd_core.sim.world.world import World

Offsets = tuple[tuple[float, float], ...]


class Scene:
    """What all rays of a batch of images share."""

    def __init__(
        self, world: World, device: torch.device, views: cameras.Views, base_from_world: NDArray | None
    ) -> None:
        width, height = views.size
        self.world, self.device = world, device
        self.grid = (len(views.times_s), height, width)
        self.origins = torch.from_numpy(views.pose[:, :3, 3].astype(np.float32)).to(device)
        self.corner, self.step_u, self.step_v = cameras.pixel_steps(views.intrinsics, views.pose[:, :3, :3], device)
        poses = world.poses(views.times_s)
        self.candidates = cameras.candidates_of(world, views, poses)
        self.shadows = cameras.shadow_candidates(world, views, poses)
        self.mirrored = mirrored(world, views, poses) if world.conditions.weather == "wet" else None
        self.headlights: Tensor | None = None
        if base_from_world is not None and world.conditions.weather == "night":
            self.headlights = torch.from_numpy(base_from_world[:, :3].reshape(-1, 12).astype(np.float32)).to(device)

    def directions(self, pixels: Tensor | None, du: float, dv: float) -> Tensor:
        """(n, 3) directions of depth 1 through pixels (None: all), moved by fractions of a pixel."""
        _, height, width = self.grid
        if pixels is None:
            u = torch.arange(width, dtype=torch.float32, device=self.device)[:, None] + du
            v = torch.arange(height, dtype=torch.float32, device=self.device)[:, None] + dv
            rows = v * self.step_v[:, None] + self.corner[:, None]  # V H 3
            return (rows[:, :, None] + (u * self.step_u[:, None])[:, None]).reshape(-1, 3)
        view = pixels // (height * width)
        place = pixels - view * (height * width)
        row = place // width
        u, v = (place - row * width).float()[:, None] + du, row.float()[:, None] + dv
        return v * self.step_v[view] + self.corner[view] + u * self.step_u[view]

    def light(self, pixels: Tensor | None, offsets: Offsets) -> tuple[Tensor, Tensor, Tensor]:
        """Light (n, 3) through pixels, the mean over the offset rays; target and distance (n,) of the first ray."""
        directions = torch.stack([self.directions(pixels, du, dv) for du, dv in offsets])  # R n 3
        rays = Rays(self.origins, self.grid, pixels, directions)
        hits = cast(self.world, rays, self.candidates)
        result = torch.empty_like(directions)
        # Shares per ray of the pixel's area, so that four rays do not each filter the whole pixel.
        scale = len(offsets) ** -0.5
        for index, (own, distance, target) in enumerate(zip(directions, hits.distance, hits.target, strict=True)):
            result[index] = self._light_of(rays, own, distance, target, scale)
        return result.mean(0), hits.target[0], hits.distance[0]

    def _light_of(self, rays: Rays, direction: Tensor, distance: Tensor, target: Tensor, scale: float) -> Tensor:
        world, view = self.world, rays.view
        light = torch.empty_like(direction)
        sky = (distance >= FAR_M).nonzero().squeeze(1)
        light[sky] = sky_color(world, *_unit(direction[sky]).unbind(1))
        ground = ((target < 0) & (distance < FAR_M)).nonzero().squeeze(1)
        if len(ground):
            light[ground] = self._ground(
                rays, ground, view[ground], direction[ground], distance[ground], target[ground], scale
            )
        solid = (target >= 0).nonzero().squeeze(1)
        if len(solid):
            light[solid] = self._solids(
                self.candidates, view[solid], direction[solid], distance[solid], target[solid], scale
            )
        seen = (distance < FAR_M).nonzero().squeeze(1)
        haze = 1 - torch.exp(-distance[seen] / world.conditions.visibility_m)
        air = sky_color(world, None, None, torch.zeros(1, device=self.device))
        light[seen] = torch.lerp(light[seen], air, haze[:, None])
        return light

    def _ground(
        self, rays: Rays, chosen: Tensor, view: Tensor, direction: Tensor, distance: Tensor, kind: Tensor, scale: float
    ) -> Tensor:
        world = self.world
        point = self.origins[view] + distance[:, None] * direction
        x, y = point[:, 0], point[:, 1]
        gx, gy = world.terrain.gradient(x, y)
        sink = (gx * direction[:, 0] + gy * direction[:, 1] - direction[:, 2]).clamp_min(1e-6)
        spots = []
        for step in (self.step_u[view], self.step_v[view]):
            change = distance * (step[:, 2] - gx * step[:, 0] - gy * step[:, 1]) / sink
            spots.append((distance[:, None] * step[:, :2] + change[:, None] * direction[:, :2]) * scale)
        look = look_of_ground(world, kind, x, y, *spots)
        sun, sky = self._moving_shade(rays, chosen, point)
        light = light_ground(world, look, point, sun, sky, None if self.headlights is None else self.headlights[view])
        if self.mirrored is not None:
            wet = (kind == ROAD).nonzero().squeeze(1)
            pixels = chosen if rays.pixels is None else rays.pixels[chosen]
            light[wet] = self._mirror(pixels[wet], view[wet], direction[wet], point[wet], light[wet], scale)
        return light

    def _moving_shade(self, rays: Rays, chosen: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of sun and sky that moving solids let through to ground points (m, 3) of the rays `chosen`."""
        slot = torch.full((int(np.prod(self.grid)),), -1, dtype=torch.int64, device=self.device)
        slot[chosen if rays.pixels is None else rays.pixels[chosen]] = torch.arange(len(chosen), device=self.device)
        row, pixel = solid_pixels(self.shadows, self.grid, self.device)
        own = slot[pixel]
        met = (own >= 0).nonzero().squeeze(1)
        centre, half, yaw = (
            torch.from_numpy(values).to(self.device)
            for values in (self.shadows.centre_m, self.world.solids.half_m[self.shadows.solid], self.shadows.yaw)
        )
        return moving_shade(self.world.conditions, point, centre, half, yaw, own[met], row[met])

    def _solids(
        self, candidates: Candidates, view: Tensor, direction: Tensor, distance: Tensor, target: Tensor, scale: float
    ) -> Tensor:
        which = target.to(torch.int64)
        point = self.origins[view] + distance[:, None] * direction
        offset = point - torch.from_numpy(candidates.centre_m).to(self.device)[which]
        yaw = torch.from_numpy(candidates.yaw).to(self.device)[which]
        c, s = torch.cos(yaw), torch.sin(yaw)
        local = torch.stack([c * offset[:, 0] + s * offset[:, 1], c * offset[:, 1] - s * offset[:, 0], offset[:, 2]], 1)
        if candidates is self.mirrored:  # its image is of the true solid, seen from below
            flip = torch.tensor([1.0, 1.0, -1.0], device=self.device)
            local, direction, point = local * flip, direction * flip, point * flip
        solid = torch.from_numpy(candidates.solid).to(self.device)[which]
        spot = distance * self.step_u[view].square().sum(1).sqrt() * scale
        headlights = None if self.headlights is None else self.headlights[view]
        return shade_solids(self.world, solid, local, point, _unit(direction), yaw, spot, headlights)

    def _mirror(
        self, pixels: Tensor, view: Tensor, direction: Tensor, point: Tensor, light: Tensor, scale: float
    ) -> Tensor:
        """Light (m, 3) of wet road with what it mirrors."""
        assert self.mirrored is not None
        share, tilted = road_mirror(self.world, point, direction)
        sky = sky_color(self.world, None, None, -_unit(tilted)[:, 2])
        if len(self.mirrored):
            rays = Rays(self.origins, self.grid, pixels, tilted[None])
            distance, target = solid_hits(self.world, rays, self.mirrored)
            hit = (target[0] >= 0).nonzero().squeeze(1)
            if len(hit):
                sky[hit] = self._solids(self.mirrored, view[hit], tilted[hit], distance[0][hit], target[0][hit], scale)
        return torch.lerp(light, sky, share[:, None])


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.square().sum(-1, keepdim=True).sqrt()
