"""Who uses the road: parked and driving vehicles, and people on sidewalks and crossings."""
from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mapkd_core.geometry import distances_along
from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.paint import long_and_short_axes
from mapkd_core.sim.world.roadside import edge_places
from mapkd_core.sim.world.solids import Path, SolidsBuilder

CAR_COLORS = (
    (0.62, 0.62, 0.62), (0.35, 0.36, 0.37), (0.03, 0.03, 0.035), (0.1, 0.1, 0.11), (0.3, 0.04, 0.035),
    (0.04, 0.08, 0.2), (0.7, 0.69, 0.66), (0.45, 0.33, 0.05), (0.05, 0.12, 0.08),
)
GLASS = (0.02, 0.022, 0.026)
EGO_GAP_M = 7.0
"""No moving vehicle's centre comes closer to the ego's `base_link`."""


def add_vehicle(builder: SolidsBuilder, at: NDArray, yaw: float, rng: np.random.Generator, mover: int = -1) -> None:
    """A car, van, lorry or bus of two boxes; with a mover, `at` and `yaw` are relative to it."""
    choice = rng.random()
    color = np.array(CAR_COLORS[rng.integers(len(CAR_COLORS))]) * rng.uniform(0.8, 1.15)
    c, s = np.cos(yaw), np.sin(yaw)

    def part(style: int, x: float, size: tuple[float, float], low: float, high: float) -> None:
        builder.add(
            kinds.BOX, (at[0] + c * x, at[1] + s * x, (low + high) / 2), (size[0] / 2, size[1] / 2, (high - low) / 2),
            color, yaw=yaw, style=style, accent=GLASS, detail=(low, 0.33, 0, 0), mover=mover,
        )

    # The upper box reaches a little into the lower one, so that no gap shows.
    if choice < 0.72:  # car
        length, width, waist = rng.uniform(3.9, 4.9), rng.uniform(1.72, 1.9), rng.uniform(0.82, 0.98)
        part(kinds.CAR_BODY, 0, (length, width), 0.14, waist)
        part(kinds.CAR_CABIN, -0.2, (length * 0.52, width * 0.86), waist - 0.06, waist + rng.uniform(0.5, 0.7))
    elif choice < 0.88:  # van or sport utility
        length, width = rng.uniform(4.6, 5.6), rng.uniform(1.85, 2.05)
        part(kinds.CAR_BODY, 0, (length, width), 0.18, 1.15)
        part(kinds.CAR_CABIN, -0.35, (length * 0.78, width * 0.94), 1.09, rng.uniform(1.75, 2.3))
    else:  # lorry or bus
        length, width, height = rng.uniform(7, 11.5), rng.uniform(2.3, 2.55), rng.uniform(2.7, 3.5)
        part(kinds.CAR_BODY, 0, (length, width), 0.35, 1.3)
        bus = rng.random() < 0.5
        part(kinds.CAR_CABIN if bus else kinds.PLAIN, -0.1, (length * 0.98, width * 1.004), 1.24, height)


def add_person(builder: SolidsBuilder, rng: np.random.Generator, mover: int) -> None:
    """A moving person 1.5 to 1.9 m tall."""
    height = rng.uniform(1.5, 1.9)
    half = (0.21, 0.21, height * 0.43)
    builder.add(
        kinds.CYLINDER, (0, 0, height * 0.43), half, rng.uniform(0.03, 0.5, 3), style=kinds.PERSON,
        accent=rng.uniform(0.02, 0.15, 3), mover=mover,
    )
    skin = np.array([0.32, 0.2, 0.14]) * rng.uniform(0.4, 1.4)
    builder.add(kinds.ELLIPSOID, (0, 0, height * 0.93), (0.1, 0.1, 0.13), skin, mover=mover)


