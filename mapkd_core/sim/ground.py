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

from mapkd_core.sim.conditions import Conditions
from mapkd_core.sim.paint import PaintCanvas, distances_along, offset_polyline, paint_crossing, paint_line, points_at
from mapkd_core.sim.textures import PackedTexture, tileable_noise
from mapkd_core.vector_map import VectorMap

EDGE_CELL_M = 0.2
"""Cell of the signed distance to the road's edge; distances are linear in between, so lines are sharper than that."""


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


def edge_distance_m(road: BaseGeometry, origin_m: tuple[float, float], size: int) -> NDArray[np.float32]:
    """(size, size) signed distance to the outline of `road` at cell centres, positive outside.

    Exact within 1.5 m of the outline; farther away from a distance transform, whose error of a cell does not matter.
    """
    rings = [np.asarray(ring.coords) for part in _polygons(road) for ring in (part.exterior, *part.interiors)]
    mask = np.zeros((size, size), np.uint8)
    pixels = [np.round(((ring - origin_m) / EDGE_CELL_M - 0.5) * 16).astype(np.int32) for ring in rings]
    if pixels:
        cv2.fillPoly(mask, pixels, 1, shift=4)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if not mask.any():
        outside[:] = size
    if mask.all():
        inside[:] = size
    distance = ((outside - inside) * EDGE_CELL_M).astype(np.float32)
    exact = np.full((size, size), np.inf, np.float32)
    reach = 1.5
    for ring in rings:
        ring = shapely.segmentize(shapely.LineString(ring), 3.0)
        points = np.asarray(ring.coords)
        for a, b in zip(points[:-1], points[1:], strict=True):
            low = np.floor((np.minimum(a, b) - reach - origin_m) / EDGE_CELL_M).astype(int)
            high = np.ceil((np.maximum(a, b) + reach - origin_m) / EDGE_CELL_M).astype(int)
            c0, r0 = np.maximum(low, 0)
            c1, r1 = np.minimum(high, size)
            if c0 >= c1 or r0 >= r1:
                continue
            x = (np.arange(c0, c1, dtype=np.float32) + 0.5) * EDGE_CELL_M + np.float32(origin_m[0] - a[0])
            y = ((np.arange(r0, r1, dtype=np.float32) + 0.5) * EDGE_CELL_M + np.float32(origin_m[1] - a[1]))[:, None]
            d = (b - a).astype(np.float32)
            t = np.clip((x * d[0] + y * d[1]) / max(float(d @ d), 1e-12), 0, 1)
            window = np.s_[r0:r1, c0:c1]
            np.minimum(exact[window], np.hypot(x - t * d[0], y - t * d[1]), out=exact[window])
    near = exact < reach
    rows, cols = np.nonzero(near)
    shapely.prepare(road)
    within = shapely.contains_xy(
        road, (cols + 0.5) * EDGE_CELL_M + origin_m[0], (rows + 0.5) * EDGE_CELL_M + origin_m[1]
    )
    distance[near] = np.where(within, -exact[near], exact[near])
    return distance


def _polygons(area: BaseGeometry) -> list[shapely.Polygon]:
    return [part for part in getattr(area, "geoms", [area]) if part.geom_type == "Polygon" and not part.is_empty]


