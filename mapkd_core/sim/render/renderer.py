"""Camera images and LiDAR sweeps of a world, by tensors on any device or compiled for the CPU.

Legend: V views, H W pixels, n pixels of all views, R rays through each.
"""
from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mapkd_core.extras import how_to_install
from mapkd_core.geometry import inverse
from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.lidar import HDL32E, LidarModel, PoseAt, sweep
from mapkd_core.sim.render.own_body import OwnBody
from mapkd_core.sim.render.scene import Scene
from mapkd_core.sim.world.world import World

if TYPE_CHECKING:
    from mapkd_core.sim.render.compiled.images import CompiledCameras

RAY_CASTERS = ("auto", "compiled", "tensors")
MAX_WAVES = 3
"""Of a terrain that the compiled ray caster takes."""


class Renderer:
    """Renders one world; on the CPU the same arguments give the same bytes."""

    def __init__(
        self,
        world: World,
        device: torch.device | str = "cpu",
        antialias: bool = True,
        own_body: OwnBody | None = None,
        ray_caster: str = "auto",
    ) -> None:
        """`antialias` sends four rays through every pixel on an edge of a solid; painted ground needs none.

        `own_body` is drawn into images for which `map_from_base` is given. `ray_caster` is one of RAY_CASTERS: `auto`
        takes the compiled one on the CPU where numba is installed. Raises ValueError for another, and for `compiled`
        where it cannot be.
        """
        self.device = torch.device(device)
        self.antialias = antialias
        self.own_body = own_body
        self.world = replace(world, ground=world.ground.to(self.device), noise=world.noise.to(self.device))
        self._compiled = self._compiled_cameras(ray_caster)
        self.max_rays = 1_600_000 if self.device.type == "cpu" else 12_000_000

    def _compiled_cameras(self, ray_caster: str) -> CompiledCameras | None:
        if ray_caster not in RAY_CASTERS:
            raise ValueError(f"ray_caster {ray_caster!r} is not one of {RAY_CASTERS}")
        missing = None
        if self.device.type != "cpu":
            missing = f"the compiled ray caster runs on the CPU, not on {self.device}"
        elif find_spec("numba") is None:
            missing = f"the compiled ray caster needs numba; {how_to_install('numba')}"
        elif len(self.world.terrain.waves) > MAX_WAVES:
            missing = f"terrain of {len(self.world.terrain.waves)} waves; the compiled ray caster knows {MAX_WAVES}"
        if ray_caster == "compiled" and missing:
            raise ValueError(f"{missing}; or take ray_caster='tensors'")
        if ray_caster == "tensors" or missing:
            return None
        from mapkd_core.sim.render.compiled.images import CompiledCameras

        return CompiledCameras(self.world, self.antialias, self.own_body)

    def images(
        self,
        intrinsics: ArrayLike,
        size: tuple[int, int],
        map_from_camera: ArrayLike,
        times_s: ArrayLike,
        *,
        map_from_base: ArrayLike | None = None,
        map_from_camera_after: ArrayLike | None = None,
    ) -> NDArray[np.uint8]:
        """(N, H, W, 3) RGB images of N cameras, each at its own time.

        Args: intrinsics (N, 3, 3) for `size` (width, height); camera poses (N, 4, 4); times (N,) in seconds of the
        world's clock. With `map_from_base` (N, 4, 4), the vehicle's headlights are on at night. With
        `map_from_camera_after`, the poses `conditions.motion_blur_s` later, images are blurred by the motion.
        Raises ValueError for shapes that do not fit together.
        """
        images = self.images_tensor(
            intrinsics, size, map_from_camera, times_s,
            map_from_base=map_from_base, map_from_camera_after=map_from_camera_after,
        )
        return np.asarray(images.cpu().numpy(), np.uint8)

    def images_tensor(
        self,
        intrinsics: ArrayLike,
        size: tuple[int, int],
        map_from_camera: ArrayLike,
        times_s: ArrayLike,
        *,
        map_from_base: ArrayLike | None = None,
        map_from_camera_after: ArrayLike | None = None,
    ) -> Tensor:
        """The same as `images`, left on the device."""
        times = np.asarray(times_s, np.float64)
        k = np.asarray(intrinsics, np.float64)
        if times.ndim != 1 or k.shape != (len(times), 3, 3):
            raise ValueError(f"intrinsics {k.shape} and times {times.shape}; expected (N, 3, 3) and (N,)")
        pose, base, after = (
            self._world_poses(name, value, len(times))
            for name, value in (
                ("map_from_camera", map_from_camera),
                ("map_from_base", map_from_base),
                ("map_from_camera_after", map_from_camera_after),
            )
        )
        assert pose is not None
        batch = max(self.max_rays // (size[0] * size[1]), 1)
        parts = []
        for start in range(0, len(times), batch):
            part = slice(start, start + batch)
            views = cameras.Views(k[part], pose[part], size, times[part])
            own_base, own_after = (None if poses is None else poses[part] for poses in (base, after))
            parts.append(self._images(views, own_base, own_after))
        return torch.cat(parts)

    def _world_poses(self, name: str, poses: ArrayLike | None, count: int) -> NDArray[np.float64] | None:
        """(N, 4, 4) poses of the map frame as poses of the world's own frame."""
        if poses is None:
            return None
        moved = np.array(poses, np.float64)
        if moved.shape != (count, 4, 4):
            raise ValueError(f"{name} has shape {moved.shape}; expected ({count}, 4, 4), one for each time")
        moved[:, :2, 3] -= self.world.centre_m
        return moved

    def _images(self, views: cameras.Views, base: NDArray | None, after: NDArray | None) -> Tensor:
        conditions = self.world.conditions
        base_from_world = None if base is None else inverse(base)
        moment = int(np.abs(np.round(views.times_s[0] * 1e4)))
        seed = moment * 1009 + self.world.seed * 7919 + int(views.intrinsics[0, 0, 0])
        if self._compiled is not None:
            return torch.from_numpy(self._compiled.images(views, base, base_from_world, after, seed))
        scene = Scene(self.world, self.device, views, base_from_world)
        image, target, distance = scene.light(None, ((0.0, 0.0),))
        if self.antialias:
            edges = cameras.edge_pixels(image.reshape(*scene.grid, 3), target.reshape(scene.grid), conditions)
            if len(edges):
                image[edges] = scene.light(edges, cameras.SUBPIXELS)[0]
        image = image.reshape(*scene.grid, 3)
        if after is not None and conditions.motion_blur_s > 0:
            directions = scene.directions(None, 0.0, 0.0).reshape(*scene.grid, 3)
            image = cameras.blur_motion(image, distance.reshape(scene.grid), directions, views, after)
        if self.own_body is not None and base is not None:
            image = self.own_body.drawn(image, self.world, views, base)
        generator = torch.Generator(device=self.device)
        generator.manual_seed(seed)
        return cameras.develop(image, conditions, generator)

    def lidar(
        self, map_from_lidar: ArrayLike | PoseAt, time_s: float, model: LidarModel = HDL32E
    ) -> NDArray[np.float32]:
        """One LiDAR revolution that ends at `time_s`: (P, 5) x, y, z, intensity 0..255, ring in the sensor's frame.

        `map_from_lidar` is a (4, 4) pose, a function of time that gives it while the sensor turns and moves, or such
        poses; see `lidar.sweep`.
        """
        pose = map_from_lidar if callable(map_from_lidar) else np.asarray(map_from_lidar, np.float64)
        caster = None if self._compiled is None else self._compiled.sweeps
        return sweep(self.world, self.device, pose, time_s, model, caster)
