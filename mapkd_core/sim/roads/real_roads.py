"""Real road geometry to drive on in the simulator: a nuScenes map expansion, painted and completed by chance, or
the map of a log of Argoverse 2 (argoverse2_roads.py), whose own paint stands.

The map expansion says where lines are, seldom how they are painted, and partial copies know no crossings. A simulated
world is its own truth: paint is drawn by the seed, and where crossings are unknown they are invented at junctions
(`extras["invented_crossings"]` then is their number).
"""
from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Point, Polygon

from mapkd_core.data.nuscenes_map import coverage, load_vector_map
from mapkd_core.data.sd_map import find_sd_map, read_roads
from mapkd_core.sim.roads.argoverse2_roads import ARGOVERSE2, argoverse2_road
from mapkd_core.sim.roads.polyline import headings
from mapkd_core.sim.roads.sd_lines import weakly_aligned
from mapkd_core.vector_map import MapLine, VectorMap

MARGIN_M = 75.0
"""A drive keeps this far from the end of the map's knowledge: half of a 120 m patch, and some."""

LEFT_HAND = ("singapore-",)
"""Beginnings of the names of maps where traffic keeps left."""


def is_complete(dataroot: Path, map_name: str, points_m: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (N, 2) have a complete map all around them."""
    known = None if map_name == ARGOVERSE2 else coverage(Path(dataroot), map_name)
    if known is None:
        return np.ones(len(points_m), bool)
    return _in_squares(known["all"], points_m, MARGIN_M)


def _in_squares(
    squares: list[tuple[float, float, float]], points_m: NDArray[np.float64], margin_m: float
) -> NDArray[np.bool_]:
    inside = np.zeros(len(points_m), bool)
    for x, y, half in squares:
        inside |= np.all(np.abs(points_m[:, :2] - (x, y)) < half - margin_m, axis=1)
    return inside


@lru_cache(maxsize=4)
def real_map(dataroot: Path, map_name: str, seed: int) -> VectorMap:
    """A nuScenes map with paint of the seed's choice, crossings where they were unknown, and SD roads.

    `argoverse2` is the map of a log of Argoverse 2. Raises FileNotFoundError where there is no such map.
    """
    if map_name == ARGOVERSE2:
        return argoverse2_road(Path(dataroot), seed)
    source = load_vector_map(Path(dataroot), map_name)
    rng, known = np.random.default_rng([seed, *map_name.encode()]), coverage(Path(dataroot), map_name)
    invented = [crossing for crossing in _possible_crossings(Path(dataroot), map_name) if rng.random() < 0.6]
    return replace(
        source,
        lines=tuple(_painted(line, map_name, rng) for line in source.lines),
        crossings=(*source.crossings, *invented),
        crossings_known=True,
        sd_roads_m=_sd_roads(Path(dataroot), map_name, source, rng),
        extras={
            # Invented crossings make the crossing layer as complete as the others.
            "coverage": None if known is None else {**known, "ped_crossing": known["all"]},
            "left_hand": map_name.startswith(LEFT_HAND),
            "invented_crossings": len(invented),
            "style": map_name,
        },
    )


def _painted(line: MapLine, map_name: str, rng: np.random.Generator) -> MapLine:
    """The line with a paint that such a line might have."""
    boston = not map_name.startswith(LEFT_HAND)
    draw, worn = rng.random(), rng.random()
    wear = float(rng.uniform(0.55, 0.95) if worn < 0.12 else rng.uniform(0, 0.5))
    if line.layer == "road_divider":
        paint = "double" if draw < 0.6 else "solid" if draw < 0.9 else "none"
        return replace(line, paint=paint, color="yellow" if boston else "white", wear=wear)
    paint = "dashed" if draw < 0.75 else "solid" if draw < 0.97 else "none"
    return replace(line, paint=paint, color="white", wear=wear)


@lru_cache(maxsize=4)
def _possible_crossings(dataroot: Path, map_name: str) -> tuple[Polygon, ...]:
    """Crossings that would fit just behind the ends of lanes that lead into junctions, where none are known."""
    source, known = load_vector_map(dataroot, map_name), coverage(dataroot, map_name)
    if known is None:
        return ()
    rng = np.random.default_rng([*map_name.encode()])
    shapely.prepare(source.road_area)
    found: list[Polygon] = []
    for lane, followers in enumerate(source.lane_successors):
        depth, centre = rng.uniform(2.8, 4.2), source.lane_centres_m[lane]
        if len(followers) < 2 or len(centre) < 8 or _in_squares(known["ped_crossing"], centre[-1:], 0.0)[0]:
            continue
        heading = float(headings(centre)[-1])
        along, across = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
        near, far = (_curb_to_curb(source.road_area, centre[-1] + d * along, across) for d in (1.0, 1.0 + depth))
        if near is None or far is None:
            continue
        widths = [float(np.linalg.norm(edge[1] - edge[0])) for edge in (near, far)]
        polygon = Polygon([near[0], near[1], far[1], far[0]])
        fits = 1.4 * depth < min(widths) and max(widths) < min(30, 1.3 * min(widths))
        if fits and polygon.is_valid and not any(polygon.distance(other) < 4 for other in (*found, *source.crossings)):
            found.append(polygon)
    return tuple(found)


def _curb_to_curb(
    area: shapely.Geometry, middle_m: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The piece (2, 2) of a line across the road that lies on it, around the given point."""
    cut = shapely.intersection(area, LineString([middle_m - 25 * across, middle_m + 25 * across]))
    pieces = [g for g in getattr(cut, "geoms", [cut]) if isinstance(g, LineString) and len(g.coords) >= 2]
    point = Point(middle_m)
    for piece in pieces:
        if piece.distance(point) < 0.1:
            ends = np.asarray(piece.coords)[[0, -1]]
            return ends if (ends[1] - ends[0]) @ across > 0 else ends[::-1]
    return None


@lru_cache(maxsize=4)
def _osm_roads(path: Path) -> tuple[NDArray[np.float64], ...]:
    return read_roads(path)


def _sd_roads(
    dataroot: Path, map_name: str, source: VectorMap, rng: np.random.Generator
) -> tuple[NDArray[np.float64], ...]:
    """OpenStreetMap roads where `dataroot/osm` has them, else the lanes' centre lines, weakly aligned."""
    path = find_sd_map(dataroot / "osm", map_name)
    return _osm_roads(path) if path is not None else weakly_aligned(source.lane_centres_m, rng, missing=0.3)


def cropped(road_map: VectorMap, low_m: NDArray[np.float64], high_m: NDArray[np.float64]) -> VectorMap:
    """The part of a map that touches a rectangle, its elements whole: a city's union of roads takes too long."""
    window = shapely.box(*low_m, *high_m)

    def near(line: NDArray[np.float64]) -> bool:
        return bool(np.all(line.min(axis=0) <= high_m) and np.all(line.max(axis=0) >= low_m))

    def touching(polygons: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
        return tuple(p for p in polygons if shapely.intersects(p, window))

    kept = [i for i, centre in enumerate(road_map.lane_centres_m) if len(centre) > 1 and near(centre)]
    place = {old: new for new, old in enumerate(kept)}
    return replace(
        road_map,
        lines=tuple(line for line in road_map.lines if near(line.points_m)),
        crossings=touching(road_map.crossings),
        road_segments=touching(road_map.road_segments),
        lanes=touching(road_map.lanes),
        lane_centres_m=tuple(road_map.lane_centres_m[i] for i in kept),
        lane_successors=tuple(
            tuple(place[f] for f in road_map.lane_successors[i] if f in place) for i in kept
        ),
        walkways=touching(road_map.walkways),
        sd_roads_m=tuple(line for line in road_map.sd_roads_m if near(line)),
    )
