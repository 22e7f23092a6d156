"""Camera pictures and LiDAR sweeps of a world, on CPU or GPU with the same code."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mapkd_core.sim import cameras, shading
from mapkd_core.sim.lidar import HDL32E, LidarModel, PoseAt, sweep
from mapkd_core.sim.raycast import FAR_M, cast
from mapkd_core.sim.world import World


class Renderer:
    """Renders one world; on the CPU the same arguments give the same bytes."""

    def __init__(self, world: World, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.world = replace(world, ground=world.ground.to(self.device), sky_noise=world.sky_noise.to(self.device))
        self.max_rays = 1_600_000 if self.device.type == "cpu" else 40_000_000

    def images(
        self, intrinsics: ArrayLike, size: tuple[int, int], map_from_camera: ArrayLike, times_s: ArrayLike
    ) -> NDArray[np.uint8]:
        """(N, H, W, 3) RGB pictures of N cameras, each at its own time.

        Args: intrinsics (N, 3, 3) for `size` (width, height); camera poses (N, 4, 4); times (N,) in seconds of the
        world's clock. Raises ValueError for shapes that do not fit together.
        """
        return self.images_tensor(intrinsics, size, map_from_camera, times_s).cpu().numpy()

    def images_tensor(
        self, intrinsics: ArrayLike, size: tuple[int, int], map_from_camera: ArrayLike, times_s: ArrayLike
    ) -> Tensor:
        """The same as `images`, left on the device."""
        k = np.asarray(intrinsics, np.float64)
        pose = np.array(map_from_camera, np.float64)
        times = np.asarray(times_s, np.float64)
        if k.ndim != 3 or k.shape[1:] != (3, 3) or pose.shape != (len(k), 4, 4) or times.shape != (len(k),):
            raise ValueError(
                f"intrinsics {k.shape}, map_from_camera {pose.shape}, times {times.shape}; expected (N, 3, 3), (N, 4, 4), (N,)"
            )
        pose[:, :2, 3] -= self.world.centre_m
        batch = max(self.max_rays // (size[0] * size[1]), 1)
        parts = [
            self._pictures(k[i : i + batch], size, pose[i : i + batch], times[i : i + batch])
            for i in range(0, len(k), batch)
        ]
        return torch.cat(parts)

    def lidar(
        self, map_from_lidar: ArrayLike | PoseAt, time_s: float, model: LidarModel = HDL32E
    ) -> NDArray[np.float32]:
        """One LiDAR revolution that ends at `time_s`: (P, 5) x, y, z, intensity 0..255, ring in the sensor's frame.

        `map_from_lidar` is a (4, 4) pose, or a function of time that gives it while the sensor turns and moves; see
        `lidar.sweep`.
        """
        pose = map_from_lidar if callable(map_from_lidar) else np.asarray(map_from_lidar, np.float64)
        return sweep(self.world, self.device, pose, time_s, model)

    def _pictures(self, k: NDArray, size: tuple[int, int], pose: NDArray, times: NDArray) -> Tensor:
        world = self.world
        directions, step_u, step_v = cameras.pixel_rays(k, pose[:, :3, :3], size, self.device)
        origins = torch.from_numpy(pose[:, :3, 3].astype(np.float32)).to(self.device)
        candidates = cameras.candidates_of(world, k, pose, size, times)
        hits = cast(world, origins, directions, candidates)
        views, height, width, _ = directions.shape
        flat = directions.reshape(-1, 3)
        distance, target = hits.distance_m.reshape(-1), hits.target.reshape(-1)
        view = torch.arange(views, device=self.device).repeat_interleave(height * width)
        image = torch.empty_like(flat)
        sky = (distance >= FAR_M).nonzero().squeeze(1)
        unit = flat / flat.square().sum(1, keepdim=True).sqrt()
        image[sky] = shading.sky_color(world, *unit[sky].unbind(1))
        ground = ((target < 0) & (distance < FAR_M)).nonzero().squeeze(1)
        if len(ground):
            image[ground] = self._ground(ground, view, flat, distance, target, origins, step_u, step_v)
        solid = (target >= 0).nonzero().squeeze(1)
        if len(solid):
            image[solid] = self._solids(solid, view, flat, unit, distance, target, origins, step_u, candidates)
        seen = (distance < FAR_M).nonzero().squeeze(1)
        haze = 1 - torch.exp(-distance[seen] / world.conditions.visibility_m)
        air = shading.sky_color(world, None, None, torch.zeros(1, device=self.device))
        image[seen] = torch.lerp(image[seen], air, haze[:, None])
        generator = torch.Generator(device=self.device)
        generator.manual_seed(int(np.abs(np.round(times[0] * 1e4)) * 1009 + world.seed * 7919 + int(k[0, 0, 0])))
        return cameras.develop(image.reshape(views, height, width, 3), world.conditions, generator)

    def _ground(self, chosen, view, flat, distance, target, origins, step_u, step_v):  # type: ignore[no-untyped-def]
        direction, at, own = flat[chosen], distance[chosen], view[chosen]
        origin = origins[own]
        x = origin[:, 0] + at * direction[:, 0]
        y = origin[:, 1] + at * direction[:, 1]
        gx, gy = self.world.terrain.gradient(x, y)
        sink = (gx * direction[:, 0] + gy * direction[:, 1] - direction[:, 2]).clamp_min(1e-6)
        spots = []
        for step in (step_u[own], step_v[own]):
            change = at * (step[:, 2] - gx * step[:, 0] - gy * step[:, 1]) / sink
            spots.append(at[:, None] * step[:, :2] + change[:, None] * direction[:, :2])
        return shading.shade_ground(self.world, target[chosen], x, y, *spots)

    def _solids(self, chosen, view, flat, unit, distance, target, origins, step_u, candidates):  # type: ignore[no-untyped-def]
        which = target[chosen].to(torch.int64)
        point = origins[view[chosen]] + distance[chosen, None] * flat[chosen]
        point = point - torch.from_numpy(candidates.centre_m).to(self.device)[which]
        yaw = torch.from_numpy(candidates.yaw).to(self.device)[which]
        c, s = torch.cos(yaw), torch.sin(yaw)
        local = torch.stack([c * point[:, 0] + s * point[:, 1], c * point[:, 1] - s * point[:, 0], point[:, 2]], 1)
        solid = torch.from_numpy(candidates.solid).to(self.device)[which]
        spot = distance[chosen] * step_u[view[chosen]].square().sum(1).sqrt()
        return shading.shade_solids(self.world, solid, local, unit[chosen], yaw, spot)
