"""Pinhole cameras: their rays, which solids they may see, and how light becomes an image.

Legend: V views, H W pixels, S solids, K candidates.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.sim.render.raycast import Candidates
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.solids import Poses
from mapkd_core.sim.world.world import World

NEAR_M = 0.05
SUBPIXELS = ((-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375))
"""Offsets of the four rays through an edge pixel: a rotated grid tells most angles of an edge apart."""
EDGE_CONTRAST = 0.035
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
"""Of a box; neighbours differ in one bit of their numbers."""
EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])
"""(12, 2) corners."""


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
    """Brightness factor from radiance to image."""
    return conditions.exposure * (9.0 if conditions.weather == "night" else 1.0)


@dataclass(frozen=True, eq=False)
class Views:
    """Pinhole cameras in the world's coordinates."""

    intrinsics: NDArray[np.float64]
    """(V, 3, 3)."""
    pose: NDArray[np.float64]
    """(V, 4, 4) world from camera."""
    size: tuple[int, int]
    """(width, height)."""
    times_s: NDArray[np.float64]

    def near(self, centre: NDArray[np.float32], radius_m: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the spheres, centres (V, S, 3) and radii (S,), reach into each image's cone (V, S)."""
        width, height = self.size
        offset = centre - self.pose[:, None, :3, 3].astype(np.float32)
        x, y, z = np.moveaxis(np.einsum("vji,vsj->vsi", self.pose[:, :3, :3].astype(np.float32), offset), -1, 0)
        inside = z > -radius_m
        for side, extent, axis in ((x, width, 0), (y, height, 1)):
            focal, middle = self.intrinsics[:, axis, axis], self.intrinsics[:, axis, 2]
            slope = (np.maximum(middle + 1, extent - middle) / focal)[:, None].astype(np.float32)
            inside &= np.abs(side) <= slope * z + radius_m * np.sqrt(1 + slope * slope)
        return np.asarray(inside, bool)

    def rectangles(
        self, view: NDArray[np.int64], corner: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which of K boxes are in their view's image (K,), and the pixels they may cover (K, 4).

        `corner` (K, 8, 3) are the boxes' corners, numbered so that neighbours differ in one bit; a rectangle is
        first row, end row, first column, end column.
        """
        camera_from_world = np.swapaxes(self.pose[:, :3, :3], 1, 2)
        project = (self.intrinsics @ camera_from_world).astype(np.float32)[view]
        origin = self.pose[:, None, :3, 3].astype(np.float32)[view]
        image = np.einsum("kij,kcj->kci", project, corner - origin)
        # Edges that pass the near plane are cut there, so that a wall beside the camera keeps a tight rectangle.
        a, b = image[:, EDGES[:, 0]], image[:, EDGES[:, 1]]
        za, zb = a[..., 2:], b[..., 2:]
        share = np.clip((NEAR_M - za) / np.where(np.abs(zb - za) < 1e-9, 1e-9, zb - za), 0, 1)
        cut = a + share * (b - a)
        ends = np.concatenate([np.where(za < NEAR_M, cut, a), np.where(zb < NEAR_M, cut, b)], 1)  # K 24 3
        valid = np.concatenate([np.maximum(za, zb)[..., 0] >= NEAR_M] * 2, 1)
        pixels = ends[..., :2] / np.maximum(ends[..., 2:], NEAR_M * 0.5)
        low = np.where(valid[..., None], pixels, np.inf).min(1)
        high = np.where(valid[..., None], pixels, -np.inf).max(1)
        # Half a pixel of margin, for rays through a pixel's corners.
        first = np.clip(np.ceil(low - 0.51), 0, self.size)
        end = np.clip(np.floor(high + 0.51) + 1, 0, self.size)
        visible = valid.any(-1) & (end > first).all(-1)
        rect = np.stack([first[:, 1], end[:, 1], first[:, 0], end[:, 0]], -1)
        return visible, np.where(visible[:, None], rect, 0).astype(np.int64)


NO_CANDIDATES = Candidates(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.int64), np.zeros((0, 3), np.float32),
    np.zeros(0, np.float32),
)


def candidates_of(world: World, views: Views, poses: Poses) -> Candidates:
    """Solids that may be in each image, with the pixels their bounding boxes cover; `poses` at the views' times."""
    centre, yaw, present = poses
    half = world.solids.half_m
    view, solid = np.nonzero(views.near(centre, np.sqrt((half**2).sum(1))) & present)
    centre, yaw = centre[view, solid], yaw[view, solid]
    visible, rect = views.rectangles(view, _corners(centre, yaw, half[solid]))
    return Candidates(view[visible], solid[visible], rect[visible], centre[visible], yaw[visible])


def shadow_candidates(world: World, views: Views, poses: Poses) -> Candidates:
    """Moving solids whose shade may be in each image, with the pixels it may cover."""
    moving = np.nonzero(world.solids.mover >= 0)[0]
    centre, yaw, present = poses
    view, index = np.nonzero(present[:, moving])
    solid = moving[index]
    centre, yaw, half = centre[view, solid], yaw[view, solid], world.solids.half_m[solid]
    corner = _corners(centre, yaw, half + np.array([0.6, 0.6, 0.0], np.float32))
    foot = (centre[:, 2] - half[:, 2])[:, None]
    if world.conditions.casts_shadows:  # the upper corners slide down along the sun's rays
        sx, sy, sz = world.conditions.sun_direction
        fall = np.maximum(corner[..., 2] - foot, 0) / sz
        corner[..., 0] -= fall * sx
        corner[..., 1] -= fall * sy
    # A curb's height of room, because the ground is not level with the vehicle's foot everywhere.
    corner[..., 2] = foot + np.where(np.arange(8) % 2 == 0, -0.8, 0.4)
    visible, rect = views.rectangles(view, corner)
    return Candidates(view[visible], solid[visible], rect[visible], centre[visible], yaw[visible])


def _corners(centre: NDArray[np.float32], yaw: NDArray[np.float32], half: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, 8, 3) corners of K solids' bounding boxes."""
    c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    extent = CORNERS * half[:, None]  # K 8 3
    corner = np.empty_like(extent)
    corner[..., 0] = c * extent[..., 0] - s * extent[..., 1]
    corner[..., 1] = s * extent[..., 0] + c * extent[..., 1]
    corner[..., 2] = extent[..., 2]
    return corner + centre[:, None]


def blur_motion(
    image: Tensor, distance: Tensor, directions: Tensor, views: Views, pose_after: NDArray, steps: int = 5
) -> Tensor:
    """Smears light (V, H, W, 3) along the way that each pixel's point goes while the shutter is open.

    `directions` (V, H, W, 3) have depth 1, `distance` (V, H, W) counts in them, `pose_after` (V, 4, 4) is the
    cameras' pose when the shutter closes. A gather in the image, good for the few pixels that a drive makes of it.
    """
    count, height, width, _ = image.shape
    device = image.device
    after_from_world = np.swapaxes(pose_after[:, :3, :3], 1, 2)
    project = torch.from_numpy((views.intrinsics @ after_from_world).astype(np.float32)).to(device)
    shift = torch.from_numpy((views.pose[:, :3, 3] - pose_after[:, :3, 3]).astype(np.float32)).to(device)
    point = distance.clamp(max=1e4)[..., None] * directions + shift[:, None, None]
    moved = sum(point[..., j, None] * project[:, None, None, :, j] for j in range(3))
    assert isinstance(moved, Tensor)
    depth = moved[..., 2].clamp_min(0.1)
    u = torch.arange(width, device=device)[None, None]
    v = torch.arange(height, device=device)[None, :, None]
    du = (moved[..., 0] / depth - u).clamp(-0.05 * width, 0.05 * width)
    dv = (moved[..., 1] / depth - v).clamp(-0.05 * width, 0.05 * width)
    flat = image.reshape(-1, 3)
    base = torch.arange(count, device=device)[:, None, None] * (height * width)
    total = torch.zeros_like(image)
    for step in range(steps):
        share = step / (steps - 1) - 0.5
        column = (u + du * share).round().to(torch.int64).clamp(0, width - 1)
        row = (v + dv * share).round().to(torch.int64).clamp(0, height - 1)
        total += flat[base + row * width + column]
    return total / steps


def develop(radiance: Tensor, conditions: Conditions, generator: torch.Generator, amount: float = 1.0) -> Tensor:
    """Linear light (V, H, W, 3) -> uint8 image: vignetting, exposure, noise, tone curve."""
    views, height, width, _ = radiance.shape
    device = radiance.device
    y = torch.linspace(-1, 1, height, device=device)[:, None]
    x = torch.linspace(-1, 1, width, device=device)[None]
    fall = 1 - conditions.vignetting * 0.5 * (x * x + y * y)
    image = radiance * (fall * gain_of(conditions))[None, :, :, None]
    gray = image.mean(-1, keepdim=True)
    image = gray + conditions.saturation * (image - gray)
    # A shoulder keeps bright sky and lamps below white, as the cameras' own tone curve does.
    image = torch.where(image > 0.6, 0.6 + 0.4 * (1 - torch.exp(-(image - 0.6) / 0.4)), image)
    if conditions.noise > 0:
        shot = torch.randn((views, height, width, 3), generator=generator, device=device)
        image = image + shot * (conditions.noise * amount * (0.3 + image.clamp(0, 1)).sqrt() * 0.6)
    image = image.clamp(0, 1)
    encoded = torch.where(image < 0.0031308, image * 12.92, 1.055 * image.clamp_min(1e-6) ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).to(torch.uint8)
