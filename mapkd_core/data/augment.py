"""Augmentation of training samples: images, calibration and labels change together, so that the labels stay true.

The peers train without any. Geometry: mirroring and turning the world move cameras, points and lines alike; a zoom
moves the intrinsics with the image. Errors of the mounting (`extrinsic_*` of each camera, `lean_*` of all together) on
purpose leave the labels: the network shall bear a calibration that is slightly off.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mapkd_core.config import AugmentConfig
from mapkd_core.data.sample import Sample
from mapkd_core.geometry import inverse, transform
from mapkd_core.types import CAMERAS

MIRRORED = tuple(
    CAMERAS.index(name.replace("LEFT", "<").replace("RIGHT", "LEFT").replace("<", "RIGHT")) for name in CAMERAS
)
"""Which camera's place each camera takes when left and right are swapped."""
GRAY = 124
"""About ImageNet's mean: zero after normalising."""


def augment(sample: Sample, config: AugmentConfig, rng: np.random.Generator) -> Sample:
    """A changed copy of the sample; which changes, and how strong, is drawn from `rng`."""
    if config.flip and rng.random() < 0.5:
        sample = mirror(sample)
    if config.yaw_degrees:
        sample = turn(sample, float(np.radians(rng.uniform(-config.yaw_degrees, config.yaw_degrees))))
    if config.shift_m:
        sample = shift(sample, rng.uniform(-1, 1, 2) * config.shift_m * np.array([1.0, 0.5]))
    if config.scale:
        sample = zoom(sample, config.scale, rng)
    if config.extrinsic_degrees or config.extrinsic_m:
        sample = shake_mounting(sample, np.radians(config.extrinsic_degrees), config.extrinsic_m, rng)
    if config.lean_degrees or config.lean_m:
        roll, pitch = rng.normal(0, np.radians(config.lean_degrees), 2)
        sample = replace(
            sample, base_from_camera=leaned(sample.base_from_camera, roll, pitch, rng.normal(0, config.lean_m))
        )
    if config.photometric:
        sample = replace(sample, images=photometric(sample.images, config.photometric, rng))
    if config.camera_dropout and rng.random() < config.camera_dropout:
        images, lost = sample.images.copy(), int(rng.integers(len(sample.images)))
        images[lost] = GRAY
        sample = replace(sample, images=images, lost=(lost,))
    return _without_a_modality(sample, config, rng)


def _without_a_modality(sample: Sample, config: AugmentConfig, rng: np.random.Generator) -> Sample:
    """LiDAR or images lost, never both."""
    if sample.lidar is None or not (config.lidar_dropout or config.image_dropout):
        return sample
    draw = rng.random()
    if draw < config.lidar_dropout:
        return replace(sample, lidar=sample.lidar[:0])
    if draw > 1 - config.image_dropout:
        return replace(sample, images=np.full_like(sample.images, GRAY))
    return sample


def mirror(sample: Sample) -> Sample:
    """The world with left and right swapped."""
    order = list(MIRRORED) if len(sample.images) == len(CAMERAS) else list(range(len(sample.images)))
    flip_base, flip_camera = np.diag([1.0, -1, 1, 1]), np.diag([-1.0, 1, 1, 1])
    intrinsics = sample.intrinsics.copy()
    intrinsics[:, 0, 2] = sample.images.shape[2] - 1 - intrinsics[:, 0, 2]
    moved = _points_moved(sample, lambda points: points * np.array([1, -1, 1])[: points.shape[-1]])
    if sample.base_from_lidar is not None:
        raise ValueError("a sample with a LiDAR's pose cannot be mirrored: no LiDAR looks so; turn augment.flip off")
    return replace(
        moved,
        images=np.ascontiguousarray(sample.images[order, :, ::-1]),
        intrinsics=intrinsics[order],
        base_from_camera=(flip_base @ sample.base_from_camera @ flip_camera)[order],
        map_from_base=None if sample.map_from_base is None else flip_base @ sample.map_from_base @ flip_base,
    )


def turn(sample: Sample, yaw: float) -> Sample:
    """The sample seen from a base turned by -yaw radians: everything around it turns by `yaw`."""
    c, s = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    return _base_moved(sample, rotation)


def shift(sample: Sample, by_m: NDArray[np.float64]) -> Sample:
    """The sample seen from a base moved by -`by_m` (ahead, left): everything around it moves by `by_m`."""
    return _base_moved(sample, transform((*by_m, 0.0)))


