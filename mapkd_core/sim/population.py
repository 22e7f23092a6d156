"""What stands and moves around the roads: buildings, trees, poles, parked and driving vehicles, people."""
from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mapkd_core.sim import solids as kinds
from mapkd_core.sim.conditions import Conditions
from mapkd_core.sim.paint import distances_along
from mapkd_core.sim.solids import Path, SolidsBuilder

WALLS = {
    "brick": ((0.22, 0.12, 0.09), (0.3, 0.2, 0.15), (0.2, 0.19, 0.18), (0.1, 0.12, 0.14), (0.36, 0.33, 0.28)),
    "concrete": ((0.34, 0.33, 0.31), (0.22, 0.22, 0.23), (0.13, 0.15, 0.18), (0.42, 0.38, 0.32), (0.26, 0.2, 0.17)),
    "tropical": ((0.5, 0.5, 0.49), (0.35, 0.36, 0.37), (0.22, 0.25, 0.28), (0.45, 0.42, 0.36), (0.15, 0.22, 0.33)),
}
CAR_COLORS = (
    (0.62, 0.62, 0.62), (0.35, 0.36, 0.37), (0.03, 0.03, 0.035), (0.1, 0.1, 0.11), (0.3, 0.04, 0.035),
    (0.04, 0.08, 0.2), (0.7, 0.69, 0.66), (0.45, 0.33, 0.05), (0.05, 0.12, 0.08),
)


def edge_places(road: BaseGeometry, spacing_m: float, offset_m: float, radius_m: float) -> NDArray[np.float64]:
    """(N, 4) x, y and unit tangent at regular places `offset_m` outside (negative: inside) the road's edge."""
    outline = road.buffer(offset_m, join_style="round") if offset_m else road
    places = []
    for part in getattr(outline, "geoms", [outline]):
        for ring in (part.exterior, *part.interiors) if part.geom_type == "Polygon" else ():
            count = int(ring.length // spacing_m)
            if count < 1:
                continue
            at = (np.arange(count) + 0.5) * spacing_m
            points = shapely.get_coordinates(shapely.line_interpolate_point(ring, at))
            ahead = shapely.get_coordinates(shapely.line_interpolate_point(ring, np.minimum(at + 0.5, ring.length)))
            tangent = ahead - points
            places.append(np.hstack([points, tangent / np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]]))
    found = np.concatenate(places) if places else np.zeros((0, 4))
    return found[(np.abs(found[:, :2]) < radius_m).all(1)]


def add_buildings(builder: SolidsBuilder, road: BaseGeometry, radius_m: float, conditions: Conditions, rng: np.random.Generator) -> None:
    """Blocks along the streets, never on the road or within its sidewalks, never into one another."""
    setback = float(rng.uniform(4.5, 9.0))
    density, height_scale = rng.uniform(0.55, 0.95), rng.uniform(0.7, 1.6)
    blocked = road.buffer(setback - 0.5)
    placed: list[shapely.Polygon] = []
    places = edge_places(road, 9.0, setback, radius_m)
    for x, y, tx, ty in places[rng.permutation(len(places))]:
        width, depth = rng.uniform(10, 34), rng.uniform(9, 20)
        if rng.random() > density:
            continue
        normal = np.array([-ty, tx])
        for side in (1, -1):
            middle = np.array([x, y]) + side * normal * (depth / 2 + 0.3)
            corners = middle + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * [width, depth] @ np.array([[tx, ty], normal])
            footprint = shapely.Polygon(corners)
            if footprint.intersects(blocked) or any(footprint.intersects(other) for other in placed):
                continue
            placed.append(footprint)
            height = float(np.clip(rng.lognormal(2.45, 0.55) * height_scale, 4, 90))
            wall = np.array(WALLS[conditions.palette][rng.integers(5)]) * rng.uniform(0.75, 1.25)
            glass = rng.uniform(0.015, 0.08) * np.array([0.8, 0.95, 1.1])
            pitch = (rng.uniform(1.6, 4.2), rng.uniform(3.0, 4.2), rng.uniform(0.3, 0.85), rng.uniform(0, 1))
            builder.add(
                kinds.BOX, (*middle, height / 2 - 0.5), (width / 2, depth / 2, height / 2 + 0.5), np.clip(wall, 0, 0.8),
                yaw=float(np.arctan2(ty, tx)), style=kinds.BUILDING, accent=glass, detail=pitch,
            )
            break


