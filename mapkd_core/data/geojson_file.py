"""GeoJSON (RFC 7946) as far as it is read here: a collection of lines and areas in WGS84 degrees, longitude first."""
from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mapkd_core.schema import (
    FileFault,
    Misfit,
    Schema,
    anything,
    list_of,
    mapping,
    optional,
    parse_json,
    read_bytes,
    record,
    text,
)

_WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326", "EPSG::4979", "EPSG:4979")
"""Names of coordinate systems in degrees of WGS84, longitude first in GeoJSON whatever they say; 4979 has heights."""
_DEEPEST = 8
_SEPARATOR = b"\x1e"
_PLACE = optional(record({}, {"properties": optional(record({}, {"name": optional(text())}))}))
_FEATURE = record({}, {"geometry": optional(record({})), "properties": optional(mapping(anything))})


def _position(value: Any) -> None:
    """A position, of which longitude and latitude are read. Large and odd numbers are judged with the whole line."""
    if type(value) is not list or len(value) < 2 or not all(type(v) in (int, float) for v in value[:3]):
        raise Misfit("a position [longitude, latitude]", value)
    if any(abs(v) > sys.float_info.max for v in value[:3] if type(v) is int):
        raise Misfit("degrees", value)


_LINE = list_of(_position)
LINES: Mapping[str, Schema] = {"LineString": _LINE, "MultiLineString": list_of(_LINE)}
"""Geometries that are lines, and what their coordinates are."""
AREAS: Mapping[str, Schema] = {"Polygon": list_of(_LINE), "MultiPolygon": list_of(list_of(_LINE))}
"""Geometries that are areas."""


def read_collection(
    path: Path, what: str, remedy: str, kinds: Mapping[str, Schema], members: Mapping[str, Schema]
) -> dict[str, Any]:
    """A FeatureCollection whose geometries of `kinds` are sound; others are not looked at.

    A file that is a single feature, or a geometry alone, is the collection of that one (RFC 7946, section 2); one that
    holds a feature in each line, or after each record separator (RFC 8142), is the collection of them.
    `members` are optional members of the collection. Raises FileNotFoundError, or FileFault that names the place in the
    file, also for a coordinate system other than WGS84.
    """
    whole = record({"features": list_of(anything)}, {"crs": _PLACE, **members})

    def collection(found: Any) -> None:
        content = _as_collection(found)
        whole(content)
        for place, feature in enumerate(content["features"]):
            try:
                _FEATURE(feature)
                geometry = feature.get("geometry") or {}
                kind = geometry.get("type")
                if isinstance(kind, str) and kind in kinds:
                    record({"coordinates": kinds[kind]})(geometry)
            except Misfit as misfit:
                raise misfit.at(place).at("features") from None

    expected = "a GeoJSON FeatureCollection"
    data = _as_one_text(read_bytes(path, expected))
    content: dict[str, Any] = _as_collection(parse_json(data, str(path), expected, collection, remedy))
    system = (((content.get("crs") or {}).get("properties") or {}).get("name")) or "CRS84"
    if not any(known in str(system).upper() for known in _WGS84):
        raise FileFault(f"{what} {path}: crs is {system!r}; expected WGS84 degrees, as GeoJSON has them: {remedy}")
    return content


def _as_one_text(data: bytes) -> bytes:
    """A sequence of features as the text of their collection; what is no sequence, unchanged."""
    bare = data.removeprefix(b"\xef\xbb\xbf")
    parts = bare.split(_SEPARATOR) if bare.startswith(_SEPARATOR) else bare.splitlines()
    features = [part.strip() for part in parts if part.strip()]
    if len(features) < 2 or not all(part[:1] + part[-1:] == b"{}" for part in features):
        return data
    return b'{"type": "FeatureCollection", "features": [' + b",\n".join(features) + b"]}"


def _as_collection(found: Any) -> Any:
    """What a file holds as a collection; unchanged where it is none of GeoJSON's kinds."""
    if isinstance(found, list) and found and all(isinstance(f, dict) and f.get("type") == "Feature" for f in found):
        return {"type": "FeatureCollection", "features": list(_flat(found))}
    if not isinstance(found, dict):
        return found
    if "features" in found:
        features = found["features"]
        return {**found, "features": list(_flat(features))} if isinstance(features, list) else found
    if found.get("type") == "Feature":
        return {**found, "type": "FeatureCollection", "features": list(_flat([found]))}
    if found.get("type") in (*LINES, *AREAS, "GeometryCollection"):
        alone = {"geometry": found, "properties": None}
        return {**found, "type": "FeatureCollection", "features": list(_flat([alone]))}
    return found


def _flat(features: list[Any], deep: int = 0) -> Iterator[Any]:
    """The features, those of collections inside in their place, and one for each geometry of a GeometryCollection."""
    for feature in features:
        if not isinstance(feature, dict) or deep > _DEEPEST:
            yield feature
        elif isinstance(inner := feature.get("features"), list):
            yield from _flat(inner, deep + 1)
        elif isinstance(geometry := feature.get("geometry"), dict) and isinstance(geometry.get("geometries"), list):
            parts = [{**feature, "geometry": part} for part in geometry["geometries"]]
            yield from _flat([{k: v for k, v in part.items() if k != "id"} for part in parts], deep + 1)
        else:
            yield feature
