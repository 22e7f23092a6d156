"""Standard-definition road maps (OpenStreetMap): read shapefiles or GeoJSON, move them to metres, draw them.

The prior of P-MapNet (arXiv 2403.10521): centre lines of roads, drawn as -1 / +1 on the grid.
"""
from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.polylines import Points, Range, clip_polylines
from mapkd_core.grid import LINE_THICKNESS, BevGrid

ROAD_TYPES = frozenset(
    "trunk primary secondary tertiary unclassified residential living_street road "
    "trunk_link primary_link secondary_link tertiary_link".split()
)
"""OpenStreetMap `highway` values drawn by default: P-MapNet's list, with the two that a missing comma takes from it."""

ORIGINS = {
    "boston-seaport": (42.336849169438615, -71.05785369873047),
    "singapore-onenorth": (1.2882100868743724, 103.78475189208984),
    "singapore-hollandvillage": (1.2993652317780957, 103.78217697143555),
    "singapore-queenstown": (1.2782562240223188, 103.76741409301758),
}
"""Latitude and longitude, degrees, of the origins of nuScenes' maps (nuScenes devkit, `NuScenesMap`)."""

EARTH_RADIUS_M = 6378137.0


def metres_from_degrees(lon_lat: NDArray[np.floating], origin_lat_lon: tuple[float, float]) -> Points:
    """(x, y) metres east and north of an origin of points (..., 2) = (longitude, latitude) on a sphere.

    nuScenes' map frame is spherical: an ellipsoid, more exact on Earth, is metres off against its maps.
    """
    lat0, lon0 = np.radians(origin_lat_lon)
    lon, lat = np.moveaxis(np.radians(np.asarray(lon_lat, np.float64)), -1, 0)
    return EARTH_RADIUS_M * np.stack([np.cos(lat0) * (lon - lon0), lat - lat0], axis=-1)


def degrees_from_metres(points_m: NDArray[np.floating], origin_lat_lon: tuple[float, float]) -> Points:
    """(longitude, latitude) of points (..., 2) in metres: the inverse of `metres_from_degrees`."""
    lat0, lon0 = np.radians(origin_lat_lon)
    x, y = np.moveaxis(np.asarray(points_m, np.float64)[..., :2] / EARTH_RADIUS_M, -1, 0)
    return np.degrees(np.stack([x / np.cos(lat0) + lon0, y + lat0], axis=-1))


def read_roads(
    path: Path, origin_lat_lon: tuple[float, float] | None = None, road_types: Collection[str] = ROAD_TYPES
) -> tuple[Points, ...]:
    """Road lines (N, 2) in metres around an origin, from a `.shp` (with its `.dbf`) or `.geojson`/`.json` file.

    A line's type is its `type`, `highway` or `fclass` attribute, as the usual extracts call it; lines of other
    types are left out. Coordinates are WGS84 degrees. Without `origin_lat_lon` the file's name decides (the four
    nuScenes locations), or a GeoJSON member `map_origin_lat_lon`.
    Raises FileNotFoundError for a missing file, ValueError for another format, no origin, or no typed line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no SD map {path}")
    readers = {".shp": _shapefile_lines, ".geojson": _geojson_lines, ".json": _geojson_lines}
    if path.suffix.lower() not in readers:
        raise ValueError(f"SD map {path} is neither a shapefile (.shp) nor GeoJSON (.geojson, .json)")
    origin = origin_lat_lon or ORIGINS.get(path.stem) or _geojson_origin(path)
    if origin is None:
        raise ValueError(f"where is the map's origin in {path}? Give origin_lat_lon=(latitude, longitude) in degrees")
    roads, other = [], set()
    for lon_lat, kind in readers[path.suffix.lower()](path):
        if kind not in road_types:
            other.add(kind)
        elif len(lon_lat) >= 2:
            roads.append(metres_from_degrees(lon_lat, origin))
    if not roads:
        found = ", ".join(sorted(map(str, other))) or "none"
        raise ValueError(f"no road in {path}: types of its lines: {found}; wanted: {', '.join(sorted(road_types))}")
    return tuple(roads)


def find_sd_map(folder: Path, map_name: str) -> Path | None:
    """The SD map file of a location in a folder, if there is one."""
    candidates = (Path(folder) / f"{map_name}{suffix}" for suffix in (".geojson", ".shp"))
    return next((path for path in candidates if path.is_file()), None)


def rasterize_sd(lines_m: Iterable[NDArray[np.floating]], grid: BevGrid) -> NDArray[np.int8]:
    """(1, Y, X): +1 on roads, -1 elsewhere, from lines (N, 2) in `base_link`."""
    canvas = np.zeros(grid.shape, np.uint8)
    pieces = clip_polylines([np.asarray(line)[:, :2] for line in lines_m], Range(grid.x_range_m, grid.y_range_m))
    cells = [grid.cells_from_metres(piece.points_m).astype(np.int32) for piece in pieces]
    cv2.polylines(canvas, cells, False, (2,), LINE_THICKNESS)
    return (canvas.astype(np.int8) - 1)[None]


def _shapefile_lines(path: Path) -> Iterator[tuple[Points, str | None]]:
    import shapefile

    try:
        reader = shapefile.Reader(str(path))
    except shapefile.ShapefileException as error:
        raise ValueError(f"SD map {path} cannot be read: {error}; its .dbf and .shx must lie beside it") from error
    with reader:
        for item in reader.iterShapeRecords():
            points = np.array(item.shape.points, np.float64).reshape(-1, 2)
            for part in np.split(points, list(item.shape.parts)[1:]):
                yield part, _kind(item.record.as_dict())


def _geojson_lines(path: Path) -> Iterator[tuple[Points, str | None]]:
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"SD map {path} is not a GeoJSON FeatureCollection ({error})") from error
    for feature in features:
        geometry = feature.get("geometry") or {}
        parts: Sequence[Any] = ()
        if geometry.get("type") == "LineString":
            parts = [geometry["coordinates"]]
        elif geometry.get("type") == "MultiLineString":
            parts = geometry["coordinates"]
        for part in parts:
            yield np.array([point[:2] for point in part], np.float64).reshape(-1, 2), _kind(feature["properties"] or {})


def _kind(properties: dict[str, Any]) -> str | None:
    return next((str(properties[key]) for key in ("type", "highway", "fclass") if properties.get(key)), None)


def _geojson_origin(path: Path) -> tuple[float, float] | None:
    if path.suffix.lower() == ".shp":
        return None
    origin = json.loads(path.read_text(encoding="utf-8")).get("map_origin_lat_lon")
    return (float(origin[0]), float(origin[1])) if origin else None
