"""What stands beside the road: buildings, trees, lamps, signs, fences, hedges, and barriers of road works."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mapkd_core.geometry import distances_along
from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.solids import SolidsBuilder

WALLS = {
    "brick": ((0.22, 0.12, 0.09), (0.3, 0.2, 0.15), (0.2, 0.19, 0.18), (0.1, 0.12, 0.14), (0.36, 0.33, 0.28)),
    "concrete": ((0.34, 0.33, 0.31), (0.22, 0.22, 0.23), (0.13, 0.15, 0.18), (0.42, 0.38, 0.32), (0.26, 0.2, 0.17)),
    "tropical": ((0.5, 0.5, 0.49), (0.35, 0.36, 0.37), (0.22, 0.25, 0.28), (0.45, 0.42, 0.36), (0.15, 0.22, 0.33)),
}
STEEL = (0.28, 0.29, 0.3)


@dataclass(frozen=True)
class Place:
    """A place at a fixed distance from the road's edge."""

    at: NDArray[np.float64]
    """(2,)."""
    along: NDArray[np.float64]
    """Unit tangent of the edge."""
    to_road: NDArray[np.float64]
    """Unit normal that points towards the road's inside."""

    @property
    def yaw(self) -> float:
        """Heading of the edge."""
        return float(np.arctan2(self.along[1], self.along[0]))


