"""Real images in the places of a sample's cameras, with the map that their masks show on the ground: a map of reality.

Nobody knows how the images were taken. The network is given the calibration that the sample has, and the map is made by
the same calibration from what the images' masks show; so what it can learn is true however the images were taken: where
in the map that lies which is seen there in the image. The images are cut so that their horizons lie where the cameras'
are, which keeps streets about as wide as streets are. Source: ours.
"""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_masks import MASK_SIZE, ImageMask
from mapkd_core.data.images import PixelImage
from mapkd_core.data.sample import TARGET_STRIDE, Sample, SeenMap
from mapkd_core.data.street_images import Street, StreetImages, cut, line_cells
from mapkd_core.geometry import inverse
from mapkd_core.grid import LINE_CELLS, BevGrid
from mapkd_core.metrics.seen_ground import SeenGround, seen_ground
from mapkd_core.types import CLASS_IDS, CLASSES, CameraView

_LEAST_CELLS = 15
"""Of a line on the ground, 0.1 m each: shorter ones are specks of a mask."""


def collage(sample: Sample, streets: StreetImages, grid: BevGrid, rng: np.random.Generator) -> Sample:
    """The sample with a real image for every camera, and in place of its labels the map of what they show."""
    height, width = sample.images.shape[1:3]
    images, masks, lines = [], [], []
    for camera in range(len(sample.images)):
        street = streets.any(rng)
        window = window_at(street, horizon_row(sample, camera) / height, width / height, rng)
        images.append(cv2.resize(cut(street.image, window), (width, height), interpolation=cv2.INTER_AREA))
        mask = ImageMask(*(
            cv2.resize(cut(plane, window), MASK_SIZE, interpolation=cv2.INTER_NEAREST)
            for plane in (street.mask.surface, street.mask.paint, street.mask.drivable)
        ))  # fmt: skip
        masks.append(mask)
        lines.append(line_cells(mask, (0.0, 0.0, 1.0, 1.0), (width // TARGET_STRIDE, height // TARGET_STRIDE)))
    views = [
        CameraView(str(k), 0, (width, height), sample.intrinsics[k], sample.base_from_camera[k], PixelImage(images[k]))
        for k in range(len(images))
    ]
    return replace(
        sample, images=streets.changed(np.stack(images), rng), elements=(), line_views=np.stack(lines),
        seen=seen_map(seen_ground(views, masks), grid),
    )


def horizon_row(sample: Sample, camera: int) -> float:
    """The row, in pixels, in which a camera's horizon crosses its middle column, about."""
    ahead = sample.base_from_camera[camera][:3, 2] * (1, 1, 0)
    ray = inverse(sample.base_from_camera[camera])[:3, :3] @ ahead
    k = sample.intrinsics[camera]
    return float(k[1, 1] * ray[1] / max(float(ray[2]), 1e-3) + k[1, 2])


def window_at(
    street: Street, horizon: float, aspect: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, as shares, of a cut whose horizon lies at a share `horizon` of its height."""
    shape = street.image.shape[1] / street.image.shape[0]
    wanted = rng.uniform(1.6, 2.0)  # as the vehicle's cameras see, before their images are stretched to `aspect`
    horizon = float(np.clip(horizon, 0.05, 0.95))
    tallest = min(street.horizon / horizon, (1 - street.horizon) / (1 - horizon), wanted_height(shape, wanted))
    height = tallest * rng.uniform(0.75, 1.0)
    width = min(1.0, height * wanted / shape)
    top, left = street.horizon - horizon * height, rng.uniform(0, 1 - width)
    return left, top, left + width, top + height


def wanted_height(shape: float, wanted: float) -> float:
    """Largest height of a cut of an aspect from an image of another one, as a share."""
    return min(1.0, shape / wanted)


def seen_map(ground: SeenGround, grid: BevGrid) -> SeenMap:
    """Labels on a grid of what is seen on the ground: paint as dividers, edge as boundaries, as wide as labels are."""
    centres = grid.cell_centres_m()
    at = np.floor(ground.grid().cells_from_metres(centres)).astype(np.intp)
    inside = ground.grid().contains(centres)
    row, col = (np.where(inside, at[..., k], 0) for k in (1, 0))
    semantic = np.zeros((len(CLASSES) + 1, *grid.shape), np.uint8)
    for label, cells in (("divider", ground.paint), ("boundary", ground.edge)):
        long = without_specks(cells)
        near = cv2.dilate(long.astype(np.uint8), _round(LINE_CELLS * grid.cell_m / ground.grid().cell_m))
        semantic[CLASS_IDS[label]] = inside & (near[row, col] > 0)
    semantic[CLASS_IDS["divider"]] &= 1 - semantic[CLASS_IDS["boundary"]]
    semantic[0] = 1 - semantic[1:].max(0)
    known = inside & ground.known[row, col]
    return SeenMap(semantic, known | (semantic[1:].max(0) > 0))


def without_specks(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rows, cols) without connected groups of fewer than fifteen cells."""
    _, groups, stats, _ = cv2.connectedComponentsWithStats(cells.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= _LEAST_CELLS
    kept[0] = False
    return np.asarray(kept[groups])


def _round(cells: float) -> NDArray[np.uint8]:
    side = max(1, round(cells) // 2 * 2 + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
