"""A simulated drive: a road map, a world built on it, a vehicle that drives through, and what its sensors see.

    drive = SimDrive(seed=7, size=(352, 128), frames=12)
    frame = drive[3]              # types.Frame; images are rendered when asked for
    pixels = frame.views[1].image.rgb()

Everything follows from the seed: the same seed gives the same bytes (on one CPU type and torch version), whatever
order the frames are asked for in.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.lidar import MIN_DISTANCE_M, Sweeps
from mapkd_core.geometry import apply, inverse
from mapkd_core.sim.render.rendered_image import RenderedImage, Rendering, Shots
from mapkd_core.sim.rig import RIGS, TRIGGER_JITTER_S, Rig
from mapkd_core.sim.roads.procedural import procedural_map
from mapkd_core.sim.roads.trajectory import Trajectory, drive_along, lane_path
from mapkd_core.sim.world.conditions import WEATHERS, Conditions
from mapkd_core.types import CAMERAS, IMAGE_SIZE, CameraView, Frame
from mapkd_core.vector_map import VectorMap

if TYPE_CHECKING:  # labels and maps can be had without waiting for torch
    from torch import Tensor

    from mapkd_core.sim.render.own_body import OwnBody
    from mapkd_core.sim.render.renderer import Renderer
    from mapkd_core.sim.world.world import World

PROCEDURAL = "procedural"
EPOCH_NS = 1_577_836_800_000_000_000
"""Stamps of simulated drives start here (2020-01-01) and lie an hour apart from seed to seed."""
SWEEP_S = 0.05
"""A turn of the LiDAR."""
VIEW_M = 90.0
"""The world is built this far beyond the path."""
MAP_M = 200.0
"""A city's map is cut this far beyond the path: more than half of a 240 m grid."""
HEAVY = ("whole_map", "road_map", "_planar", "world", "renderer", "motion")