def add_parked(
    builder: SolidsBuilder, road: BaseGeometry, no_parking: BaseGeometry, half_m: float, keep_clear: NDArray,
    rng: np.random.Generator,
) -> None:
    """Vehicles along some stretches of curb, clear of crossings and of the ego's way."""
    density, stretch = float(rng.choice((0.0, 0.25, 0.6))), 0.0
    shapely.prepare(no_parking)
    for index, place in enumerate(edge_places(road, 6.2, -1.25, half_m)):
        if index % 8 == 0:
            stretch = density * rng.uniform(0, 1.6)
        yaw = place.yaw + (np.pi if rng.random() < 0.5 else 0) + rng.normal(0, 0.02)
        if rng.random() > stretch or no_parking.intersects(shapely.Point(place.at).buffer(3.5)):
            continue
        if len(keep_clear) and np.hypot(*(keep_clear[:, :2] - place.at).T).min() < 3.4:
            continue
        add_vehicle(builder, place.at, yaw, rng)


def add_traffic(
    builder: SolidsBuilder, lanes: list[NDArray], successors: tuple[tuple[int, ...], ...], half_m: float,
    keep_clear: NDArray, rng: np.random.Generator,
) -> None:
    """Vehicles that follow lane centre lines and meet neither one another nor the ego."""
    near = [i for i, lane in enumerate(lanes) if len(lane) > 1 and (np.abs(lane.mean(0)) < half_m).all()]
    if not near:
        return
    for _ in range(int(rng.integers(4, 22))):
        points = _way(int(rng.choice(near)), lanes, successors, rng)
        if len(points) < 2:
            continue
        speed = float(rng.choice((0.0, rng.uniform(3, 12)), p=(0.2, 0.8)))
        path = Path(points, speed, float(rng.uniform(0, distances_along(points)[-1])))
        if _meets_ego(path, keep_clear, EGO_GAP_M) or any(_meet(path, other) for other in builder.paths):
            continue
        builder.paths.append(path)
        add_vehicle(builder, np.zeros(2), 0.0, rng, len(builder.paths) - 1)


def _way(
    lane: int, lanes: list[NDArray], successors: tuple[tuple[int, ...], ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """About 160 m (N, 2) along a lane and those that continue it."""
    pieces, length = [lanes[lane]], distances_along(lanes[lane])[-1]
    while length < 160 and lane < len(successors) and successors[lane]:
        lane = int(rng.choice(successors[lane]))
        pieces.append(lanes[lane])
        length += distances_along(lanes[lane])[-1]
    points = np.concatenate(pieces)
    return points[np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 0.05])]


def _meets_ego(path: Path, keep_clear: NDArray, distance_m: float) -> bool:
    if not len(keep_clear):
        return False
    at, _, present = path.pose(keep_clear[:, 2])
    return bool((present & (np.hypot(*(at - keep_clear[:, :2]).T) < distance_m)).any())


def _meet(path: Path, other: Path) -> bool:
    times = np.linspace(0, 20, 41)
    (at, _, here), (there, _, also) = path.pose(times), other.pose(times)
    return bool((here & also & (np.hypot(*(at - there).T) < EGO_GAP_M)).any())


def add_people(
    builder: SolidsBuilder, road: BaseGeometry, crossings: list[shapely.Polygon], half_m: float, keep_clear: NDArray,
    rng: np.random.Generator,
) -> None:
    """People who stroll along the sidewalks and walk over the crossings."""
    for place in edge_places(road, 13.0, float(rng.uniform(1.2, 3.0)), half_m):
        if rng.random() < 0.22:
            way = place.at + np.outer([-6, 6], place.along) * rng.choice((-1, 1))
            builder.paths.append(Path(way, float(rng.uniform(0.0, 0.3)), float(rng.uniform(3, 8))))
            add_person(builder, rng, len(builder.paths) - 1)
    for crossing in crossings:
        centre, (walk, side), (length, width) = long_and_short_axes(crossing)
        for _ in range(int(rng.integers(0, 3))):
            start = centre + rng.uniform(-0.35, 0.35) * width * side
            ends = np.array([start - walk * length / 2, start + walk * length / 2])
            way = ends if rng.random() < 0.5 else ends[::-1]
            path = Path(way, float(rng.uniform(0.8, 1.5)), float(rng.uniform(-4, length)))
            if length > 3 and not _meets_ego(path, keep_clear, 3.5):
                builder.paths.append(path)
                add_person(builder, rng, len(builder.paths) - 1)
