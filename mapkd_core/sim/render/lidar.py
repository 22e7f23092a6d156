"""A spinning 32-beam LiDAR (like Velodyne's HDL-32E on nuScenes' vehicles) in the same world as the cameras.

Legend: V columns (one firing of all beams), B beams, S solids, K candidates, P points.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.sim.render.raycast import CURB, FAR_M, WALK, Candidates, Rays, cast
from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.world import World

PoseAt = Callable[[float], NDArray[np.float64]]
"""`map_from_lidar` (4, 4) at a time in seconds."""


@dataclass(frozen=True)
class LidarModel:
    """Geometry and faults of the sensor; its frame is x right, y forward, z up as on nuScenes' roof."""

    beams: int = 32
    lowest: float = -30.67
    highest: float = 10.67
    """Elevations of the first and the last beam in degrees."""
    columns: int = 1084
    """Firings a revolution."""
    period_s: float = 0.05
    start_azimuth: float = 180.0
    """Where a revolution starts and ends, degrees from x towards y; it turns clockwise."""
    range_m: float = 100.0
    range_noise_m: float = 0.018
    dropout: float = 0.04
    """Share of returns lost close by; far and grazing ones are lost more often."""

    def elevations(self) -> NDArray[np.float64]:
        """(B,) radians, lowest beam first."""
        return np.radians(np.linspace(self.lowest, self.highest, self.beams))

    def azimuths(self) -> NDArray[np.float64]:
        """(V,) radians in firing order."""
        turn = (np.arange(self.columns) + 0.5) / self.columns
        return np.radians(self.start_azimuth - 360.0 * turn)

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """(V, B, 3) unit vectors in firing order, in the sensor's frame; read-only."""
        azimuth, elevation = self.azimuths()[:, None], self.elevations()[None]
        level = np.cos(elevation)
        found = np.stack(np.broadcast_arrays(level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)), -1)
        found.flags.writeable = False
        return found

    def times_s(self, stamp_s: float) -> NDArray[np.float64]:
        """(V,) firing times of the revolution that ends at `stamp_s`."""
        turn = (np.arange(self.columns) + 0.5) / self.columns
        return stamp_s + (turn - 1.0) * self.period_s


HDL32E = LidarModel()


