"""The ground of a world as layers: paint, wear, light and shade, and the exact distance to the road's edge."""
from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from mapkd_core.distance import distance_cells
from mapkd_core.sim.roads.polyline import shifted
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.ground_raster import GroundRaster, cells_near, tiled
from mapkd_core.sim.world.textures import PackedTexture, tileable_noise
from mapkd_core.vector_map import VectorMap

EDGE_CELL_M = 0.2
"""Cell of the signed distance to the road's edge; distances are linear in between, so lines are sharper than that."""
EXACT_M = 1.5
SEGMENTS_AT_ONCE = 128
"""Whose distances are taken in one go; so their cells take some megabytes."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The layers of a square of ground, in metres from the world's centre."""

    surface: PackedTexture
    """Bytes: paint, yellow paint, brightness of the road (128 is neutral), light (255 is unshaded)."""
    verge: PackedTexture
    """Bytes: paved sidewalk, grass, share of the sky seen past still things, mottling (128 is neutral)."""
    edge_m: Tensor
    """Signed distance to the road's edge, positive off the road."""
    origin_m: tuple[float, float]
    """The corner of cell (0, 0) of every layer."""

    def to(self, device: torch.device | str) -> Ground:
        """The same ground on another device."""
        return replace(
            self, surface=self.surface.to(device), verge=self.verge.to(device), edge_m=self.edge_m.to(device)
        )


def local_road(road_map: VectorMap, window: BaseGeometry) -> BaseGeometry:
    """The road's area within a window, without building the union of a whole city."""
    polygons = [p for p in (*road_map.road_segments, *road_map.lanes) if p.intersects(window)]
    return shapely.union_all([shapely.make_valid(p) for p in polygons]).intersection(window)


def near_square(points_m: NDArray, half_m: float) -> bool:
    """Whether the bounding box of (N, 2) points meets the square of side 2 `half_m` around the origin."""
    low, high = points_m.min(0), points_m.max(0)
    return bool((low < half_m).all() and (high > -half_m).all())


def edge_distance_m(road: BaseGeometry, size: int) -> NDArray[np.float32]:
    """(size, size) signed distance to the outline of `road` at the centres of cells of EDGE_CELL_M, positive outside.

    Exact within EXACT_M of the outline; farther away from a distance transform, whose error of a cell or two does not
    matter.
    """
    parts = [part for part in getattr(road, "geoms", [road]) if isinstance(part, shapely.Polygon) and not part.is_empty]
    rings = [np.asarray(ring.coords)[:, :2] for part in parts for ring in (part.exterior, *part.interiors)]
    mask = GroundRaster(size, EDGE_CELL_M)
    mask.fill(rings, 1)
    inside_cells = mask.layer
    # Without any cell of the other kind, far is far.
    outside = np.minimum(distance_cells((inside_cells == 0).view(np.uint8)), size)
    inside = np.minimum(distance_cells(inside_cells), size)
    distance = ((outside - inside) * EDGE_CELL_M).astype(np.float32)
    exact = _unsigned_distance_m(rings, size)
    rows, cols = np.nonzero(exact < EXACT_M)
    shapely.prepare(road)
    half = size * EDGE_CELL_M / 2
    within = shapely.contains_xy(road, (cols + 0.5) * EDGE_CELL_M - half, (rows + 0.5) * EDGE_CELL_M - half)
    distance[rows, cols] = np.where(within, -exact[rows, cols], exact[rows, cols])
    return distance


def _unsigned_distance_m(rings: list[NDArray], size: int) -> NDArray[np.float32]:
    """(size, size) distance to the nearest ring where that is below EXACT_M, larger elsewhere."""
    result = np.full((size, size), np.inf, np.float32)
    half = size * EDGE_CELL_M / 2
    axis = (np.arange(size, dtype=np.float32) + 0.5) * EDGE_CELL_M - np.float32(half)
    for ring in rings:
        outline = shapely.get_coordinates(shapely.segmentize(shapely.LineString(ring), 3.0))
        some = (outline[k : k + SEGMENTS_AT_ONCE + 1] for k in range(0, len(outline) - 1, SEGMENTS_AT_ONCE))
        for vertices in some:
            _nearer_to(vertices, axis, size, result)
    return result