def add_trees_and_poles(builder: SolidsBuilder, road: BaseGeometry, radius_m: float, conditions: Conditions, rng: np.random.Generator) -> None:
    """Street trees, bushes, lamp posts, signs and bollards beside the curb."""
    lush = {"brick": 0.35, "concrete": 0.45, "tropical": 0.8}[conditions.palette] * rng.uniform(0.5, 1.2)
    shapely.prepare(road)
    for x, y, tx, ty in edge_places(road, 8.0, float(rng.uniform(1.2, 2.4)), radius_m):
        at = np.array([x, y]) + rng.normal(0, 0.25, 2)
        if rng.random() > lush or road.distance(shapely.Point(at)) < 0.6:
            continue
        trunk, crown = rng.uniform(2.0, 4.2), rng.uniform(1.3, 3.2)
        bark = np.array([0.12, 0.09, 0.07]) * rng.uniform(0.7, 1.4)
        leaf = np.array([0.055, 0.09, 0.03]) * rng.uniform(0.6, 1.5) + rng.uniform(0, 0.02, 3)
        builder.add(kinds.CYLINDER, (*at, trunk / 2), (0.14, 0.14, trunk / 2 + 0.4), bark, style=kinds.BARK)
        for _ in range(int(rng.integers(1, 4))):
            shift = rng.normal(0, 0.35, 3) * crown
            size = crown * rng.uniform(0.7, 1.1, 3)
            builder.add(kinds.ELLIPSOID, (*(at + shift[:2]), trunk + crown * 0.75 + 0.4 * shift[2]), size, leaf, style=kinds.FOLIAGE, detail=(rng.uniform(0, 9), 0, 0, 0))
    for x, y, tx, ty in edge_places(road, 27.0, 0.7, radius_m):
        grey = np.full(3, rng.uniform(0.05, 0.35))
        height = rng.uniform(6, 9.5)
        builder.add(kinds.CYLINDER, (x, y, height / 2), (0.09, 0.09, height / 2), grey, style=kinds.BARK)
        normal = np.array([ty, -tx])
        if shapely.contains_xy(road, *(np.array([x, y]) - 1.5 * normal)):
            normal = -normal
        builder.add(kinds.BOX, (*(np.array([x, y]) + 0.9 * normal), height), (0.9, 0.07, 0.06), grey, yaw=float(np.arctan2(normal[1], normal[0])), style=kinds.LAMP)
    for x, y, tx, ty in edge_places(road, 11.0, float(rng.uniform(0.5, 1.1)), radius_m):
        choice = rng.random()
        if choice < 0.1:
            builder.add(kinds.CYLINDER, (x, y, 1.2), (0.04, 0.04, 1.3), (0.3, 0.3, 0.3), style=kinds.BARK)
            builder.add(kinds.BOX, (x, y, 2.4), (0.03, 0.3, 0.35), rng.uniform(0.05, 0.6, 3), yaw=float(np.arctan2(ty, tx)), accent=(0.5, 0.5, 0.5))
        elif choice < 0.2:
            builder.add(kinds.CYLINDER, (x, y, 0.5), (0.08, 0.08, 0.5), rng.uniform(0.03, 0.4, 3), style=kinds.BARK)
        elif choice < 0.2 + 0.25 * lush:
            leaf = np.array([0.045, 0.075, 0.025]) * rng.uniform(0.7, 1.5)
            builder.add(kinds.ELLIPSOID, (x + ty * 0.8, y - tx * 0.8, 0.35), rng.uniform(0.45, 1.0, 3), leaf, style=kinds.FOLIAGE)


