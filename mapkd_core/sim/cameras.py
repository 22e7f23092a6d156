"""Pinhole cameras: their rays, which solids they may see, and how light becomes a picture.

Legend: V views, H W pixels, S solids, K candidates.
"""
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.sim.conditions import Conditions
from mapkd_core.sim.raycast import Candidates
from mapkd_core.sim.world import World

NEAR_M = 0.05
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])


def pixel_rays(
    intrinsics: NDArray, rotation: NDArray, size: tuple[int, int], device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor]:
    """Ray directions (V, H, W, 3) with depth 1, and how they change per column and per row (V, 3) each.

    Args: intrinsics (V, 3, 3) and `map_from_camera` rotations (V, 3, 3).
    """
    width, height = size
    steps = torch.from_numpy((rotation @ np.linalg.inv(intrinsics)).astype(np.float32)).to(device)  # V 3 3
    u = torch.arange(width, dtype=torch.float32, device=device)
    v = torch.arange(height, dtype=torch.float32, device=device)
    rows = v[None, :, None] * steps[:, None, :, 1] + steps[:, None, :, 2]  # V H 3
    columns = u[None, :, None] * steps[:, None, :, 0]  # V W 3
    return rows[:, :, None] + columns[:, None], steps[..., 0], steps[..., 1]


def candidates_of(
    world: World, intrinsics: NDArray, map_from_camera: NDArray, size: tuple[int, int], times_s: NDArray
) -> Candidates:
    """Solids that may be in each picture, with the pixels their bounding boxes cover.

    `map_from_camera` is in the world's coordinates (V, 4, 4).
    """
    width, height = size
    centre, yaw, present = world.solids.poses(times_s)
    moving = world.solids.mover >= 0
    if world.terrain.waves and moving.any():
        centre[:, moving, 2] += world.terrain.height_m(centre[:, moving, :2])
    c, s = np.cos(yaw), np.sin(yaw)
    extent = _CORNERS * world.solids.half_m[:, None]  # S 8 3
    corner = np.empty((*yaw.shape, 8, 3), np.float32)
    corner[..., 0] = c[..., None] * extent[..., 0] - s[..., None] * extent[..., 1]
    corner[..., 1] = s[..., None] * extent[..., 0] + c[..., None] * extent[..., 1]
    corner[..., 2] = extent[..., 2]
    corner += centre[:, :, None] - map_from_camera[:, None, None, :3, 3].astype(np.float32)
    image = np.einsum("vij,vskj->vski", (intrinsics @ np.swapaxes(map_from_camera[:, :3, :3], 1, 2)).astype(np.float32), corner)
    # Edges that pass the near plane are cut there, so that a wall beside the camera keeps a tight rectangle.
    a, b = image[:, :, _EDGES[:, 0]], image[:, :, _EDGES[:, 1]]
    za, zb = a[..., 2:], b[..., 2:]
    share = np.clip((NEAR_M - za) / np.where(np.abs(zb - za) < 1e-9, 1e-9, zb - za), 0, 1)
    cut = a + share * (b - a)
    ends = np.concatenate([np.where(za < NEAR_M, cut, a), np.where(zb < NEAR_M, cut, b)], 2)  # V S 24 3
    visible = (image[..., 2].max(2) > NEAR_M) & present
    pixels = ends[..., :2] / np.maximum(ends[..., 2:], NEAR_M * 0.5)
    valid = np.concatenate([np.maximum(za, zb)[..., 0] >= NEAR_M] * 2, 2)
    low = np.where(valid[..., None], pixels, np.inf).min(2)
    high = np.where(valid[..., None], pixels, -np.inf).max(2)
    limit = np.array([width, height])
    first = np.clip(np.ceil(low - 1e-3), 0, limit)
    end = np.clip(np.floor(high + 1e-3) + 1, 0, limit)
    visible &= (end > first).all(-1)
    view, solid = np.nonzero(visible)
    first, end = first[view, solid].astype(np.int64), end[view, solid].astype(np.int64)
    rect = np.stack([first[:, 1], end[:, 1], first[:, 0], end[:, 0]], -1)
    return Candidates(view, solid, rect, centre[view, solid], yaw[view, solid])


def develop(radiance: Tensor, conditions: Conditions, generator: torch.Generator, amount: float = 1.0) -> Tensor:
    """Linear light (V, H, W, 3) -> uint8 picture: vignetting, exposure, noise, tone curve."""
    views, height, width, _ = radiance.shape
    device = radiance.device
    y = torch.linspace(-1, 1, height, device=device)[:, None]
    x = torch.linspace(-1, 1, width, device=device)[None]
    fall = 1 - conditions.vignetting * 0.5 * (x * x + y * y)
    gain = conditions.exposure * (9.0 if conditions.weather == "night" else 1.0)
    image = radiance * (fall * gain)[None, :, :, None]
    # A shoulder keeps bright sky and lamps below white, as the cameras' own tone curve does.
    image = torch.where(image > 0.6, 0.6 + 0.4 * (1 - torch.exp(-(image - 0.6) / 0.4)), image)
    if conditions.noise > 0:
        shot = torch.randn((views, height, width, 3), generator=generator, device=device)
        image = image + shot * (conditions.noise * amount * (0.3 + image.clamp(0, 1)).sqrt() * 0.6)
    image = image.clamp(0, 1)
    encoded = torch.where(image < 0.0031308, image * 12.92, 1.055 * image.clamp_min(1e-6) ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).to(torch.uint8)