def edge_places(road: BaseGeometry, spacing_m: float, offset_m: float, half_m: float) -> list[Place]:
    """Places every `spacing_m`, `offset_m` outside (negative: inside) the road's edge, within the world's square."""
    outline = shapely.normalize(road.buffer(offset_m, join_style="round"))
    places = []
    for part in getattr(outline, "geoms", [outline]):
        if not isinstance(part, shapely.Polygon) or part.is_empty:
            continue
        part = shapely.geometry.polygon.orient(part)  # the road then lies to the left of every ring
        for ring in (part.exterior, *part.interiors):
            steps = np.asarray((np.arange(int(ring.length // spacing_m)) + 0.5) * spacing_m, np.float64)
            vertices = shapely.get_coordinates(ring)
            arcs = distances_along(vertices)
            farther = np.asarray(np.minimum(steps + 0.5, ring.length), np.float64)
            at, ahead = _on_ring(vertices, arcs, steps), _on_ring(vertices, arcs, farther)
            tangent = ahead - at
            length = np.hypot(tangent[:, 0], tangent[:, 1])
            fine = (length > 1e-6) & (np.abs(at) < half_m).all(1)
            along = tangent[fine] / length[fine, None]
            to_road = np.stack([-along[:, 1], along[:, 0]], 1)
            places += [Place(*place) for place in zip(at[fine], along, to_road, strict=True)]
    return places


def _on_ring(vertices: NDArray[np.float64], arcs: NDArray[np.float64], at: NDArray) -> NDArray[np.float64]:
    """Points at distances along a line, to the last bit where `shapely.line_interpolate_point` has them.

    That walks along the whole line for each of them.
    """
    segment = np.minimum(np.searchsorted(arcs[1:], at, side="right"), len(vertices) - 2)
    start, along = vertices[segment], vertices[segment + 1] - vertices[segment]
    length = np.sqrt(along[:, 0] * along[:, 0] + along[:, 1] * along[:, 1])
    share = np.clip((at - arcs[segment]) / length, 0, 1)[:, None]
    return np.where(share >= 1, start + along, along * share + start)


def add_buildings(
    builder: SolidsBuilder, road: BaseGeometry, half_m: float, conditions: Conditions, rng: np.random.Generator
) -> None:
    """Blocks along the streets, never on the road or its sidewalks, never into one another."""
    setback = float(rng.uniform(4.5, 9.0))
    density, scale = rng.uniform(0.55, 0.95), rng.uniform(0.7, 1.6)
    blocked = road.buffer(setback - 0.5)
    shapely.prepare(blocked)
    placed: list[shapely.Polygon] = []
    places = edge_places(road, 9.0, setback, half_m)
    for index in rng.permutation(len(places)):
        place = places[index]
        width, depth, height = rng.uniform(10, 34), rng.uniform(9, 20), float(rng.lognormal(2.45, 0.55) * scale)
        if rng.random() > density:
            continue
        middle = place.at - place.to_road * (depth / 2 + 0.3)
        corners = [middle + i * width * place.along + j * depth * place.to_road for i, j in _UNIT_SQUARE]
        footprint = shapely.Polygon(corners)
        if blocked.intersects(footprint) or any(footprint.intersects(other) for other in placed):
            continue
        placed.append(footprint)
        _add_building(builder, middle, (width, depth, float(np.clip(height, 4, 90))), place.yaw, conditions, rng)


_UNIT_SQUARE = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))


def _add_building(
    builder: SolidsBuilder, middle: NDArray, size: tuple[float, float, float], yaw: float, conditions: Conditions,
    rng: np.random.Generator,
) -> None:
    width, depth, height = size
    wall = np.clip(np.array(WALLS[conditions.palette][rng.integers(5)]) * rng.uniform(0.75, 1.25), 0, 0.8)
    glass = rng.uniform(0.015, 0.08) * np.array([0.8, 0.95, 1.1])
    pitch = (rng.uniform(1.6, 4.2), rng.uniform(3.0, 4.2), rng.uniform(0.3, 0.85), rng.uniform(0, 1))
    for share, low, top in ((1.0, -1.0, height), (rng.uniform(0.4, 0.8), height, height * rng.uniform(1.02, 1.5))):
        builder.add(
            kinds.BOX, (*middle, (low + top) / 2), (share * width / 2, share * depth / 2, (top - low) / 2), wall,
            yaw=yaw, style=kinds.BUILDING, accent=glass, detail=pitch,
        )
        if rng.random() < 0.5:  # half of the buildings have no smaller block on top
            break
    if rng.random() < 0.35:  # a canopy or a row of signs over the ground floor
        out = np.array([np.sin(yaw), -np.cos(yaw)]) * -(depth / 2 + 0.5)
        color = rng.uniform(0.05, 0.5, 3)
        builder.add(kinds.BOX, (*(middle + out), 3.7), (width * 0.4, 0.5, rng.uniform(0.06, 0.4)), color, yaw=yaw)


def add_plants(
    builder: SolidsBuilder, road: BaseGeometry, half_m: float, conditions: Conditions, rng: np.random.Generator
) -> None:
    """Street trees, bushes and hedges."""
    lush = {"brick": 0.35, "concrete": 0.45, "tropical": 0.8}[conditions.palette] * rng.uniform(0.4, 1.2)
    for place in edge_places(road, 8.0, float(rng.uniform(1.2, 2.4)), half_m):
        at = place.at + rng.normal(0, 0.25, 2)
        if rng.random() < lush and road.distance(shapely.Point(at)) > 0.6:
            _add_tree(builder, at, rng)
    for place in edge_places(road, 5.0, float(rng.uniform(3.4, 4.5)), half_m):
        leaf = np.array([0.05, 0.075, 0.03]) * rng.uniform(0.7, 1.5)
        choice = rng.random()
        if choice < 0.25 * lush:
            size = rng.uniform(0.5, 1.1, 3)
            builder.add(kinds.ELLIPSOID, (*place.at, 0.4), size, leaf, style=kinds.FOLIAGE)
        elif choice < 0.5 * lush:
            height = rng.uniform(0.35, 0.8)
            builder.add(
                kinds.BOX, (*place.at, height), (2.5, 0.4, height), leaf, yaw=place.yaw, style=kinds.FOLIAGE
            )


def _add_tree(builder: SolidsBuilder, at: NDArray, rng: np.random.Generator) -> None:
    trunk, crown = rng.uniform(2.0, 4.2), rng.uniform(1.3, 3.0)
    bark = np.array([0.12, 0.09, 0.07]) * rng.uniform(0.7, 1.4)
    leaf = np.array([0.06, 0.09, 0.035]) * rng.uniform(0.6, 1.6) + rng.uniform(0, 0.02, 3)
    builder.add(kinds.CYLINDER, (*at, trunk / 2 + 0.4), (0.14, 0.14, trunk / 2 + 0.4), bark, style=kinds.BARK)
    for _ in range(int(rng.integers(2, 5))):
        shift = rng.normal(0, 0.4, 3) * crown
        centre = (*(at + shift[:2]), trunk + crown * 0.75 + 0.5 * shift[2])
        size = crown * rng.uniform(0.55, 0.95, 3)
        shade = leaf * rng.uniform(0.85, 1.2)
        builder.add(kinds.ELLIPSOID, centre, size, shade, style=kinds.FOLIAGE, detail=(rng.uniform(0, 9), 0, 0, 0))


def add_street_furniture(
    builder: SolidsBuilder, road: BaseGeometry, half_m: float, rng: np.random.Generator
) -> None:
    """Street lamps, signs and bollards beside the curb."""
    for place in edge_places(road, 27.0, 0.7, half_m):
        gray, height = np.full(3, rng.uniform(0.05, 0.35)), rng.uniform(6, 9.5)
        arm = float(np.arctan2(place.to_road[1], place.to_road[0]))
        builder.add(kinds.CYLINDER, (*place.at, height / 2), (0.09, 0.09, height / 2), gray, style=kinds.BARK)
        head = (*(place.at + 0.9 * place.to_road), height)
        builder.add(kinds.BOX, head, (0.9, 0.07, 0.06), gray, yaw=arm, style=kinds.LAMP)
    for place in edge_places(road, 11.0, float(rng.uniform(0.5, 1.1)), half_m):
        choice = rng.random()
        if choice < 0.1:
            builder.add(kinds.CYLINDER, (*place.at, 1.2), (0.04, 0.04, 1.2), STEEL, style=kinds.BARK)
            builder.add(kinds.BOX, (*place.at, 2.4), (0.03, 0.3, 0.35), rng.uniform(0.05, 0.6, 3), yaw=place.yaw)
        elif choice < 0.2:
            color = rng.uniform(0.03, 0.4, 3)
            builder.add(kinds.CYLINDER, (*place.at, 0.5), (0.08, 0.08, 0.5), color, style=kinds.BARK)


def add_traffic_lights(
    builder: SolidsBuilder, road: BaseGeometry, crossings: list[shapely.Polygon], rng: np.random.Generator
) -> None:
    """Signal posts at the ends of some crossings, off the road."""
    outline = road.boundary
    for crossing in crossings:
        if rng.random() < 0.5 or outline.is_empty:
            continue
        near = outline.interpolate(outline.project(crossing.centroid))
        away = np.array([near.x - crossing.centroid.x, near.y - crossing.centroid.y])
        at = np.array([near.x, near.y]) + away / max(float(np.hypot(*away)), 1e-6) * 0.6
        if shapely.contains_xy(road, *at):
            continue
        yaw = float(np.arctan2(away[1], away[0]))
        builder.add(kinds.CYLINDER, (*at, 1.9), (0.07, 0.07, 1.9), STEEL, style=kinds.BARK)
        builder.add(kinds.BOX, (*at, 3.3), (0.16, 0.16, 0.45), (0.03, 0.03, 0.03), yaw=yaw)


def add_fences(builder: SolidsBuilder, road: BaseGeometry, half_m: float, rng: np.random.Generator) -> None:
    """Railings or guard rails along some stretches of curb: rails between posts, which one can look through."""
    share, running = float(rng.choice((0.0, 0.12, 0.35))), False
    guard = rng.random() < 0.4
    for index, place in enumerate(edge_places(road, 3.0, 0.45, half_m)):
        if index % 8 == 0:
            running = rng.random() < share
        if not running:
            continue
        rails = ((0.55, 0.16),) if guard else ((0.3, 0.03), (0.62, 0.03), (0.95, 0.04))
        for height, thick in rails:
            builder.add(kinds.BOX, (*place.at, height), (1.52, 0.04, thick), STEEL, yaw=place.yaw)
        post = place.at + 1.5 * place.along
        builder.add(kinds.BOX, (*post, 0.48), (0.05, 0.05, 0.48), STEEL, yaw=place.yaw)


def add_road_works(
    builder: SolidsBuilder, road: BaseGeometry, half_m: float, keep_clear: NDArray, rng: np.random.Generator
) -> None:
    """In some worlds a row of barriers and cones stands on the road: an edge that the map does not know."""
    if rng.random() > 0.3:
        return
    places = edge_places(road, 1.6, -float(rng.uniform(0.6, 1.6)), half_m)
    if not places:
        return
    begin, orange = int(rng.integers(len(places))), (0.55, 0.13, 0.05)
    for place in places[begin : begin + int(rng.integers(6, 26))]:
        if len(keep_clear) and np.hypot(*(keep_clear[:, :2] - place.at).T).min() < 2.6:
            continue
        if rng.random() < 0.75:
            builder.add(
                kinds.BOX, (*place.at, 0.45), (0.78, 0.22, 0.45), orange, yaw=place.yaw, style=kinds.BARRIER,
                accent=(0.6, 0.6, 0.58), detail=(3.2, 0, 0, 0),
            )
        else:
            builder.add(kinds.CYLINDER, (*place.at, 0.35), (0.13, 0.13, 0.35), orange, style=kinds.BARK)
