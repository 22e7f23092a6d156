"""Standard-definition road maps (OpenStreetMap): read shapefiles or GeoJSON, move them to metres, draw them.

The prior of P-MapNet (arXiv 2403.10521): centre lines of roads, drawn as -1 / +1 on the grid.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.geojson_file import LINES, read_collection
from mapkd_core.data.polylines import Points, Range, clip_polylines
from mapkd_core.data.shapefiles import shapefile_lines
from mapkd_core.files import inside
from mapkd_core.grid import LINE_THICKNESS, BevGrid
from mapkd_core.schema import FileFault, numbers, optional, shown

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

_REMEDY = "export it again in EPSG:4326"
FARTHEST_ROAD_M = 30_000.0
"""An SD map whose nearest road is farther from the map's origin is one of another place."""
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
    Raises FileNotFoundError for a missing file, ValueError for another format, no origin, no typed line, or roads that
    lie elsewhere: another projection, latitude before longitude, another city.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no SD map {path}")
    readers = {".shp": _shapefile_lines, ".geojson": _geojson_lines, ".json": _geojson_lines}
    if path.suffix.lower() not in readers:
        raise ValueError(f"SD map {path} is neither a shapefile (.shp) nor GeoJSON (.geojson, .json)")
    origin = origin_lat_lon or ORIGINS.get(path.stem) or origin_in_file(path)
    if origin is None:
        raise ValueError(f"where is the map's origin in {path}? Give origin_lat_lon=(latitude, longitude) in degrees")
    lines, other = [], set()
    for lon_lat, kind in readers[path.suffix.lower()](path):
        if kind not in road_types:
            other.add(kind)
        elif len(lon_lat) >= 2:
            lines.append(lon_lat)
    if not lines:
        found = ", ".join(shown(kind) for kind in sorted(map(str, other))[:20]) or "none"
        raise ValueError(f"no road in {path}: types of its lines: {found}; wanted: {', '.join(sorted(road_types))}")
    _check_place(path, lines, origin)
    return tuple(metres_from_degrees(line, origin) for line in lines)


def _check_place(path: Path, lines: Sequence[Points], origin_lat_lon: tuple[float, float]) -> None:
    """Raises FileFault for roads that cannot be where the map is; extracts may be as large as a state."""
    points = np.concatenate(lines)
    if not np.isfinite(points).all():
        bad = points[~np.isfinite(points)][0]
        raise FileFault(f"SD map {path}: a coordinate is {bad}; expected degrees: {_REMEDY}")
    latitude, longitude = origin_lat_lon
    where = f"the map's origin is longitude {longitude:.3f}, latitude {latitude:.3f}"
    first = f"longitude {points[0, 0]:.6g}, latitude {points[0, 1]:.6g}"
    if np.abs(points).max() > 180:
        raise FileFault(f"SD map {path}: {first} are no degrees but metres of a projection; expected WGS84: {_REMEDY}")
    longest = max(float(np.linalg.norm(np.diff(metres_from_degrees(p, origin_lat_lon), axis=0), axis=1).max())
                  for p in lines)  # fmt: skip
    if longest > FARTHEST_ROAD_M and np.abs(points[:, 1]).max() <= 90:
        raise FileFault(
            f"SD map {path}: two vertices of a road, one after the other, are {longest / 1000:.0f} km apart; {_REMEDY}"
        )
    nearest, turned = (
        float(np.linalg.norm(metres_from_degrees(order, origin_lat_lon), axis=-1).min())
        for order in (points, points[:, ::-1])
    )
    if nearest > FARTHEST_ROAD_M and turned < FARTHEST_ROAD_M:
        raise FileFault(f"SD map {path}: {first}, but {where}: latitude stands first; expected longitude first")
    if nearest > FARTHEST_ROAD_M or np.abs(points[:, 1]).max() > 90:
        raise FileFault(
            f"SD map {path}: its nearest road begins at {nearest / 1000:.0f} km ({first}), but {where}; expected an "
            f"extract of that place in WGS84 degrees, longitude first"
        )


def find_sd_map(folder: Path, map_name: str) -> Path | None:
    """The SD map file of a location in a folder, if there is one. Raises ValueError for a name that leads out of it."""
    candidates = (inside(folder, f"{map_name}{suffix}", "location") for suffix in (".geojson", ".shp"))
    return next((path for path in candidates if path.is_file()), None)


def rasterize_sd(lines_m: Iterable[NDArray[np.floating]], grid: BevGrid) -> NDArray[np.int8]:
    """(1, Y, X): +1 on roads, -1 elsewhere, from lines (N, 2) in `base_link`."""
    canvas = np.zeros(grid.shape, np.uint8)
    pieces = clip_polylines([np.asarray(line)[:, :2] for line in lines_m], Range(grid.x_range_m, grid.y_range_m))
    cells = [grid.cells_from_metres(piece.points_m).astype(np.int32) for piece in pieces]
    cv2.polylines(canvas, cells, False, (2,), LINE_THICKNESS)
    return (canvas.astype(np.int8) - 1)[None]


def _shapefile_lines(path: Path) -> Iterator[tuple[Points, str | None]]:
    for part, attributes in shapefile_lines(path):
        yield part, _kind(attributes)


def _geojson_lines(path: Path) -> Iterator[tuple[Points, str | None]]:
    content = _geojson(path)
    for feature in content["features"]:
        geometry = feature.get("geometry") or {}
        parts: Sequence[Any] = ()
        if geometry.get("type") == "LineString":
            parts = [geometry["coordinates"]]
        elif geometry.get("type") == "MultiLineString":
            parts = geometry["coordinates"]
        for part in parts:
            points = np.array([point[:2] for point in part], np.float64).reshape(-1, 2)
            yield points, _kind(feature.get("properties") or {})


def _geojson(path: Path) -> dict[str, Any]:
    return read_collection(path, "SD map", _REMEDY, LINES, {"map_origin_lat_lon": optional(numbers(2))})


def _kind(properties: dict[str, Any]) -> str | None:
    return next((str(properties[key]) for key in ("type", "highway", "fclass") if properties.get(key)), None)


def origin_in_file(path: Path) -> tuple[float, float] | None:
    """(latitude, longitude) in a GeoJSON file's member `map_origin_lat_lon`, None where it has none."""
    if path.suffix.lower() == ".shp":
        return None
    origin = _geojson(path).get("map_origin_lat_lon")
    return (float(origin[0]), float(origin[1])) if origin else None
