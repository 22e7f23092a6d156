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
SUBPIXELS = ((-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375))
"""Offsets of the four rays through an edge pixel: a rotated grid tells most angles of an edge apart."""
EDGE_CONTRAST = 0.035
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])


def pixel_steps(
    intrinsics: NDArray, rotation: NDArray, device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor]:
    """Ray direction of depth 1 through the centre of pixel (0, 0), and its change per column and per row (V, 3) each.

    Args: intrinsics (V, 3, 3) and `map_from_camera` rotations (V, 3, 3).
    """
    steps = torch.from_numpy((rotation @ np.linalg.inv(intrinsics)).astype(np.float32)).to(device)  # V 3 3
    return steps[..., 2], steps[..., 0], steps[..., 1]


def edge_pixels(radiance: Tensor, target: Tensor, conditions: Conditions) -> Tensor:
    """Flat indices (n,) of pixels that differ from a neighbour, where no filter smooths that already.

    `radiance` is (V, H, W, 3), `target` (V, H, W) as in `raycast.Hits`. Paint and sky are smooth by themselves.
    """
    tone = (radiance.mean(-1) * gain_of(conditions)).clamp(0, 1.2).sqrt()
    edge = torch.zeros_like(target, dtype=torch.bool)
    for axis in (1, 2):
        low, high = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
        differs = (tone[low] - tone[high]).abs() > EDGE_CONTRAST
        differs &= (target[low] != target[high]) | (target[low] >= 0)
        edge[low] |= differs
        edge[high] |= differs
    return edge.reshape(-1).nonzero().squeeze(1)


def gain_of(conditions: Conditions) -> float:
    """Brightness factor from radiance to picture."""
    return conditions.exposure * (9.0 if conditions.weather == "night" else 1.0)


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
    # Half a pixel of margin, for rays through a pixel's corners.
    first = np.clip(np.ceil(low - 0.51), 0, limit)
    end = np.clip(np.floor(high + 0.51) + 1, 0, limit)
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
    image = radiance * (fall * gain_of(conditions))[None, :, :, None]
    # A shoulder keeps bright sky and lamps below white, as the cameras' own tone curve does.
    image = torch.where(image > 0.6, 0.6 + 0.4 * (1 - torch.exp(-(image - 0.6) / 0.4)), image)
    if conditions.noise > 0:
        shot = torch.randn((views, height, width, 3), generator=generator, device=device)
        image = image + shot * (conditions.noise * amount * (0.3 + image.clamp(0, 1)).sqrt() * 0.6)
    image = image.clamp(0, 1)
    encoded = torch.where(image < 0.0031308, image * 12.92, 1.055 * image.clamp_min(1e-6) ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).to(torch.uint8)
