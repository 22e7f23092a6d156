"""Camera pictures and LiDAR sweeps of a world, on CPU or GPU with the same code."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mapkd_core.sim import cameras, shading
from mapkd_core.sim.lidar import HDL32E, LidarModel, PoseAt, sweep
from mapkd_core.sim.raycast import FAR_M, Candidates, Rays, cast
from mapkd_core.sim.world import World


class Renderer:
    """Renders one world; on the CPU the same arguments give the same bytes."""

    def __init__(self, world: World, device: torch.device | str = "cpu", antialias: bool = True) -> None:
        """`antialias` sends four rays through every pixel on an edge of a solid; painted ground needs none."""
        self.antialias = antialias
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
        width, height = size
        grid = (len(k), height, width)
        scene = _Scene(
            torch.from_numpy(pose[:, :3, 3].astype(np.float32)).to(self.device),
            *cameras.pixel_steps(k, pose[:, :3, :3], self.device),
            grid,
            cameras.candidates_of(self.world, k, pose, size, times),
        )
        image, target = self._radiance(scene, None, ((0.0, 0.0),))
        if self.antialias:
            edges = cameras.edge_pixels(image.reshape(*grid, 3), target.reshape(grid), self.world.conditions)
            if len(edges):
                image[edges], _ = self._radiance(scene, edges, cameras.SUBPIXELS)
        generator = torch.Generator(device=self.device)
        generator.manual_seed(int(np.abs(np.round(times[0] * 1e4)) * 1009 + self.world.seed * 7919 + int(k[0, 0, 0])))
        return cameras.develop(image.reshape(*grid, 3), self.world.conditions, generator)

    def _radiance(
        self, scene: _Scene, pixels: Tensor | None, offsets: tuple[tuple[float, float], ...]
    ) -> tuple[Tensor, Tensor]:
        """Light (n, 3) through pixels, the mean over rays offset by fractions of a pixel, and the first rays' targets."""
        world = self.world
        directions = torch.stack([scene.directions(pixels, du, dv) for du, dv in offsets])
        rays = Rays(scene.origins, scene.grid, pixels, directions)
        hits = cast(world, rays, scene.candidates)
        view = rays.view.repeat(len(offsets))
        flat = directions.reshape(-1, 3)
        distance, target = hits.distance.reshape(-1), hits.target.reshape(-1)
        light = torch.empty_like(flat)
        sky = (distance >= FAR_M).nonzero().squeeze(1)
        light[sky] = shading.sky_color(world, *_unit(flat[sky]).unbind(1))
        ground = ((target < 0) & (distance < FAR_M)).nonzero().squeeze(1)
        if len(ground):
            light[ground] = self._ground(scene, view[ground], flat[ground], distance[ground], target[ground], len(offsets))
        solid = (target >= 0).nonzero().squeeze(1)
        if len(solid):
            light[solid] = self._solids(scene, view[solid], flat[solid], distance[solid], target[solid])
        seen = (distance < FAR_M).nonzero().squeeze(1)
        haze = 1 - torch.exp(-distance[seen] / world.conditions.visibility_m)
        air = shading.sky_color(world, None, None, torch.zeros(1, device=self.device))
        light[seen] = torch.lerp(light[seen], air, haze[:, None])
        return light.reshape(len(offsets), -1, 3).mean(0), hits.target[0]

    def _ground(
        self, scene: _Scene, view: Tensor, direction: Tensor, distance: Tensor, kind: Tensor, rays: int
    ) -> Tensor:
        origin = scene.origins[view]
        x = origin[:, 0] + distance * direction[:, 0]
        y = origin[:, 1] + distance * direction[:, 1]
        gx, gy = self.world.terrain.gradient(x, y)
        sink = (gx * direction[:, 0] + gy * direction[:, 1] - direction[:, 2]).clamp_min(1e-6)
        spots = []
        for step in (scene.step_u[view], scene.step_v[view]):
            change = distance * (step[:, 2] - gx * step[:, 0] - gy * step[:, 1]) / sink
            spot = distance[:, None] * step[:, :2] + change[:, None] * direction[:, :2]
            spots.append(spot / rays**0.5)
        return shading.shade_ground(self.world, kind, x, y, *spots)

    def _solids(self, scene: _Scene, view: Tensor, direction: Tensor, distance: Tensor, target: Tensor) -> Tensor:
        which = target.to(torch.int64)
        point = scene.origins[view] + distance[:, None] * direction
        point = point - torch.from_numpy(scene.candidates.centre_m).to(self.device)[which]
        yaw = torch.from_numpy(scene.candidates.yaw).to(self.device)[which]
        c, s = torch.cos(yaw), torch.sin(yaw)
        local = torch.stack([c * point[:, 0] + s * point[:, 1], c * point[:, 1] - s * point[:, 0], point[:, 2]], 1)
        solid = torch.from_numpy(scene.candidates.solid).to(self.device)[which]
        spot = distance * scene.step_u[view].square().sum(1).sqrt()
        return shading.shade_solids(self.world, solid, local, _unit(direction), yaw, spot)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What all rays of one batch of pictures share."""

    origins: Tensor
    corner: Tensor
    """(V, 3) direction through the centre of pixel (0, 0)."""
    step_u: Tensor
    step_v: Tensor
    """(V, 3) change of direction per column and per row."""
    grid: tuple[int, int, int]
    candidates: Candidates

    def directions(self, pixels: Tensor | None, du: float, dv: float) -> Tensor:
        """(n, 3) directions of depth 1 through pixels, moved by fractions of a pixel."""
        views, height, width = self.grid
        device = self.origins.device
        if pixels is None:
            u = torch.arange(width, dtype=torch.float32, device=device)[:, None] + du
            v = torch.arange(height, dtype=torch.float32, device=device)[:, None] + dv
            rows = v * self.step_v[:, None] + self.corner[:, None]  # V H 3
            return (rows[:, :, None] + (u * self.step_u[:, None])[:, None]).reshape(-1, 3)
        view = pixels // (height * width)
        place = pixels - view * (height * width)
        row = place // width
        u, v = (place - row * width).float()[:, None] + du, row.float()[:, None] + dv
        return v * self.step_v[view] + self.corner[view] + u * self.step_u[view]


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.square().sum(-1, keepdim=True).sqrt()