BLOCK = 24
"""Columns that are asked together which solids may be in their way."""
Returns = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Distance in metres (FAR_M for nothing), reflectance, and the sine of the angle at which ground is met: V B each."""
Luck = tuple[Tensor, Tensor, Tensor]
"""Chance 0..1 of being lost, noise of the distance, and of the intensity: V B each."""


class Caster(Protocol):
    """What casts the rays, if not tensors."""

    def returns(self, poses: NDArray, ahead: NDArray, times: NDArray, model: LidarModel) -> Returns:
        """From poses (V, 4, 4), directions (V, B, 3) and times (V,) to what comes back."""
        ...

    def points(
        self, origins: NDArray, directions: NDArray, found: Returns, luck: Luck, final: NDArray, model: LidarModel
    ) -> NDArray[np.float32]:
        """As `tensor_points`, of arrays."""
        ...


def sweep(
    world: World,
    device: torch.device,
    map_from_lidar: NDArray | PoseAt,
    time_s: float,
    model: LidarModel = HDL32E,
    caster: Caster | None = None,
) -> NDArray[np.float32]:
    """One revolution: (P, 5) x, y, z, intensity 0..255, ring, in the sensor's frame at `time_s` (its end).

    `map_from_lidar` is one pose (4, 4), a function of time, or (V + 1, 4, 4): at each firing and at the end. Where the
    sensor moves while it turns, the points are brought into the frame at `time_s` by the true motion, as in nuScenes'
    files; rays without a return give no point. `caster` casts the rays, tensors if None.
    Raises ValueError for poses of another shape.
    """
    times = model.times_s(time_s)
    if callable(map_from_lidar):
        poses = np.stack([map_from_lidar(float(t)) for t in (*times, time_s)])
    else:
        poses = np.array(map_from_lidar, np.float64)
        if poses.shape == (4, 4):
            poses = np.repeat(poses[None], len(times) + 1, 0)
    if poses.shape != (len(times) + 1, 4, 4):
        raise ValueError(f"map_from_lidar has shape {poses.shape}; expected (4, 4), or {len(times) + 1} of them")
    poses = poses.copy()
    poses[:, :2, 3] -= world.centre_m
    poses, final = poses[:-1], poses[-1]
    ahead = model.directions @ np.swapaxes(poses[:, :3, :3], 1, 2)
    directions, origins = ahead.astype(np.float32), poses[:, :3, 3].astype(np.float32)  # V B 3, V 3
    generator = torch.Generator(device=device)
    generator.manual_seed(int(np.abs(np.round(time_s * 1e4)) * 1013 + world.seed * 7927 + 1))
    luck = (
        torch.rand(ahead.shape[:2], generator=generator, device=device),
        torch.randn(ahead.shape[:2], generator=generator, device=device),
        torch.randn(ahead.shape[:2], generator=generator, device=device),
    )
    if caster is not None:
        return caster.points(origins, directions, caster.returns(poses, ahead, times, model), luck, final, model)
    found = tensor_returns(world, device, poses, ahead, times, model)
    return tensor_points(torch.from_numpy(origins), torch.from_numpy(directions), found, luck, final, model)


def tensor_points(
    origins: Tensor, directions: Tensor, found: tuple[Tensor, Tensor, Tensor], luck: Luck, final: NDArray,
    model: LidarModel,
) -> NDArray[np.float32]:
    """What the sensor makes of returns `found`, as in `sweep`; `final` (4, 4) is its pose in the end."""
    (distance, reflectance, grazing), (chance, noise, flicker) = found, luck
    lost = model.dropout + 0.25 * (distance / model.range_m) ** 2 + 0.5 * (1 - grazing / 0.04).clamp(0, 1)
    lost = lost - 0.3 * (reflectance - 0.3).clamp(0, 1)
    kept = (distance < model.range_m) & (chance > lost)
    ranged = distance + noise * model.range_noise_m
    point = origins[:, None].to(ranged) + ranged[..., None] * directions.to(ranged)
    intensity = (255 * reflectance * (1 + 0.18 * flicker) + 0.8 * flicker).clamp(0, 255).round()
    keep = kept.cpu().numpy()
    local = point.cpu().numpy()[keep] - final[:3, 3]
    result = np.empty((len(local), 5), np.float32)
    result[:, :3] = local @ final[:3, :3]
    result[:, 3] = intensity.cpu().numpy()[keep]
    result[:, 4] = np.nonzero(keep)[1]
    return result


def tensor_returns(
    world: World, device: torch.device, poses: NDArray, ahead: NDArray, times: NDArray, model: LidarModel
) -> tuple[Tensor, Tensor, Tensor]:
    """What comes back along directions (V, B, 3) from poses (V, 4, 4) at times (V,): see `Returns`, on `device`."""
    directions = torch.from_numpy(ahead.astype(np.float32)).to(device)
    origins = torch.from_numpy(poses[:, :3, 3].astype(np.float32)).to(device)
    candidates = _candidates(world, poses[:, :3, 3], ahead, times, model)
    grid = (len(times), model.beams, 1)
    hits = cast(world, Rays(origins, grid, None, directions.reshape(1, -1, 3)), candidates)
    distance, target = hits.distance.reshape(grid[:2]), hits.target.reshape(grid[:2])  # V B
    point = origins[:, None] + distance[..., None].clamp(max=2 * model.range_m) * directions
    return distance, *_reflectance(world, target, point, directions, distance, candidates)


def _blocks_of(
    world: World, origins: NDArray, directions: NDArray, times: NDArray, model: LidarModel
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which solids each block of columns may meet: blocks (K,), rising, and solids (K,)."""
    middles = np.minimum(np.arange(BLOCK // 2, len(times) + BLOCK // 2, BLOCK), len(times) - 1)
    centre, yaw, present = world.poses(times[middles])
    heading = np.arctan2(directions[middles, 0, 1], directions[middles, 0, 0])
    slack = np.pi * BLOCK / len(times) + 0.02
    close = _overlap(world, origins[middles], heading, centre, yaw, None, model, slack)
    block, solid = np.nonzero(close & present)
    return block.astype(np.int64), solid.astype(np.int64)


def _candidates(
    world: World, origins: NDArray, directions: NDArray, times: NDArray, model: LidarModel
) -> Candidates:
    """Solids that each column of beams may meet, first for blocks of columns, then for the columns themselves."""
    centre, yaw, _ = world.poses(times)
    heading = np.arctan2(directions[:, 0, 1], directions[:, 0, 0])  # V
    coarse, blocked = _blocks_of(world, origins, directions, times, model)
    view: NDArray[np.integer] = (coarse[:, None] * BLOCK + np.arange(BLOCK)).reshape(-1)
    solid: NDArray[np.integer] = np.repeat(blocked, BLOCK)
    real = view < len(times)
    view, solid = view[real], solid[real]
    view_centre, view_yaw = centre[view, solid], yaw[view, solid]
    near = _overlap(
        world, origins[view], heading[view], view_centre[:, None], view_yaw[:, None], solid, model, 1e-4
    )[:, 0]
    view, solid, view_centre, view_yaw = view[near], solid[near], view_centre[near], view_yaw[near]
    # Rows: the beams between the solid's foot and head, with room for the sensor's tilt.
    half = world.solids.half_m[solid]
    offset = view_centre - origins[view]
    gap = np.hypot(offset[:, 0], offset[:, 1])
    reach = np.hypot(half[:, 0], half[:, 1])
    nearest, farthest = np.maximum(gap - reach, 0.05), gap + reach
    foot, head = offset[:, 2] - half[:, 2], offset[:, 2] + half[:, 2]
    low = np.arctan2(foot, np.where(foot < 0, nearest, farthest))
    high = np.arctan2(head, np.where(head < 0, farthest, nearest))
    slopes = np.arcsin(np.clip(directions[..., 2], -1, 1))[view]  # K B, rising
    first = (slopes < low[:, None] - 1e-3).sum(1)
    end = (slopes <= high[:, None] + 1e-3).sum(1)
    met = end > first
    rect = np.stack([first, end, np.zeros_like(first), np.ones_like(first)], -1)[met]
    return Candidates(view[met], solid[met], rect, view_centre[met], view_yaw[met])


def _overlap(
    world: World, origins: NDArray, heading: NDArray, centre: NDArray, yaw: NDArray, solid: NDArray | None,
    model: LidarModel, slack: float,
) -> NDArray[np.bool_]:
    """Whether the upright plane through each heading (A,) comes within `slack` radians of each solid (A, S)."""
    half = world.solids.half_m[:, :2][None] if solid is None else world.solids.half_m[solid, None, :2]
    offset = centre[..., :2] - origins[:, None, :2]
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    along = c * offset[..., 0] + s * offset[..., 1]
    beside = c * offset[..., 1] - s * offset[..., 0]
    turn = yaw - heading[:, None]
    depth = half[..., 0] * np.abs(np.cos(turn)) + half[..., 1] * np.abs(np.sin(turn))
    width = half[..., 0] * np.abs(np.sin(turn)) + half[..., 1] * np.abs(np.cos(turn))
    far = along + depth
    met = (far > 0) & (along - depth < model.range_m)
    return np.asarray(met & (np.abs(beside) - width <= np.maximum(far, 0) * np.tan(slack) + 0.05))


def _reflectance(
    world: World, target: Tensor, point: Tensor, direction: Tensor, distance: Tensor, candidates: Candidates
) -> tuple[Tensor, Tensor]:
    """Share of the pulse that comes back (V, B), and the sine of the angle at which the ground is met (1 on solids)."""
    result = torch.full_like(distance, 0.06)
    grazing = torch.ones_like(distance)
    ground = ((target < 0) & (distance < FAR_M)).nonzero(as_tuple=True)
    x, y = point[ground][:, 0], point[ground][:, 1]
    width = (0.003 * distance[ground]).clamp_min(0.03)
    sine = direction[ground][:, 2].abs().clamp_min(0.01)
    zero = torch.zeros_like(x)
    paint, _, wear, _ = world.ground.surface.sample(x, y, width, zero, width)
    kind = target[ground]
    paved, grass, _, mottle = world.ground.verge.sample(x, y, width, zero, width)
    road = 0.025 * wear * 2 + 0.3 * paint
    walk = torch.lerp(torch.lerp(0.05 + zero, 0.09 + zero, grass), 0.075 + zero, paved) * (0.5 + mottle)
    value = torch.where(kind == WALK, walk, torch.where(kind == CURB, 0.08 + zero, road))
    if world.conditions.weather == "wet":
        value = value * 0.5
    result[ground] = value
    grazing[ground] = torch.where(kind == CURB, 1.0, sine)
    solid = (target >= 0).nonzero(as_tuple=True)
    which = torch.from_numpy(candidates.solid).to(target.device)[target[solid].to(torch.int64)]
    color = torch.from_numpy(world.solids.color.mean(1)).to(target.device)[which]
    style = torch.from_numpy(world.solids.style).to(target.device)[which]
    value = 0.02 + 0.22 * color
    value = torch.where(style == kinds.CAR_CABIN, 0.35 * value, value)
    value = torch.where(style == kinds.FOLIAGE, 0.07 + zero.new_zeros(()), value)
    result[solid] = value
    return result, grazing
