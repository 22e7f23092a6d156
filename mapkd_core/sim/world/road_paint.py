"""All paint of a road map around a place, in the state that the conditions say."""
from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.data.polylines import Range, clip_polylines
from mapkd_core.geometry import distances_along, points_at
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.ground import near_square
from mapkd_core.sim.world.paint import STOP_WIDTH_M, PaintCanvas
from mapkd_core.sim.world.textures import tileable_noise
from mapkd_core.vector_map import VectorMap

ARROW_SHARE = 0.3
"""Share of long lanes with an arrow before their end."""


def paint_layers(
    road_map: VectorMap, centre_m: NDArray, cell_m: float, size: int, conditions: Conditions, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Paints lines, crossings and arrows on a square of `size` cells around `centre_m`.

    Returns coverage by fresh paint and by yellow paint, and how much of it has not worn off, a tile that repeats; 255
    for all.
    """
    half = size * cell_m / 2
    canvas = PaintCanvas(size, cell_m)
    _paint_lines(canvas, road_map, centre_m, half, conditions, rng)
    lanes = [np.asarray(line)[:, :2] - centre_m for line in road_map.lane_centres_m]
    lanes = [lane for lane in lanes if len(lane) > 1 and near_square(lane, half)]
    _paint_crossings(canvas, road_map, lanes, centre_m, half, conditions, rng)
    for lane in lanes:
        along = distances_along(lane)
        if rng.random() < ARROW_SHARE and along[-1] > 20:
            tail, ahead = points_at(lane, along[-1] - np.array([9.0, 8.0]))
            canvas.arrow(tail, (ahead - tail) / max(np.hypot(*(ahead - tail)), 1e-9), int(rng.integers(-1, 2)))
    # Wear eats holes: where the noise is high enough, paint is gone; fresh paint has none.
    worn = conditions.paint_wear
    noise = tileable_noise(512, rng, 1.1) + 0.8 * tileable_noise(512, rng, 0.3)
    lost = np.clip((0.8 * noise + 2.6 * worn**0.5 - 2.6) * 1.2, 0, 0.9 + 0.1 * worn) * min(1.0, 4 * worn)
    return *canvas.layers(), ((1 - lost) * 255).astype(np.uint8)


def _paint_lines(
    canvas: PaintCanvas, road_map: VectorMap, centre_m: NDArray, half: float, conditions: Conditions,
    rng: np.random.Generator,
) -> None:
    window = Range((-half, half), (-half, half))
    for line in road_map.lines:
        fade, phase = rng.uniform(0.0, 0.35), rng.uniform(0, 9)
        points = np.asarray(line.points_m)[:, :2] - centre_m
        if line.paint == "none" or not near_square(points, half):
            continue
        strength = float(np.clip(1 - line.wear - fade * conditions.paint_wear, 0.12, 1))
        for piece in clip_polylines([points], window):  # a city-long line costs only its part here
            near = piece.points_m
            if distances_along(near)[-1] < 0.1:
                continue
            if line.layer == "stop_line":
                canvas.polyline(near, STOP_WIDTH_M, strength, line.color == "yellow")
            else:
                canvas.line(near, line.paint, line.color, strength, phase)


def _paint_crossings(
    canvas: PaintCanvas, road_map: VectorMap, lanes: list[NDArray], centre_m: NDArray, half: float,
    conditions: Conditions, rng: np.random.Generator,
) -> None:
    middles = np.concatenate([(lane[:-1] + lane[1:]) / 2 for lane in lanes]) if lanes else np.zeros((0, 2))
    headings = np.concatenate([np.diff(lane, axis=0) for lane in lanes]) if lanes else np.zeros((0, 2))
    style = str(rng.choice(("zebra", "lines", "ladder"), p=(0.5, 0.25, 0.25)))
    for crossing in road_map.crossings:
        fade = rng.uniform(0.0, 0.4)
        polygon = shapely.transform(crossing, lambda xy: xy - centre_m)
        if not near_square(np.asarray(polygon.exterior.coords), half):
            continue
        traffic = None
        if len(middles):
            away = np.hypot(*(middles - np.asarray(polygon.centroid.coords)[0]).T)
            nearest = int(np.argmin(away))
            if away[nearest] < 8:
                traffic = headings[nearest] / max(np.hypot(*headings[nearest]), 1e-9)
        canvas.crossing(polygon, traffic, style, 1 - fade * conditions.paint_wear)