def _nearer_to(vertices: NDArray, axis: NDArray[np.float32], size: int, result: NDArray[np.float32]) -> None:
    """Puts the distances to a polyline (N, 2) into `result` where they are smaller; cells' centres lie at `axis`."""
    start, along = vertices[:-1].astype(np.float32), (vertices[1:] - vertices[:-1]).astype(np.float32)
    square = np.maximum((along * along).sum(1), np.float32(1e-12))
    segment, row, column = cells_near(vertices[:-1], vertices[1:], EXACT_M + EDGE_CELL_M, size, EDGE_CELL_M)
    x, y = axis[column] - start[segment, 0], axis[row] - start[segment, 1]
    dx, dy = along[segment].T
    t = np.clip((x * dx + y * dy) / square[segment], 0, 1)
    np.minimum.at(result.reshape(-1), row * size + column, np.hypot(x - t * dx, y - t * dy))


def wear_layer(
    road_map: VectorMap, centre_m: NDArray, cell_m: float, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Brightness of the road around 128: mottling, tyre tracks, repairs, seams, cracks, manholes. No map elements."""
    half = size * cell_m / 2
    noise = 5.0 * tileable_noise(1024, rng, 1.3) + 4.0 * tileable_noise(1024, rng, 0.45)
    marks = GroundRaster(size, cell_m)
    for centre in road_map.lane_centres_m:
        points = np.asarray(centre)[:, :2] - centre_m
        depth = int(rng.integers(0, 14))
        if len(points) > 1 and near_square(points, half):
            for side in (-0.8, 0.8):
                marks.line(shifted(points, side), depth, 0.45)
    for line in road_map.dividers:
        points = np.asarray(line.points_m)[:, :2] - centre_m
        if line.paint == "none" and len(points) > 1 and near_square(points, half):
            marks.line(points, 16)  # where no paint is, often a seam of the asphalt is
    marks.layer = marks.blurred(0.4)
    for _ in range(int(0.005 * half**2)):
        middle, angle = rng.uniform(-half, half, 2), rng.uniform(0, np.pi)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        length, width = rng.uniform((0.5, 0.4), (6.0, 1.6)) / 2
        corners = [middle + i * length * along + j * width * across for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        marks.fill([np.array(corners)], int(rng.integers(4, 34)))
    for _ in range(int(0.9 * half)):
        steps = rng.normal(0, 0.5, (rng.integers(4, 14), 2)) + rng.normal(0, 1, 2)
        marks.line(rng.uniform(-half, half, 2) + np.cumsum(steps, 0), 45)
    for _ in range(int(0.5 * half)):
        marks.disc(rng.uniform(-half, half, 2), 0.33, 50)
    mottled = tiled(np.clip(128 + noise, 0, 255).astype(np.uint8), size)
    return np.asarray(cv2.subtract(mottled, marks.layer), np.uint8)


def verge_layers(
    road_map: VectorMap,
    centre_m: NDArray,
    edge_m: NDArray[np.float32],
    conditions: Conditions,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Paved share, grass share and mottling of the ground off the road, in cells of EDGE_CELL_M."""
    size = edge_m.shape[0]
    walkways = GroundRaster(size, EDGE_CELL_M)
    for polygon in road_map.walkways:
        points = np.asarray(polygon.exterior.coords)[:, :2] - centre_m
        if near_square(points, size * EDGE_CELL_M / 2):
            walkways.fill([points], 255)
    fine, district = tileable_noise(512, rng, 1.2), tileable_noise(size, rng, 2.2, 2.0)
    fine = np.tile(fine, (-(-size // 512),) * 2)[:size, :size]
    green = {"brick": 0.9, "concrete": 0.2, "tropical": -0.5}[conditions.palette]
    width = 2.6 + 0.9 * np.clip(district, -1, 1)
    paved = np.clip((width - edge_m) / EDGE_CELL_M + 0.5, 0, 1)
    if conditions.palette == "tropical":  # grass between curb and path
        paved *= np.clip((edge_m - 1.4) / EDGE_CELL_M + 0.5, 0, 1)
    paving = np.maximum((paved * 255).astype(np.uint8), walkways.blurred(0.6))
    grass = np.clip((district + 0.5 * fine - green) * 4, 0, 1)
    mottle = np.clip(128 + 16 * tileable_noise(512, rng, 0.8), 0, 255).astype(np.uint8)
    return paving, (grass * 255).astype(np.uint8), tiled(mottle, size)
