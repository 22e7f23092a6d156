"""A piece of the world around some roads: ground layers, terrain and solids, built once for many images."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import shapely
import torch
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from mapkd_core.sim.kernel import tell_if_new
from mapkd_core.sim.world import roadside, traffic
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.ground import EDGE_CELL_M, Ground, edge_distance_m, local_road, verge_texture, wear_layers
from mapkd_core.sim.world.road_paint import paint_layers
from mapkd_core.sim.world.shadows import contact_layer, light_layer
from mapkd_core.sim.world.solids import Poses, Solids, SolidsBuilder
from mapkd_core.sim.world.terrain import Terrain
from mapkd_core.sim.world.textures import PackedTexture, tileable_noise
from mapkd_core.vector_map import VectorMap


@dataclass(frozen=True, eq=False)
class World:
    """Everything a ray can hit. Coordinates inside are metres from `centre_m` of the map frame, in float32."""

    centre_m: NDArray[np.float64]
    """(2,) in the map frame."""
    radius_m: float
    """Half the side of the square that has ground layers."""
    conditions: Conditions
    seed: int
    ground: Ground
    terrain: Terrain
    solids: Solids
    curb_m: float
    """Height of the curbs and sidewalks over the road."""
    asphalt: tuple[float, float, float]
    """Mean reflectance of the road."""
    noise: torch.Tensor
    """(n, n) tileable, mean 0, deviation 1: clouds, leaves, grain."""

    def height_m(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Height (...) of the road's surface at map points (..., 2); 0 everywhere on flat terrain."""
        return self.terrain.height_m(np.asarray(xy, np.float64) - self.centre_m)

    def slope(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Rise over run along map x and y (..., 2) at map points (..., 2), for the ego's pitch and roll."""
        return self.terrain.slope(np.asarray(xy, np.float64) - self.centre_m)

    def poses(self, times_s: NDArray) -> Poses:
        """Centres (V, S, 3), yaws (V, S) and presence (V, S) of all solids at V times."""
        centre, yaw, present = self.solids.poses(times_s)
        moving = self.solids.mover >= 0
        if self.terrain.waves and moving.any():
            centre[:, moving, 2] += self.terrain.height_m(centre[:, moving, :2])
        return centre, yaw, present

    def covers(self, xy: ArrayLike, margin_m: float = 60.0) -> bool:
        """Whether all map points (..., 2) lie so far inside that a camera there sees no end of the world."""
        return bool((np.abs(np.asarray(xy) - self.centre_m) <= self.radius_m - margin_m).all())


def build_world(
    road_map: VectorMap,
    centre_m: ArrayLike,
    radius_m: float,
    conditions: Conditions,
    seed: int,
    *,
    keep_clear: ArrayLike | None = None,
    cell_m: float = 0.05,
    people_and_vehicles: bool = True,
    buildings_and_plants: bool = True,
) -> World:
    """Builds the world around `centre_m` (x, y in the map frame); the same arguments give the same world.

    `keep_clear` (K, 3) lists the ego's x, y (map frame) and time in seconds: no vehicle or person comes there then.
    `cell_m` is the finest cell of the painted ground: 0.05 for 900x1600 images, 0.08 is enough for 128x352.
    Raises ValueError when there is no road within the radius.
    """
    from mapkd_core.sim.world.compiled.layers import surface

    centre = np.asarray(centre_m, np.float64)[:2]
    rng = np.random.default_rng([seed, 20])
    reach = radius_m + 15
    window = shapely.box(*(centre - reach), *(centre + reach))
    road = shapely.transform(local_road(road_map, window), lambda xy: xy - centre)
    if road.is_empty:
        place = centre.round(1).tolist()
        raise ValueError(f"map {road_map.name!r} has no road within {radius_m:.0f} m of {place}; move it")
    # All layers share one square: a whole number of blocks of 64 cells, which halve six times.
    edge_size = int(np.ceil(2 * radius_m / EDGE_CELL_M / 64)) * 64
    half = edge_size * EDGE_CELL_M / 2
    size = int(np.ceil(2 * half / cell_m / 64)) * 64
    cell_m = 2 * half / size
    origin = (-half, -half)
    ego = np.zeros((0, 3)) if keep_clear is None else np.array(keep_clear, np.float64).reshape(-1, 3)
    ego[:, :2] -= centre
    tell_if_new("distances.signed_cells")
    paint = paint_layers(road_map, centre, cell_m, size, conditions, np.random.default_rng([seed, 1]))
    wear = wear_layers(road_map, centre, cell_m, size, np.random.default_rng([seed, 2]))
    edge = edge_distance_m(road, edge_size)
    terrain = Terrain.sample(conditions.slope, rng)
    curb_m = float(rng.uniform(0.12, 0.18))
    gray = float(rng.uniform(0.075, 0.2))
    asphalt = (gray, gray * float(rng.uniform(0.96, 1.0)), gray * float(rng.uniform(0.88, 1.0)))
    crossings = [shapely.transform(c, lambda xy: xy - centre) for c in road_map.crossings if c.intersects(window)]
    builder = SolidsBuilder()
    if buildings_and_plants:
        _add_roadside(builder, road, crossings, half, conditions, ego, seed)
    if people_and_vehicles:
        _add_traffic(builder, road, crossings, road_map, half, centre, ego, seed)
    solids = builder.build()
    still = solids.mover < 0
    solids.centre_m[still, 2] += terrain.height_m(solids.centre_m[still, :2]).astype(np.float32)
    light = light_layer(solids, conditions, cell_m, size)
    contact = contact_layer(solids, cell_m, size)
    sky_share = np.asarray(cv2.resize(contact, edge.shape, interpolation=cv2.INTER_AREA), np.uint8)
    verge = verge_texture(road_map, centre, edge, sky_share, conditions, np.random.default_rng([seed, 3]))
    covered = PackedTexture(size, origin, cell_m, lambda texels: surface(*paint, *wear, contact, light, texels))
    return World(
        centre, half, conditions, seed,
        Ground(covered, verge, torch.from_numpy(edge), origin),
        terrain, solids, curb_m, asphalt,
        torch.from_numpy(tileable_noise(512, np.random.default_rng([seed, 9]), 1.4)),
    )


def _add_roadside(
    builder: SolidsBuilder, road: BaseGeometry, crossings: list[shapely.Polygon], half: float, conditions: Conditions,
    ego: NDArray, seed: int,
) -> None:
    shapely.prepare(road)
    roadside.add_buildings(builder, road, half, conditions, np.random.default_rng([seed, 4]))
    roadside.add_plants(builder, road, half, conditions, np.random.default_rng([seed, 5]))
    roadside.add_street_furniture(builder, road, half, np.random.default_rng([seed, 10]))
    roadside.add_traffic_lights(builder, road, crossings, np.random.default_rng([seed, 11]))
    roadside.add_fences(builder, road, half, np.random.default_rng([seed, 12]))
    roadside.add_road_works(builder, road, half, ego, np.random.default_rng([seed, 13]))


def _add_traffic(
    builder: SolidsBuilder, road: BaseGeometry, crossings: list[shapely.Polygon], road_map: VectorMap, half: float,
    centre: NDArray, ego: NDArray, seed: int,
) -> None:
    no_parking = shapely.union_all([c.buffer(6) for c in crossings]) if crossings else shapely.Polygon()
    lanes = [np.asarray(line)[:, :2] - centre for line in road_map.lane_centres_m]
    traffic.add_parked(builder, road, no_parking, half, ego, np.random.default_rng([seed, 6]))
    traffic.add_traffic(builder, lanes, road_map.lane_successors, half, ego, np.random.default_rng([seed, 7]))
    traffic.add_people(builder, road, crossings, half, ego, np.random.default_rng([seed, 8]))
