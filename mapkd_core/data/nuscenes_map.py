"""nuScenes' map expansion as a `VectorMap`, read through the devkit."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from mapkd_core.data.sd_map import find_sd_map, read_roads
from mapkd_core.vector_map import MapLine, VectorMap

if TYPE_CHECKING:
    from nuscenes.map_expansion.map_api import NuScenesMap

DIVIDER_LAYERS = ("road_divider", "lane_divider")
"""In this order, as HDMapNet numbers them."""

PAINT = {
    "NIL": ("none", "white"),
    "SINGLE_SOLID": ("solid", "white"),
    "DOUBLE_SOLID": ("double", "white"),
    "SINGLE_ZIGZAG": ("solid", "white"),
    "SINGLE_DASHED": ("dashed", "white"),
    "DOUBLE_DASHED": ("double", "white"),
}
"""Paint and colour by the first word(s) of nuScenes' `segment_type`, such as DOUBLE_SOLID_WHITE."""


def expansion_file(dataroot: Path, map_name: str) -> Path:
    """Where the map expansion of a location lies."""
    return Path(dataroot) / "maps" / "expansion" / f"{map_name}.json"


@lru_cache(maxsize=8)
def coverage(dataroot: Path, map_name: str) -> dict[str, list[tuple[float, float, float]]] | None:
    """Squares (centre x, centre y, half size) in which a partial map is complete; None for a whole map.

    Read from `map_coverage.json` beside the tables, which partial copies of nuScenes may have: `all` for every
    layer but crossings, `ped_crossing` for crossings.
    """
    path = Path(dataroot) / "map_coverage.json"
    if not path.is_file():
        return None
    city = json.loads(path.read_text(encoding="utf-8"))["cities"].get(map_name)
    if city is None:
        return None

    def squares(key: str) -> list[tuple[float, float, float]]:
        return [(*map(float, square["centre"]), float(square["half_size"])) for square in city[key]]  # type: ignore

    return {"all": squares("squares"), "ped_crossing": squares("squares_with_ped_crossing")}


def covers(dataroot: Path, map_name: str, x_m: float, y_m: float) -> bool:
    """Whether there is a map of this location, and it is complete around a point of the `map` frame."""
    if not expansion_file(dataroot, map_name).is_file():
        return False
    known = coverage(dataroot, map_name)
    return known is None or any(abs(x_m - x) < half and abs(y_m - y) < half for x, y, half in known["all"])


@lru_cache(maxsize=8)
def load_vector_map(dataroot: Path, map_name: str, sd_folder: Path | None = None) -> VectorMap:
    """The whole map of one location (such as `boston-seaport`); kept per process, since frames share it.

    SD roads come from `<map_name>.geojson` or `.shp` in `sd_folder`, by default `<dataroot>/osm`, if it is there.

    Invalid road and lane polygons are left out, as the devkit's own patch queries do, so that boundaries equal
    those of the published label code. Raises FileNotFoundError if there is no such map expansion.
    """
    path = expansion_file(dataroot, map_name)
    if not path.is_file():
        there = ", ".join(sorted(found.stem for found in path.parent.glob("*.json"))) or "none"
        raise FileNotFoundError(f"no map expansion {path}; maps there: {there}. Unpack nuScenes-map-expansion-v1.3")
    from nuscenes.map_expansion.map_api import NuScenesMap

    nusc_map = NuScenesMap(str(dataroot), map_name)
    known = coverage(dataroot, map_name)
    sd_map = find_sd_map(sd_folder or Path(dataroot) / "osm", map_name)
    centres, successors = _lane_graph(nusc_map)
    return VectorMap(
        name=map_name,
        lines=tuple(line for layer in DIVIDER_LAYERS for line in _divider_lines(nusc_map, layer)),
        crossings=tuple(_polygons(nusc_map, nusc_map.ped_crossing)),
        road_segments=tuple(filter(shapely.is_valid, _polygons(nusc_map, nusc_map.road_segment))),
        lanes=tuple(filter(shapely.is_valid, _polygons(nusc_map, nusc_map.lane))),
        lane_centres_m=centres,
        lane_successors=successors,
        walkways=tuple(filter(shapely.is_valid, _polygons(nusc_map, nusc_map.walkway))),
        sd_roads_m=read_roads(sd_map) if sd_map else (),
        crossings_known=bool(known["ped_crossing"]) if known is not None else bool(nusc_map.ped_crossing),
        extras={"coverage": known},
    )


def _node_reader(nusc_map: NuScenesMap) -> Callable[[Iterable[str]], NDArray[np.float64]]:
    at = {node["token"]: (node["x"], node["y"]) for node in nusc_map.node}
    return lambda tokens: np.array([at[token] for token in tokens], np.float64).reshape(-1, 2)


def _polygons(nusc_map: NuScenesMap, records: list[dict[str, Any]]) -> Iterable[Polygon]:
    points_of = _node_reader(nusc_map)
    for record in records:
        outline = nusc_map.get("polygon", record["polygon_token"])
        holes = [points_of(hole["node_tokens"]) for hole in outline["holes"] if len(hole["node_tokens"]) >= 3]
        yield Polygon(points_of(outline["exterior_node_tokens"]), holes)


def _divider_lines(nusc_map: NuScenesMap, layer: str) -> Iterable[MapLine]:
    points_of = _node_reader(nusc_map)
    for record in getattr(nusc_map, layer):
        points_m = points_of(nusc_map.get("line", record["line_token"])["node_tokens"])
        if len(points_m) >= 2:
            paint, color = _paint(record.get("lane_divider_segments", []))
            yield MapLine(points_m, layer, paint, color)


def _paint(segments: list[dict[str, Any]]) -> tuple[str, str]:
    """The most frequent paint of a divider's segments; solid white where the map does not say."""
    kinds = [str(segment.get("segment_type", "")) for segment in segments]
    kind = max(set(kinds), key=kinds.count) if kinds else ""
    for prefix, (paint, color) in PAINT.items():
        if kind.startswith(prefix):
            return paint, "yellow" if kind.endswith("YELLOW") else color
    return "solid", "white"


def _lane_graph(nusc_map: NuScenesMap) -> tuple[tuple[NDArray[np.float64], ...], tuple[tuple[int, ...], ...]]:
    """Centre lines (N, 2) of lanes and lane connectors, a point a metre, and for each those that continue it."""
    from nuscenes.map_expansion.arcline_path_utils import discretize_lane

    centres: dict[str, NDArray[np.float64]] = {}
    for record in (*nusc_map.lane, *nusc_map.lane_connector):
        path = nusc_map.arcline_path_3.get(record["token"])
        if path:
            centres[record["token"]] = np.array(discretize_lane(path, resolution_meters=1.0), np.float64)[:, :2]
    index = {token: i for i, token in enumerate(centres)}
    followers = (nusc_map.connectivity.get(token, {}).get("outgoing", []) for token in centres)
    return tuple(centres.values()), tuple(tuple(index[t] for t in tokens if t in index) for tokens in followers)