def _base_moved(sample: Sample, base_from_old: NDArray[np.float64]) -> Sample:
    """The sample seen from another base."""

    def placed(points: NDArray) -> NDArray:
        size = points.shape[-1]
        return points @ base_from_old[:size, :size].T + base_from_old[:size, 3]

    lidar, pose = sample.base_from_lidar, sample.map_from_base
    return replace(
        _points_moved(sample, placed), base_from_camera=base_from_old @ sample.base_from_camera,
        base_from_lidar=None if lidar is None else base_from_old @ lidar,
        map_from_base=None if pose is None else pose @ inverse(base_from_old),
    )


def zoom(sample: Sample, strength: float, rng: np.random.Generator) -> Sample:
    """Every image enlarged by its own factor in [1, 1 + strength] about a random point; intrinsics follow."""
    images, intrinsics = np.empty_like(sample.images), sample.intrinsics.copy()
    height, width = sample.images.shape[1:3]
    for i, image in enumerate(sample.images):
        factor = 1 + strength * rng.random()
        x0, y0 = rng.uniform(0, [width * (factor - 1), height * (factor - 1)])
        affine = np.array([[factor, 0, -x0], [0, factor, -y0], [0, 0, 1]])
        images[i] = cv2.warpAffine(image, affine[:2], (width, height), borderMode=cv2.BORDER_REPLICATE)
        intrinsics[i] = affine @ intrinsics[i]
    return replace(sample, images=images, intrinsics=intrinsics)


def shake_mounting(sample: Sample, angle: float, offset_m: float, rng: np.random.Generator) -> Sample:
    """Every camera's mounting wrong by a random rotation (radians) and offset (metres), standard deviations given."""
    count = len(sample.images)
    errors = np.tile(np.eye(4), (count, 1, 1))
    errors[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, angle, (count, 3))).as_matrix()
    errors[:, :3, 3] = rng.normal(0, offset_m, (count, 3))
    return replace(sample, base_from_camera=sample.base_from_camera @ errors)


def leaned(
    base_from_camera: NDArray[np.float64], roll: float = 0.0, pitch: float = 0.0, height_m: float = 0.0
) -> NDArray[np.float64]:
    """Mountings (N, 4, 4) of a rig that leans as one about `base_link`: what a load, a soft spring or a measurement
    against a floor that is not level makes of a calibration. Radians about x (ahead) and y (left), and metres up.
    """
    error = np.eye(4)
    error[:3, :3] = Rotation.from_euler("xy", [roll, pitch]).as_matrix()
    error[2, 3] = height_m
    return np.asarray(error @ base_from_camera, np.float64)


def photometric(images: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light and colour of a whole rig changed at once, then a little more per camera, blur and noise at times."""
    result = np.empty_like(images)
    common = rng.uniform(-1, 1, 6) * strength
    for i, image in enumerate(images):
        brightness, contrast, saturation, gamma, *tint = common + rng.uniform(-0.3, 0.3, 6) * strength
        ramp = np.linspace(0, 1, 256) ** (2.0**gamma)
        ramp = (ramp - 0.5) * 2.0 ** (0.6 * contrast) + 0.5 + 0.2 * brightness
        gains = np.array([1 + 0.15 * tint[0], 1.0, 1 + 0.15 * tint[1]])
        table = np.clip(255 * ramp[:, None] * gains, 0, 255).astype(np.uint8)           # 256 3
        changed = cv2.LUT(image, table[None])
        gray = cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY)
        amount = 2.0 ** (1.5 * saturation)
        changed = cv2.addWeighted(changed, amount, cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), 1 - amount, 0)
        if rng.random() < 0.2 * strength:
            changed = cv2.GaussianBlur(changed, (3, 3), 0.6)
        if rng.random() < 0.5 * strength:
            noise = rng.normal(0, 12 * strength * rng.random(), image.shape)
            changed = np.clip(changed + noise, 0, 255).astype(np.uint8)
        result[i] = changed
    return result


def _points_moved(sample: Sample, move: Callable[[NDArray[np.floating]], NDArray[np.floating]]) -> Sample:
    """The sample with LiDAR, labels and SD lines moved by a linear map of (..., 2 or 3) points."""
    lidar = sample.lidar
    if lidar is not None:
        lidar = np.concatenate([move(lidar[:, :3]), lidar[:, 3:]], 1).astype(np.float32)
    elements = tuple(replace(e, points_m=move(e.points_m).astype(np.float32)) for e in sample.elements)
    outlines = tuple(np.asarray(move(outline), np.float64) for outline in sample.outlines_m)
    sd_lines = sample.sd_lines_m
    if sd_lines is not None:
        sd_lines = tuple(np.asarray(move(line), np.float64) for line in sd_lines)
    return replace(sample, lidar=lidar, elements=elements, outlines_m=outlines, sd_lines_m=sd_lines)
