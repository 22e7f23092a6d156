"""Sensor rigs: six cameras and a LiDAR, where they sit, how they look, and when they fire.

The two rigs are those of nuScenes' vehicles n015 (Singapore) and n008 (Boston), restated as numbers from the data set's
`calibrated_sensor` table; trigger offsets are those of its keyframes, where the cameras fire one after another
as the LiDAR beam sweeps past them.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import quaternion_from_rotation, rotation_from_quaternion, scale_intrinsics, transform
from mapkd_core.types import CAMERAS


@dataclass(frozen=True)
class Mount:
    """Where a sensor sits: metres and quaternion (w, x, y, z) in `base_link`."""

    translation_m: tuple[float, float, float]
    wxyz: tuple[float, float, float, float]

    @property
    def base_from_sensor(self) -> NDArray[np.float64]:
        """(4, 4)."""
        return transform(self.translation_m, self.wxyz)


@dataclass(frozen=True)
class RigCamera:
    """A pinhole camera without distortion."""

    mount: Mount
    focal_px: float
    centre_px: tuple[float, float]
    trigger_s: float
    """When it fires, relative to the LiDAR's stamp."""


@dataclass(frozen=True)
class Rig:
    """A vehicle's sensors. `cameras` follow the order of `types.CAMERAS`; pixel values hold for `size`."""

    name: str
    cameras: tuple[RigCamera, ...]
    lidar: Mount
    size: tuple[int, int] = (1600, 900)
    """(width, height)."""

    def __post_init__(self) -> None:
        if len(self.cameras) != len(CAMERAS):
            raise ValueError(f"rig {self.name!r} has {len(self.cameras)} cameras; expected {len(CAMERAS)}: {CAMERAS}")

    def intrinsics(self, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """(6, 3, 3) of the images resized to `size` (w, h)."""
        matrices = np.zeros((len(self.cameras), 3, 3))
        for matrix, camera in zip(matrices, self.cameras, strict=True):
            matrix[0, 0] = matrix[1, 1] = camera.focal_px
            matrix[:, 2] = (*camera.centre_px, 1.0)
        width, height = size or self.size
        return scale_intrinsics(matrices, width / self.size[0], height / self.size[1])

    @cached_property
    def base_from_cameras(self) -> NDArray[np.float64]:
        """(6, 4, 4) poses of the optical frames; read-only."""
        return _read_only(np.stack([camera.mount.base_from_sensor for camera in self.cameras]))

    @cached_property
    def base_from_lidar(self) -> NDArray[np.float64]:
        """(4, 4); read-only."""
        return _read_only(self.lidar.base_from_sensor)

    @property
    def trigger_s(self) -> NDArray[np.float64]:
        """(6,) times at which the cameras fire, relative to the LiDAR's stamp."""
        return np.array([camera.trigger_s for camera in self.cameras])

    def shaken(self, rng: np.random.Generator, translation_m: float = 0.01, rotation_rad: float = 0.005) -> Rig:
        """The rig with every camera displaced and turned at random (standard deviations): a worse calibration."""
        cameras = []
        for camera in self.cameras:
            moved = np.asarray(camera.mount.translation_m) + rng.normal(0, translation_m, 3)
            half = rng.normal(0, rotation_rad, 3) / 2
            turn = rotation_from_quaternion((1.0, *half))
            wxyz = quaternion_from_rotation(rotation_from_quaternion(camera.mount.wxyz) @ turn)
            mount = Mount(tuple(map(float, moved)), tuple(map(float, wxyz)))  # type: ignore[arg-type]
            cameras.append(replace(camera, mount=mount))
        return replace(self, cameras=tuple(cameras))


def _read_only(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    matrices.flags.writeable = False  # one for all frames
    return matrices


TRIGGER_JITTER_S = (-0.0024, 0.0011)
"""All cameras of a keyframe fire together this much earlier or later than usual (range over scene-0103)."""


def _camera(
    translation_m: tuple[float, float, float],
    wxyz: tuple[float, float, float, float],
    focal_px: float,
    centre_px: tuple[float, float],
    trigger_ms: float,
) -> RigCamera:
    return RigCamera(Mount(translation_m, wxyz), focal_px, centre_px, trigger_ms / 1000)


N015 = Rig(
    "n015",
    (
        _camera((1.523878, 0.494631, 1.509328), (0.675726503, -0.673626652, 0.212140150, -0.211228271),
                1272.5979, (826.6155, 479.7517), -43.107),
        _camera((1.700791, 0.015946, 1.510958), (0.499801543, -0.503031616, 0.499779811, -0.497370838),
                1266.4172, (816.2670, 491.5071), -35.491),
        _camera((1.550848, -0.493405, 1.495748), (0.206034797, -0.202694058, 0.682450782, -0.671361088),
                1260.8474, (807.9682, 495.3344), -27.612),
        _camera((1.035691, 0.484795, 1.590970), (0.692418559, -0.703161942, -0.116483428, 0.112033179),
                1256.7415, (792.1126, 492.7757), -0.528),
        _camera((0.028326, 0.003451, 1.579103), (0.503787267, -0.497402498, -0.494185022, 0.504549610),
                809.2210, (829.2196, 481.7784), -10.426),
        _camera((1.014878, -0.480568, 1.562395), (0.122809801, -0.132400843, -0.700430582, 0.690496031),
                1259.5137, (807.2529, 501.1958), -20.058),
    ),
    Mount((0.943713, 0.0, 1.84023), (0.707795512, -0.006492242, 0.010646215, -0.706307314)),
)
"""The vehicle of nuScenes' Singapore drives."""

N008 = Rig(
    "n008",
    (
        _camera((1.575256, 0.500519, 1.506960), (0.681208853, -0.668750717, 0.210170245, -0.211081611),
                1257.8625, (827.2411, 450.9155), -42.957),
        _camera((1.722006, 0.004755, 1.494913), (0.507724139, -0.497339223, 0.498371675, -0.496483201),
                1252.8131, (826.5881, 469.9847), -35.364),
        _camera((1.580826, -0.499079, 1.517494), (0.203351738, -0.191463332, 0.678571004, -0.679360917),
                1256.7485, (817.7888, 451.9542), -27.286),
        _camera((1.048520, 0.483058, 1.562102), (0.704862030, -0.690730680, -0.112090920, 0.116173457),
                1254.9861, (829.5769, 467.1681), -0.363),
        _camera((0.055246, 0.010788, 1.567943), (0.506799734, -0.497756702, -0.498784993, 0.496594226),
                796.8911, (857.7774, 476.8849), -10.210),
        _camera((1.059452, -0.467203, 1.550509), (0.138191877, -0.137967182, -0.689332994, 0.697630336),
                1249.9629, (825.3768, 462.5482), -19.654),
    ),
    Mount((0.985793, 0.0, 1.84019), (0.706749236, -0.015300994, 0.017397452, -0.707084667)),
)
"""The vehicle of nuScenes' Boston drives."""

RIGS: dict[str, Rig] = {rig.name: rig for rig in (N015, N008)}