def paint_layers(
    road_map: VectorMap,
    centre_m: NDArray,
    radius_m: float,
    cell_m: float,
    size: int,
    conditions: Conditions,
    rng: np.random.Generator,
) -> PaintCanvas:
    """All paint of the map within the world's square, worn as the conditions say."""
    origin = (-size * cell_m / 2, -size * cell_m / 2)
    canvas = PaintCanvas(origin, cell_m, size)
    for line in road_map.lines:
        fade, phase = rng.uniform(0.0, 0.35), rng.uniform(0, 9)
        points = np.asarray(line.points_m)[:, :2] - centre_m
        if line.paint == "none" or not _near(points, radius_m):
            continue
        strength = float(np.clip(1 - line.wear - fade * conditions.paint_wear, 0.12, 1))
        if line.layer == "stop_line":
            canvas.polyline(points, 0.4, strength, line.color == "yellow")
        else:
            for piece in _pieces_near(points, radius_m):
                paint_line(canvas, piece, line.paint, line.color, strength, phase)
    centres = [np.asarray(c)[:, :2] - centre_m for c in road_map.lane_centres_m]
    centres = [c for c in centres if _near(c, radius_m)]
    middles = np.concatenate([(c[:-1] + c[1:]) / 2 for c in centres]) if centres else np.zeros((0, 2))
    headings = np.concatenate([np.diff(c, axis=0) for c in centres]) if centres else np.zeros((0, 2))
    style = str(rng.choice(("zebra", "lines", "ladder"), p=(0.5, 0.25, 0.25)))
    for crossing in road_map.crossings:
        fade = rng.uniform(0.0, 0.4)
        polygon = shapely.transform(crossing, lambda xy: xy - centre_m)
        if not _near(np.asarray(polygon.exterior.coords), radius_m):
            continue
        traffic = None
        if len(middles):
            nearest = np.argmin(np.hypot(*(middles - np.asarray(polygon.centroid.coords)[0]).T))
            if np.hypot(*(middles[nearest] - np.asarray(polygon.centroid.coords)[0])) < 8:
                traffic = headings[nearest] / max(np.hypot(*headings[nearest]), 1e-9)
        paint_crossing(canvas, polygon, traffic, style, 1 - fade * conditions.paint_wear)
    for centre in centres:
        if rng.random() < 0.3 and len(centre) > 1:
            along = distances_along(centre)
            if along[-1] > 20:
                at = points_at(centre, along, along[-1] - np.array([9.0, 8.0]))
                canvas.arrow(at[0], (at[1] - at[0]) / max(np.hypot(*(at[1] - at[0])), 1e-9), int(rng.integers(-1, 2)))
    # Wear eats holes: where the noise exceeds a threshold, paint is gone.
    noise = tileable_noise(512, rng, 1.1) + 0.8 * tileable_noise(512, rng, 0.3)
    worn = conditions.paint_wear
    keep = 1 - np.clip((noise * 0.8 + 2.6 * worn**0.5 - 2.6) * 1.2, 0, 0.9 + 0.1 * worn) * min(1.0, 4 * worn)
    keep = np.tile((keep * 255).astype(np.uint8), (-(-size // 512), -(-size // 512)))[:size, :size]
    canvas.coverage = cv2.multiply(canvas.coverage, keep, scale=1 / 255)
    canvas.yellow = cv2.multiply(canvas.yellow, keep, scale=1 / 255)
    return canvas


def _near(points: NDArray, radius_m: float) -> bool:
    low, high = points.min(0), points.max(0)
    return bool((low < radius_m).all() and (high > -radius_m).all())


def _pieces_near(points: NDArray, radius_m: float) -> list[NDArray]:
    """The parts of a polyline within the world's square, so that a city-long line is cheap."""
    window = shapely.box(-radius_m, -radius_m, radius_m, radius_m)
    inside = shapely.LineString(points).intersection(window)
    return [np.asarray(p.coords) for p in getattr(inside, "geoms", [inside]) if p.geom_type == "LineString" and p.length > 0.1]


def wear_layer(
    road_map: VectorMap, centre_m: NDArray, radius_m: float, cell_m: float, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Brightness of the road surface around 128: mottling, tyre tracks, repairs, seams, manholes. No map elements."""
    noise = 5.0 * tileable_noise(1024, rng, 1.3) + 4.0 * tileable_noise(1024, rng, 0.45)
    layer = np.tile(np.clip(128 + noise, 0, 255).astype(np.uint8), (-(-size // 1024), -(-size // 1024)))[:size, :size].copy()
    marks = np.zeros((size, size), np.uint8)
    half = size * cell_m / 2

    def pixels(points: NDArray) -> NDArray[np.int32]:
        return np.round(((points + half) / cell_m - 0.5) * 16).astype(np.int32)

    for centre in road_map.lane_centres_m:
        points = np.asarray(centre)[:, :2] - centre_m
        depth = int(rng.integers(0, 14))
        if len(points) < 2 or not _near(points, radius_m):
            continue
        for side in (-0.8, 0.8):
            cv2.polylines(
                marks, [pixels(offset_polyline(points, side))], False, depth, max(int(0.45 / cell_m), 1), shift=4
            )
    for line in road_map.dividers:
        points = np.asarray(line.points_m)[:, :2] - centre_m
        if line.paint == "none" and len(points) > 1 and _near(points, radius_m):
            cv2.polylines(marks, [pixels(points)], False, 16, 1, shift=4)
    marks = cv2.blur(marks, (max(int(0.4 / cell_m) | 1, 1),) * 2)
    for _ in range(int((radius_m / 8) ** 2 * 0.35)):
        middle, angle = rng.uniform(-half, half, 2), rng.uniform(0, np.pi)
        extent = rng.uniform((0.5, 0.4), (6.0, 1.6))
        box = cv2.boxPoints((tuple(middle), tuple(extent), float(np.degrees(angle))))
        cv2.fillPoly(marks, [pixels(box)], int(rng.integers(4, 34)), shift=4)
    for _ in range(int(radius_m * 0.9)):
        start = rng.uniform(-half, half, 2)
        steps = rng.normal(0, 1, (rng.integers(4, 14), 2)) * 0.5 + rng.normal(0, 1, 2)
        cv2.polylines(marks, [pixels(start + np.cumsum(steps, 0))], False, 45, 1, cv2.LINE_AA, shift=4)
    for _ in range(int(radius_m * 0.5)):
        middle = rng.uniform(-half, half, 2)
        cv2.circle(marks, tuple(pixels(middle).tolist()), int(0.33 / cell_m * 16), 50, -1, cv2.LINE_AA, shift=4)
    return cv2.subtract(layer, marks)


def verge_layers(
    road_map: VectorMap,
    centre_m: NDArray,
    edge_m: NDArray[np.float32],
    origin_m: tuple[float, float],
    conditions: Conditions,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], ...]:
    """Paved share, grass share and mottling of the ground off the road, at EDGE_CELL_M."""
    size = edge_m.shape[0]

    walkways = np.zeros((size, size), np.uint8)
    for polygon in road_map.walkways:
        points = np.asarray(polygon.exterior.coords)[:, :2] - centre_m
        if _near(points, -origin_m[0]):
            pixels = np.round(((points - origin_m) / EDGE_CELL_M - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(walkways, [pixels], 255, shift=4)
    tile = tileable_noise(size, rng, 1.2)
    district = tileable_noise(size, rng, 2.2, 2.0)
    green = {"brick": 0.9, "concrete": 0.2, "tropical": -0.5}[conditions.palette]
    width = 2.6 + 0.9 * np.clip(district, -1, 1)
    walk = np.clip((width - edge_m) / EDGE_CELL_M + 0.5, 0, 1)
    if conditions.palette == "tropical":  # grass between curb and path
        walk *= np.clip((edge_m - 1.4) / EDGE_CELL_M + 0.5, 0, 1)
    walk = np.maximum((walk * 255).astype(np.uint8), cv2.blur(walkways, (3, 3)))
    grass = np.clip((district + 0.5 * tile - green) * 4, 0, 1)
    mottle = np.clip(128 + 16 * tileable_noise(size, rng, 0.8) + 10 * tile, 0, 255)
    return walk, (grass * 255).astype(np.uint8), mottle.astype(np.uint8)
