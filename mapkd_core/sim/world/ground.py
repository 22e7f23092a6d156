"""The ground of a world as layers: paint, wear, light and shade, and the exact distance to the road's edge."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from mapkd_core.sim.roads.polyline import shifted
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.ground_raster import GroundRaster
from mapkd_core.sim.world.textures import PackedTexture, tileable_noise
from mapkd_core.vector_map import VectorMap

EDGE_CELL_M = 0.2
"""Cell of the signed distance to the road's edge; distances are linear in between, so lines are sharper than that."""
EXACT_M = 1.5


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

    Exact within EXACT_M of the outline; farther away between cells of two kinds, whose error of a cell or two does not
    matter.
    """
    from mapkd_core.sim.world.compiled.distances import signed_cells

    parts = [part for part in getattr(road, "geoms", [road]) if isinstance(part, shapely.Polygon) and not part.is_empty]
    rings = [np.asarray(ring.coords)[:, :2] for part in parts for ring in (part.exterior, *part.interiors)]
    mask = GroundRaster(size, EDGE_CELL_M)
    mask.fill(rings, 1)
    distance: NDArray[np.float32] = np.empty((size, size), np.float32)
    places, starts = np.empty(size + 3, np.int32), np.empty(size + 3, np.int32)
    signed_cells(mask.layer, EDGE_CELL_M, np.empty((size, size), np.int32), places, starts, distance)
    _put_exact(road, rings, distance)
    return distance


def _put_exact(road: BaseGeometry, rings: list[NDArray], distance: NDArray[np.float32]) -> None:
    """Puts the distance to the road's outline into `distance` wherever it is below EXACT_M."""
    from mapkd_core.sim.world.compiled.distances import crossings, near_outline, sign_near

    size = len(distance)
    half = size * EDGE_CELL_M / 2
    axis = (np.arange(size, dtype=np.float32) + 0.5) * EDGE_CELL_M - np.float32(half)
    exact = np.full((size, size), np.inf, np.float32)
    for ring in rings:
        outline = shapely.get_coordinates(shapely.segmentize(shapely.LineString(ring), 3.0))
        start, along = outline[:-1].astype(np.float32), (outline[1:] - outline[:-1]).astype(np.float32)
        near_outline(start, along, axis, np.float32(EXACT_M), np.float32(EDGE_CELL_M), exact)
    counts, width = np.empty(size, np.int64), 64
    firsts = np.cumsum([0, *map(len, rings)])
    vertices = np.concatenate(rings) if rings else np.zeros((0, 2))
    while not crossings(vertices, firsts, size, EDGE_CELL_M, counts, at := np.empty((size, width))):
        width *= 2
    unsure = np.empty((size, 2), np.int64)
    found = sign_near(exact, np.float32(EXACT_M), EDGE_CELL_M, counts, at, distance, unsure)
    rows, cols = unsure[:found].T if found <= size else np.nonzero(exact < EXACT_M)
    shapely.prepare(road)
    within = shapely.contains_xy(road, (cols + 0.5) * EDGE_CELL_M - half, (rows + 0.5) * EDGE_CELL_M - half)
    distance[rows, cols] = np.where(within, -exact[rows, cols], exact[rows, cols])


def wear_layers(
    road_map: VectorMap, centre_m: NDArray, cell_m: float, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Brightness of the asphalt around 128, a tile that repeats, and how much darker (size, size) marks are on it.

    Marks are tyre tracks, repairs, seams, cracks, manholes. No map elements.
    """
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
    return np.clip(128 + noise, 0, 255).astype(np.uint8), marks.layer


def verge_texture(
    road_map: VectorMap,
    centre_m: NDArray,
    edge_m: NDArray[np.float32],
    sky_share: NDArray[np.uint8],
    conditions: Conditions,
    rng: np.random.Generator,
) -> PackedTexture:
    """Paved share, grass share, `sky_share` and mottling of the ground off the road, in cells of EDGE_CELL_M."""
    from mapkd_core.sim.world.compiled.layers import verge

    size = edge_m.shape[0]
    half = size * EDGE_CELL_M / 2
    walkways = GroundRaster(size, EDGE_CELL_M)
    for polygon in road_map.walkways:
        points = np.asarray(polygon.exterior.coords)[:, :2] - centre_m
        if near_square(points, half):
            walkways.fill([points], 255)
    fine, district = tileable_noise(512, rng, 1.2), tileable_noise(size, rng, 2.2, 2.0)
    mottle = np.clip(128 + 16 * tileable_noise(512, rng, 0.8), 0, 255).astype(np.uint8)
    green = np.float32({"brick": 0.9, "concrete": 0.2, "tropical": -0.5}[conditions.palette])
    tropical, paths = conditions.palette == "tropical", walkways.blurred(0.6)
    return PackedTexture(size, (-half, -half), EDGE_CELL_M, lambda texels: verge(
        district, fine, edge_m, paths, sky_share, mottle, green, tropical, np.float32(EDGE_CELL_M), texels
    ))  # fmt: skip
