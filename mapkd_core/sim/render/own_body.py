"""The own vehicle's bodywork in its cameras' images: bonnet, boot lid and mirrors as painted ellipsoids.

Legend: V views, H W pixels, P parts.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.geometry import inverse
from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.light import light_of, rgb, sky_color
from mapkd_core.sim.world.world import World

GLOSS = 0.05
"""Share of light that lacquer mirrors where one looks straight at it (Schlick's approximation)."""
MOUNTING_STEP = 1e-7
"""Mountings found from poses in the world are rounded to it (metres, and a rotation's cosines), so that those of one
rig are the same in every frame: what the rig sees of its vehicle is then found once."""
PAINTS = ((0.75, 0.75, 0.76), (0.03, 0.03, 0.035), (0.3, 0.31, 0.33), (0.35, 0.02, 0.02), (0.03, 0.08, 0.25))


@dataclass(frozen=True)
class Part:
    """An ellipsoid whose axes are those of `base_link`."""

    centre_m: tuple[float, float, float]
    half_m: tuple[float, float, float]
    """Half its length, width and height."""


@dataclass(frozen=True)
class OwnBody:
    """What a vehicle's cameras see of the vehicle itself; it moves with them and hides all else."""

    parts: tuple[Part, ...]
    color: tuple[float, float, float] = PAINTS[0]
    """Share of red, green and blue light that the paint sends back."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> OwnBody:
        """A car at random: bonnet ahead of the front axle, boot lid behind, a mirror on each side."""
        bonnet_top, boot_top = rng.uniform(0.95, 1.22), rng.uniform(1.0, 1.35)
        mirror = rng.uniform(1.5, 2.2), rng.uniform(0.95, 1.1), rng.uniform(1.0, 1.3)
        bonnet = Part((rng.uniform(2.5, 3.0), 0.0, bonnet_top - 0.3), (rng.uniform(0.9, 1.3), 0.85, 0.3))
        boot = Part((-rng.uniform(0.7, 1.0), 0.0, boot_top - 0.3), (rng.uniform(0.35, 0.6), 0.8, 0.3))
        sides = tuple(Part((mirror[0], side * mirror[1], mirror[2]), (0.1, 0.14, 0.09)) for side in (1.0, -1.0))
        return cls((bonnet, boot, *sides), PAINTS[rng.integers(len(PAINTS))])

    def visible(
        self, intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """(V, H, W), False in pixels of `size` (w, h) that show the vehicle, also in those that it only touches.

        Args: intrinsics (V, 3, 3) and mountings (V, 4, 4).
        """
        views = cameras.Views(intrinsics, base_from_camera, size, np.zeros(len(intrinsics)))
        return np.asarray((self.cover(views, torch.device("cpu"))[0] == 0).numpy(), bool)

    def cover(self, views: cameras.Views, device: torch.device) -> tuple[Tensor, Tensor]:
        """Share of each pixel that shows the vehicle (V, H, W), and the mean normal there (V, H, W, 3) in `base_link`.

        The poses of `views` are mountings in `base_link`.
        """
        intrinsics, pose = (np.asarray(array, np.float64).tobytes() for array in (views.intrinsics, views.pose))
        return _cover(self.parts, intrinsics, pose, views.size, device)

    def drawn(self, image: Tensor, world: World, views: cameras.Views, world_from_base: NDArray[np.float64]) -> Tensor:
        """Light (V, H, W, 3) of views of the world with the vehicle, whose poses (V, 4, 4) are given, before it."""
        mountings = np.stack([inverse(base) @ camera for base, camera in zip(world_from_base, views.pose, strict=True)])
        mountings = np.round(mountings / MOUNTING_STEP) * MOUNTING_STEP + 0.0  # no -0
        share, normal = self.cover(replace(views, pose=mountings), image.device)
        if not share.any():
            return image
        turn = torch.from_numpy(world_from_base[:, :3, :3].astype(np.float32)).to(image.device)
        up = torch.einsum("vij,vhwj->vhwi", turn, normal)
        light, conditions = light_of(world.conditions), world.conditions
        sun = (up * rgb(conditions.sun_direction, up)).sum(-1, keepdim=True).clamp_min(0) if light.sun[0] else 0.0
        lit = rgb(light.sky, up) * (0.5 + 0.5 * up[..., 2:]) + rgb(light.sun, up) * sun
        # What the lacquer mirrors at the angle at which most of it is seen: the sky above the horizon.
        sky = sky_color(world, None, None, up[..., 2].reshape(-1)).reshape(up.shape)
        gloss = GLOSS + (1 - GLOSS) * (1 - up[..., 2:].clamp(0, 1)) ** 5
        body = rgb(self.color, up) * lit + gloss * sky
        return torch.lerp(image, body, share[..., None])


@lru_cache(maxsize=1)
def _cover(
    parts: tuple[Part, ...], intrinsics: bytes, base_from_camera: bytes, size: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """As `OwnBody.cover`, of float64 matrices (V, 3, 3) and (V, 4, 4) by their bytes; shared: nobody writes to it."""
    mountings = np.frombuffer(base_from_camera).reshape(-1, 4, 4)
    width, height = size
    corner, step_u, step_v = cameras.pixel_steps(
        np.frombuffer(intrinsics).reshape(-1, 3, 3), mountings[:, :3, :3], device
    )
    origins = torch.from_numpy(mountings[:, :3, 3].astype(np.float32)).to(device)
    u, v = torch.arange(width, device=device)[:, None], torch.arange(height, device=device)[:, None]
    share = torch.zeros((len(origins), height, width), device=device)
    normal = torch.zeros((*share.shape, 3), device=device)
    for view in range(len(origins)):
        reached = [part for part in parts if not _inside(part, mountings[view, :3, 3])]
        for du, dv in cameras.SUBPIXELS:
            rows = corner[view] + (v + dv) * step_v[view]                              # H 3
            direction = rows[:, None] + ((u + du) * step_u[view])[None]                # H W 3
            seen, facing = _first_hit(reached, origins[view], direction)
            share[view] += seen / len(cameras.SUBPIXELS)
            normal[view] += facing
    return share, normal / normal.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-6)


def _inside(part: Part, point: NDArray[np.float64]) -> bool:
    """A camera in the bodywork sees through it."""
    return bool((((point - part.centre_m) / part.half_m) ** 2).sum() <= 1)


def _first_hit(parts: list[Part], origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Which rays (H, W, 3) from a point meet a part (H, W), and the nearest one's normal there (H, W, 3), else 0."""
    nearest = torch.full(direction.shape[:-1], torch.inf, device=direction.device)
    normal = torch.zeros_like(direction)
    for part in parts:
        half = rgb(part.half_m, direction)
        start, ray = (origin - rgb(part.centre_m, direction)) / half, direction / half
        a, b, c = ray.square().sum(-1), (ray * start).sum(-1), start.square().sum() - 1
        root = b * b - a * c
        distance = (-b - root.clamp_min(0).sqrt()) / a
        first = (root >= 0) & (distance > cameras.NEAR_M) & (distance < nearest)
        nearest = torch.where(first, distance, nearest)
        facing = (start + distance[..., None] * ray) / half
        facing = facing / facing.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-6)
        normal = torch.where(first[..., None], facing, normal)
    return nearest < torch.inf, normal