def add_vehicle(builder: SolidsBuilder, at: NDArray, yaw: float, rng: np.random.Generator, mover: int = -1) -> None:
    """A car, van, lorry or bus of two boxes; with a mover, `at` and `yaw` are relative to it."""
    choice = rng.random()
    color = np.array(CAR_COLORS[rng.integers(len(CAR_COLORS))]) * rng.uniform(0.8, 1.15)
    c, s = np.cos(yaw), np.sin(yaw)

    def part(style: int, x: float, length: float, width: float, low: float, high: float, paint: NDArray) -> None:
        builder.add(
            kinds.BOX, (at[0] + c * x, at[1] + s * x, (low + high) / 2), (length / 2, width / 2, (high - low) / 2), paint,
            yaw=yaw, style=style, accent=(0.02, 0.022, 0.026), detail=(low, 0.33, 0, 0), mover=mover,
        )

    if choice < 0.72:  # car
        length, width, waist = rng.uniform(3.9, 4.9), rng.uniform(1.72, 1.9), rng.uniform(0.82, 0.98)
        part(kinds.CAR_BODY, 0, length, width, 0.14, waist, color)
        part(kinds.CAR_CABIN, -0.2, length * 0.52, width * 0.86, waist - 0.06, waist + rng.uniform(0.5, 0.7), color)
    elif choice < 0.88:  # van or sport utility
        length, width = rng.uniform(4.6, 5.6), rng.uniform(1.85, 2.05)
        part(kinds.CAR_BODY, 0, length, width, 0.18, 1.15, color)
        part(kinds.CAR_CABIN, -0.35, length * 0.78, width * 0.94, 1.09, rng.uniform(1.75, 2.3), color)
    else:  # lorry or bus
        length, width, height = rng.uniform(7, 11.5), rng.uniform(2.3, 2.55), rng.uniform(2.7, 3.5)
        part(kinds.CAR_BODY, 0, length, width, 0.35, 1.3, color)
        part(kinds.CAR_CABIN if rng.random() < 0.5 else kinds.PLAIN, -0.1, length * 0.98, width * 1.004, 1.24, height, color)


def add_person(builder: SolidsBuilder, at: NDArray, rng: np.random.Generator, mover: int = -1) -> None:
    """A person 1.5 to 1.9 m tall."""
    height = rng.uniform(1.5, 1.9)
    builder.add(
        kinds.CYLINDER, (at[0], at[1], height * 0.43), (0.21, 0.21, height * 0.43), rng.uniform(0.03, 0.5, 3),
        style=kinds.PERSON, accent=rng.uniform(0.02, 0.15, 3), mover=mover,
    )
    builder.add(kinds.ELLIPSOID, (at[0], at[1], height * 0.93), (0.1, 0.1, 0.13), np.array([0.32, 0.2, 0.14]) * rng.uniform(0.4, 1.4), mover=mover)


def add_parked(builder: SolidsBuilder, road: BaseGeometry, no_parking: BaseGeometry, radius_m: float, rng: np.random.Generator, keep_clear: NDArray) -> None:
    """Vehicles along some stretches of curb, clear of crossings and of the ego's way."""
    density = rng.choice((0.0, 0.25, 0.6))
    stretch = 0.0
    shapely.prepare(no_parking)
    for index, (x, y, tx, ty) in enumerate(edge_places(road, 6.2, -1.25, radius_m)):
        if index % 8 == 0:
            stretch = density * rng.uniform(0, 1.6)
        yaw = float(np.arctan2(ty, tx) + (np.pi if rng.random() < 0.5 else 0) + rng.normal(0, 0.02))
        if rng.random() > stretch or no_parking.intersects(shapely.Point(x, y).buffer(3.5)):
            continue
        if len(keep_clear) and np.hypot(*(keep_clear[:, :2] - [x, y]).T).min() < 3.4:
            continue
        add_vehicle(builder, np.array([x, y]), yaw, rng)