@dataclass(eq=False)
class SimDrive:
    """A source of simulated frames; indexing is lazy, and frames do not depend on the order of access.

    Raises ValueError for an unknown rig, and FileNotFoundError or ValueError where a real map is asked for that
    is not there.
    """

    seed: int
    road: str = PROCEDURAL
    """`procedural`, a nuScenes map such as `boston-seaport`, or `argoverse2` (these need `dataroot`)."""
    size: tuple[int, int] = IMAGE_SIZE
    """(width, height) of the images."""
    lidar: bool = True
    frames: int = 20
    keyframe_s: float = 0.5
    """Time between frames; nuScenes' keyframes have 0.5 s."""
    lidar_sweeps: int | Sweeps = 1
    """Turns of the LiDAR gathered into each frame's points; fewer at the ends of the drive."""
    dataroot: Path | None = None
    """Folder of nuScenes, or of one or more logs of Argoverse 2."""
    area_m: tuple[float, float, float, float] | None = None
    """(x_min, y_min, x_max, y_max) of the map that the vehicle stays in."""
    conditions: Conditions | None = None
    """Random if None."""
    rig: Rig | None = None
    """One of the two nuScenes rigs at random if None."""
    trajectory: Trajectory | None = None
    """A random drive along lanes if None."""
    own_body: OwnBody | None = None
    """What the cameras see of their own vehicle; nothing if None."""
    device: str = "cpu"
    name: str = ""

    def __post_init__(self) -> None:
        if self.frames < 1 or self.keyframe_s <= 0:
            raise ValueError(f"{self.frames} frames every {self.keyframe_s} s; expected at least one, some time apart")
        rng = self._rng("drive")
        self.rig = self.rig or RIGS[str(rng.choice(sorted(RIGS)))]
        self.conditions = self.conditions or Conditions.sample(rng)
        self.name = self.name or f"sim-{self.road}-{self.seed:06d}"

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *f"{self.road}:{purpose}".encode()])

    @cached_property
    def whole_map(self) -> VectorMap:
        """The whole neighbourhood or city."""
        if self.road == PROCEDURAL:
            return procedural_map(self.seed)
        from mapkd_core.sim.roads.real_roads import real_map

        if self.dataroot is None:
            raise ValueError(f"road {self.road!r} is a real map; give its folder (dataroot), or use {PROCEDURAL!r}")
        return real_map(self.dataroot, self.road, self.seed)

    @cached_property
    def road_map(self) -> VectorMap:
        """The roads around the drive, and the truth that labels come from."""
        if self.road == PROCEDURAL:
            return self.whole_map
        from mapkd_core.sim.roads.real_roads import cropped

        path = self._planar.path_m
        return cropped(self.whole_map, path.min(axis=0) - MAP_M, path.max(axis=0) + MAP_M)

    @cached_property
    def _planar(self) -> Trajectory:
        """The drive on level ground: the world is built around it."""
        if self.trajectory is not None:
            return self.trajectory
        rng = self._rng("path")
        duration = (self.frames - 1) * self.keyframe_s + 2.0
        path = lane_path(self.whole_map, rng, min(14.0 * duration, 320.0), self._allowed)
        return drive_along(path, rng, duration)

    def _allowed(self, points_m: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = np.ones(len(points_m), bool)
        if self.area_m is not None:
            x0, y0, x1, y1 = self.area_m
            inside = np.all((points_m >= (x0, y0)) & (points_m <= (x1, y1)), axis=1)
        if self.road != PROCEDURAL:
            from mapkd_core.sim.roads.real_roads import is_complete

            assert self.dataroot is not None
            inside &= is_complete(self.dataroot, self.road, points_m)
        return inside

    @cached_property
    def world(self) -> World:
        """Everything that sensors can see."""
        from mapkd_core.sim.world.world import build_world

        assert self.conditions is not None
        path = self._planar.path_m
        used = path[: np.searchsorted(self._planar.times_s, self.time_s(self.frames - 1)) + 2]
        centre = (used.min(axis=0) + used.max(axis=0)) / 2
        times = np.arange(0.0, self.time_s(self.frames - 1) + 1.0, 0.25)
        ego = np.column_stack([self._planar.poses(times)[:, :2, 3], times])
        return build_world(
            self.road_map,
            centre,
            float(np.abs(used - centre).max() + VIEW_M),
            self.conditions,
            self.seed,
            keep_clear=ego,
            cell_m=0.05 if self.size[0] > 600 else 0.08,
        )

    @cached_property
    def renderer(self) -> Renderer:
        """The ray caster on this drive's world."""
        from mapkd_core.sim.render.renderer import Renderer

        return Renderer(self.world, device=self.device, own_body=self.own_body)

    @cached_property
    def motion(self) -> Trajectory:
        """The drive on the world's terrain."""
        return replace(self._planar, height_m=self.world.height_m)

    def in_weather(self, weather: str) -> SimDrive:
        """The same drive in other weather, with light and camera settings that go with it."""
        draws = (Conditions.sample(np.random.default_rng([self.seed, k, 0x3EA])) for k in range(10_000))
        found = next((c for c in draws if c.weather == weather), None)
        if found is None:
            raise ValueError(f"weather {weather!r} never happens here; choose one of {WEATHERS}")
        return replace(self, conditions=found)

    def with_own_body(self) -> SimDrive:
        """The same drive with bodywork in the images, at random by the seed."""
        from mapkd_core.sim.render.own_body import OwnBody

        return replace(self, own_body=OwnBody.sample(self._rng("own body")))

    def release(self) -> None:
        """Frees the world and everything else that can be built again."""
        for name in HEAVY:
            self.__dict__.pop(name, None)

    def time_s(self, index: int) -> float:
        """Seconds since the drive's start at a frame; the first frame leaves time for earlier sweeps."""
        return 1.0 + index * self.keyframe_s

    @property
    def start_ns(self) -> int:
        """Stamp of the drive's start."""
        return EPOCH_NS + (self.seed % 100_000) * 3_600_000_000_000

    def stamp_ns(self, time_s: float) -> int:
        """Whole microseconds, as nuScenes' tables have."""
        return self.start_ns + round(time_s * 1e6) * 1000

    def camera_times_s(self, index: int) -> NDArray[np.float64]:
        """(6,) trigger times, whole microseconds."""
        assert self.rig is not None
        jitter = np.random.default_rng([self.seed, index, 0x716]).uniform(*TRIGGER_JITTER_S)
        return np.round(self.time_s(index) + self.rig.trigger_s + jitter, 6)

    def __getstate__(self) -> dict[str, object]:
        """A pickled drive, sent to a worker, is only its recipe."""
        return {name: value for name, value in self.__dict__.items() if name not in HEAVY}

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Frame:
        if not -self.frames <= index < self.frames:
            raise IndexError(f"frame {index} of a drive with {self.frames}")
        index %= self.frames
        assert self.rig is not None and self.conditions is not None
        rendering, times = Rendering(partial(self.render, index)), self.camera_times_s(index)
        intrinsics, mounts = self.rig.intrinsics(self.size), self.rig.base_from_cameras
        poses = self.motion.poses(times)
        views = tuple(
            CameraView(
                name=name,
                stamp_ns=self.stamp_ns(times[k]),
                size=self.size,
                intrinsics=intrinsics[k],
                base_from_camera=mounts[k],
                image=RenderedImage(rendering, k),
                map_from_base=poses[k],
            )
            for k, name in enumerate(CAMERAS)
        )
        return Frame(
            token=hashlib.md5(f"{self.name}:{index}".encode()).hexdigest(),
            scene=self.name,
            stamp_ns=self.stamp_ns(self.time_s(index)),
            views=views,
            map_from_base=self.motion.pose(self.time_s(index)),
            vector_map=lambda: self.road_map,
            lidar=partial(self.points, index) if self.lidar else None,
            base_from_lidar=self.rig.base_from_lidar,
            conditions=(self.conditions.weather, self.conditions.palette, self.road, self.rig.name),
        )

    def render(self, index: int) -> NDArray[np.uint8]:
        """(6, H, W, 3) images of a frame, each from where its camera was when it fired."""
        return np.asarray(self.render_tensor((index,)).cpu().numpy(), np.uint8)

    def render_tensor(self, indices: Sequence[int]) -> Tensor:
        """(6 F, H, W, 3) uint8 images of F frames on `device`, rendered together: fast on a GPU."""
        return self.renderer.images_tensor(**self.shots(indices)._asdict())

    def shots(self, indices: Sequence[int]) -> Shots:
        """Where the cameras are when they take the images of F frames: what `Renderer.images_tensor` wants."""
        assert self.rig is not None and self.conditions is not None
        times = np.concatenate([self.camera_times_s(index) for index in indices])
        mounts = np.tile(self.rig.base_from_cameras, (len(indices), 1, 1))
        poses, after = self.motion.poses(times), self.motion.poses(times + self.conditions.motion_blur_s)
        intrinsics = np.tile(self.rig.intrinsics(self.size), (len(indices), 1, 1))
        return Shots(intrinsics, self.size, poses @ mounts, times, poses, after @ mounts)

    def sweep(self, time_s: float) -> NDArray[np.float32]:
        """(P, 5) one LiDAR revolution that ends at a time: x, y, z, intensity, ring, in the sensor's own frame."""
        assert self.rig is not None
        from mapkd_core.sim.render.lidar import HDL32E

        start, end = self.motion.poses([time_s - SWEEP_S, time_s]) @ self.rig.base_from_lidar
        # Within 1/20 s a straight blend of the two poses is off by less than 0.1 mrad.
        shares = (time_s - np.append(HDL32E.times_s(time_s), time_s)) / SWEEP_S
        return self.renderer.lidar(end + (start - end) * shares[:, None, None], time_s)

    def points(self, index: int) -> NDArray[np.float32]:
        """(P, 5) LiDAR points of a frame: x, y, z in `base_link`, intensity 0..255, seconds before the stamp."""
        assert self.rig is not None
        now = self.time_s(index)
        base_from_map = inverse(self.motion.pose(now))
        parts = []
        for place in Sweeps.of(self.lidar_sweeps).places():
            then = now + place * SWEEP_S
            if not SWEEP_S <= then <= self.motion.duration_s + 1e-9:
                continue
            read = self.sweep(then)
            # The vehicle's own returns go, as where real sweeps are gathered.
            across = np.abs(read[:, :2]) >= MIN_DISTANCE_M
            read = read[across[:, 0] | across[:, 1]]
            base_from_lidar = base_from_map @ self.motion.pose(then) @ self.rig.base_from_lidar
            part = np.empty((len(read), 5), np.float32)
            part[:, :3], part[:, 3], part[:, 4] = apply(base_from_lidar, read[:, :3]), read[:, 3], -place * SWEEP_S
            parts.append(part)
        return np.concatenate(parts) if parts else np.zeros((0, 5), np.float32)
