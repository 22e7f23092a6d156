"""A hand-made road for the simulator's tests: straight along x, 12 m wide, with a stop line and a crossing."""
from __future__ import annotations

import numpy as np
from shapely import Polygon, box

from mapkd_core.geometry import transform
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.world import World, build_world
from mapkd_core.vector_map import MapLine, VectorMap

CENTRE_M = np.array([1000.0, 500.0])
HALF_ROAD_M = 6.0
STOP_X_M = 12.0
CROSSING = box(16.0, -5.5, 20.0, 5.5)
PLAIN = Conditions(weather="overcast", noise=0.0, vignetting=0.0, paint_wear=0.0, visibility_m=1e9)
BASE_FROM_FRONT = transform((0.0, 0.0, 1.5), (0.5, -0.5, 0.5, -0.5))
"""A camera 1.5 m over the ground that looks along x: optical x is -y, optical y is -z."""
INTRINSICS = np.array([[1266.0, 0, 799.5], [0, 1266.0, 449.5], [0, 0, 1]])


def at(x: float, y: float) -> np.ndarray:
    """Map coordinates of a place given relative to the world's centre."""
    return CENTRE_M + (x, y)


def road_map(crossing: bool = True) -> VectorMap:
    def moved(polygon: Polygon) -> Polygon:
        return Polygon(np.asarray(polygon.exterior.coords) + CENTRE_M)

    def line(points: list[tuple[float, float]], **kind: str) -> MapLine:
        return MapLine(np.array(points) + CENTRE_M, **kind)  # type: ignore[arg-type]

    return VectorMap(
        "straight",
        lines=(
            line([(-150, 0), (STOP_X_M, 0)], layer="road_divider", paint="double", color="yellow"),
            line([(-150, 3.2), (150, 3.2)], paint="dashed"),
            line([(-150, -3.2), (150, -3.2)], paint="solid"),
            line([(STOP_X_M, -6), (STOP_X_M, 0)], layer="stop_line"),
        ),
        crossings=(moved(CROSSING),) if crossing else (),
        road_segments=(moved(box(-150, -HALF_ROAD_M, 150, HALF_ROAD_M)),),
        lane_centres_m=tuple(np.array([(-150, y), (150, y)]) + CENTRE_M for y in (-4.6, -1.6)),
        lane_successors=((), ()),
    )


def world(conditions: Conditions = PLAIN, bare: bool = True, seed: int = 3, **kwargs: object) -> World:
    return build_world(
        road_map(), CENTRE_M, 60.0, conditions, seed,
        buildings_and_plants=not bare, people_and_vehicles=not bare, **kwargs,  # type: ignore[arg-type]
    )


def camera_pose(x: float = 0.0, y: float = 0.0, yaw: float = 0.0, z: float = 0.0) -> np.ndarray:
    """`map_from_camera` of the front camera on a vehicle at (x, y) relative to the centre."""
    half = yaw / 2
    return transform((*at(x, y), z), (np.cos(half), 0, 0, np.sin(half))) @ BASE_FROM_FRONT