def add_traffic(
    builder: SolidsBuilder, centres: list[NDArray], successors: tuple[tuple[int, ...], ...], radius_m: float,
    rng: np.random.Generator, keep_clear: NDArray,
) -> None:
    """Vehicles that follow lane centre lines; none comes within 7 m of the ego while it is there."""
    near = [i for i, c in enumerate(centres) if len(c) > 1 and (np.abs(c.mean(0)) < radius_m).all()]
    if not near:
        return
    for _ in range(int(rng.integers(4, 22))):
        lane = int(rng.choice(near))
        pieces, length = [centres[lane]], distances_along(centres[lane])[-1]
        while length < 160 and lane < len(successors) and successors[lane]:
            lane = int(rng.choice(successors[lane]))
            pieces.append(centres[lane])
            length += distances_along(centres[lane])[-1]
        points = np.concatenate(pieces)
        points = points[np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 0.05])]
        if len(points) < 2:
            continue
        length = distances_along(points)[-1]
        path = Path(points, float(rng.choice((0.0, rng.uniform(3, 12)), p=(0.2, 0.8))), float(rng.uniform(0, length)))
        if _meets(path, keep_clear, 7.0) or any(_meets_path(path, other) for other in builder.paths):
            continue
        builder.paths.append(path)
        add_vehicle(builder, np.zeros(2), 0.0, rng, len(builder.paths) - 1)


def _meets(path: Path, keep_clear: NDArray, distance_m: float) -> bool:
    if not len(keep_clear):
        return False
    at, _, present = path.pose(keep_clear[:, 2])
    return bool((present & (np.hypot(*(at - keep_clear[:, :2]).T) < distance_m)).any())


def _meets_path(path: Path, other: Path) -> bool:
    times = np.linspace(0, 20, 41)
    (at, _, here), (there, _, also) = path.pose(times), other.pose(times)
    return bool((here & also & (np.hypot(*(at - there).T) < 7)).any())


def add_people(
    builder: SolidsBuilder, road: BaseGeometry, crossings: list[shapely.Polygon], radius_m: float,
    rng: np.random.Generator, keep_clear: NDArray,
) -> None:
    """People who walk along the sidewalks and over the crossings."""
    for x, y, tx, ty in edge_places(road, 13.0, float(rng.uniform(1.2, 3.0)), radius_m):
        if rng.random() < 0.22:
            way = np.array([[x, y], [x, y]]) + np.outer([-6, 6], [tx, ty]) * rng.choice((-1, 1))
            builder.paths.append(Path(way, float(rng.uniform(0.0, 0.3)), float(rng.uniform(3, 8))))
            add_person(builder, np.zeros(2), rng, len(builder.paths) - 1)
    for crossing in crossings:
        for _ in range(int(rng.integers(0, 3))):
            box = np.asarray(crossing.minimum_rotated_rectangle.exterior.coords)[:4]
            long = int(np.hypot(*(box[1] - box[0])) < np.hypot(*(box[2] - box[1])))
            share = rng.uniform(0.2, 0.8)
            a = box[long] * share + box[(long + 3) % 4] * (1 - share)
            b = box[(long + 1) % 4] * share + box[(long + 2) % 4] * (1 - share)
            length = float(np.hypot(*(b - a)))
            if length < 3:
                continue
            path = Path(np.stack([a, b] if rng.random() < 0.5 else [b, a]), float(rng.uniform(0.8, 1.5)), float(rng.uniform(-4, length)))
            if not _meets(path, keep_clear, 3.5):
                builder.paths.append(path)
                add_person(builder, np.zeros(2), rng, len(builder.paths) - 1)
