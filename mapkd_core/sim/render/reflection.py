"""What a wet road mirrors: the solids of a world turned upside down about the ground."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.light import noise_at, smooth_noise
from mapkd_core.sim.render.raycast import Candidates
from mapkd_core.sim.world.solids import Poses
from mapkd_core.sim.world.world import World


def mirrored(world: World, views: cameras.Views, poses: Poses) -> Candidates:
    """Solids mirrored about the road below each camera; all kinds of solids are their own mirror image."""
    ground = world.terrain.height_m(views.pose[:, :2, 3])
    turned = views.pose.copy()
    turned[:, 2, 3] = 2 * ground - views.pose[:, 2, 3]
    flip = np.diag([1.0, 1.0, -1.0])
    turned[:, :3, :3] = flip @ views.pose[:, :3, :3]
    found = cameras.candidates_of(world, replace(views, pose=turned), poses)
    centre = found.centre_m.copy()
    centre[:, 2] = 2 * ground[found.view] - centre[:, 2]
    return replace(found, centre_m=centre.astype(np.float32))


def road_mirror(world: World, point: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Mirrored share of light (n,) at road points (n, 3), and ray directions (n, 3) roughened by the asphalt.

    Schlick's approximation for water; between puddles only a film remains, which mirrors less and blurs more.
    """
    puddle = (smooth_noise(world, point[:, 0] * 0.9, point[:, 1] * 0.9) * 0.8 + 0.1).clamp(0, 1)
    length = direction.square().sum(1).sqrt()
    sine = (-direction[:, 2] / length).clamp(0, 1)
    share = (0.02 + 0.98 * (1 - sine) ** 5) * (0.35 + 0.6 * puddle)
    rough = (0.045 - 0.035 * puddle) * length
    grain = noise_at(world, point[:, 0] * 7, point[:, 1] * 7)
    tilted = direction.clone()
    tilted[:, 2] += rough * grain * 0.7
    return share, torch.where(tilted[:, 2:] < -1e-4, tilted, direction)
