"""A street map as GeoJSON (RFC 7946): WGS84 degrees, longitude first; crossings as areas, all else as lines.

The collection's member `mapkd` holds frame, origin and metadata, a feature's properties what is known of the element.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.geojson_file import AREAS, LINES, read_collection
from mapkd_core.files import write_atomic
from mapkd_core.map_formats.earth import EarthFrame, check_near, place_of
from mapkd_core.map_formats.report import Report
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.schema import FileFault, anything, flag, integer, mapping, number, optional, record, shown, text
from mapkd_core.types import CLASSES

Points = NDArray[np.float64]
LABELS = {
    **{label: label for label in CLASSES},
    "lane_divider": "divider", "road_divider": "divider", "lane_marking": "divider", "lane_line": "divider",
    "road_boundary": "boundary", "road_border": "boundary", "road_edge": "boundary", "curb": "boundary",
    "curbstone": "boundary", "crosswalk": "ped_crossing", "crossing": "ped_crossing",
    "pedestrian_crossing": "ped_crossing", "pedestrian_marking": "ped_crossing", "drivable_area": "boundary",
}  # fmt: skip
"""Words by which features of others say what they are, in one of PROPERTIES."""
PROPERTIES = ("label", "class", "type", "layer", "category")
_SEPARATORS = re.compile(r"[\s_-]+")
_BY_WORD = {_SEPARATORS.sub("", word): label for word, label in LABELS.items()}
_REMEDY = "export it again in EPSG:4326"
_WHAT = "map"
_HEAD = record(
    {"format": text("mapkd-geojson-1"), "frame": text(empty=False), "metadata": mapping(anything), "origin": record({})}
)
_FACTS = record(
    {
        "label": text(*CLASSES), "score": number(0, 1), "sightings": integer(0), "closed": flag,
        "attributes": mapping(text()), "reversed": flag,
    }
)  # fmt: skip


def write_geojson(street_map: StreetMap, path: Path) -> Report:
    """Writes the file and tells what it cannot hold. Raises ValueError for a map of unknown place, OSError."""
    if street_map.origin is None:
        raise ValueError("GeoJSON holds places on Earth, and this map's is unknown; expected --origin LAT,LON")
    earth, report = EarthFrame(street_map.origin), Report()
    features = [_feature(element, earth, report) for element in street_map.elements]
    head = {
        "type": "FeatureCollection",
        "mapkd": {
            "format": "mapkd-geojson-1", "frame": street_map.frame, "metadata": dict(street_map.metadata),
            "origin": street_map.origin.as_dict(),
        },
    }  # fmt: skip
    write_atomic(path, json.dumps(head | {"features": features}, allow_nan=False))
    return report


def _feature(element: StreetElement, earth: EarthFrame, report: Report) -> dict[str, Any]:
    degrees = earth.degrees(element.points_m)
    if np.ptp(degrees[:, 0]) > 180:
        report.add("element that crosses the meridian of 180 degrees: not cut there, as RFC 7946 asks")
    is_area = element.label == "ped_crossing" and element.closed
    turned = is_area and _clockwise(element.points_m)  # RFC 7946: an area's outline runs counter-clockwise
    coordinates = degrees[::-1].tolist() if turned else degrees.tolist()
    geometry = {"type": "Polygon", "coordinates": [coordinates]} if is_area else (
        {"type": "LineString", "coordinates": coordinates}
    )  # fmt: skip
    properties = {
        "label": element.label, "score": element.score, "sightings": element.sightings, "closed": element.closed,
        "attributes": dict(element.attributes), "reversed": turned,
    }  # fmt: skip
    return {"type": "Feature", "id": element.id, "geometry": geometry, "properties": properties}


def _clockwise(ring: Points) -> bool:
    x, y = ring[:, :2].T
    return bool(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1])) > 0)


def read_geojson(path: Path, origin: MapOrigin | None = None) -> tuple[StreetMap, Report]:
    """The lines of a file, in the frame of `origin`, of our own writer, or round their middle.

    Features of others say by a word of `LABELS` in one of `PROPERTIES` what they are; holes of areas are lines of their
    own. Left out and reported is what says nothing. Raises FileNotFoundError, FileFault.
    """
    content = read_collection(path, _WHAT, _REMEDY, {**LINES, **AREAS}, {"mapkd": optional(_HEAD)})
    head, report = content.get("mapkd"), Report()
    try:
        frame = origin or (None if head is None else MapOrigin(**head["origin"]))
    except (ValueError, TypeError) as error:
        raise FileFault(f"{path}: origin: {error}; {_REMEDY}") from error
    found = [
        (place, feature, line) for place, feature in enumerate(content["features"]) for line in _lines(feature, report)
    ]
    degrees = [_degrees(line, f"{path}: features[{place}]") for place, _, line in found]
    if frame is None and degrees:
        frame = place_of(np.concatenate(degrees))
    if frame is not None and degrees:
        try:
            check_near(frame, np.concatenate(degrees), f"{path}: a position")
        except ValueError as error:
            raise FileFault(str(error)) from error
    elements, taken = [], _own_ids(content["features"])
    earth = None if frame is None else EarthFrame(frame)
    fresh = (key for key in count(max(taken, default=0) + 1))
    given: set[int] = set()
    for (place, feature, _), line in zip(found, degrees, strict=True):
        assert earth is not None
        key = feature.get("id")
        if type(key) is not int or key < 0 or key in given:
            key = next(fresh)
        given.add(key)
        elements.append(_element(feature, key, earth.metres(line), f"{path}: features[{place}]"))
    try:
        metadata = {} if head is None else head["metadata"]
        return StreetMap(tuple(elements), "map" if head is None else head["frame"], frame, metadata), report
    except ValueError as error:
        raise FileFault(f"{path}: {error}; {_REMEDY}") from error


def _own_ids(features: list[Any]) -> set[int]:
    return {f["id"] for f in features if type(f.get("id")) is int and f["id"] >= 0}


def _label(properties: Mapping[str, Any]) -> str | None:
    words = (_SEPARATORS.sub("", str(properties[name]).lower()) for name in PROPERTIES if properties.get(name))
    forms = (form for word in words for form in (word, word.removesuffix("s"), word.removesuffix("ies") + "y"))
    return next((_BY_WORD[form] for form in forms if form in _BY_WORD), None)


def _lines(feature: Mapping[str, Any], report: Report) -> Iterator[list[Any]]:
    """The lines of a feature that is an element."""
    geometry, properties = feature.get("geometry") or {}, feature.get("properties") or {}
    kind = geometry.get("type")
    if not isinstance(kind, str) or (kind not in LINES and kind not in AREAS):
        report.add(f"feature of geometry {shown(kind)}: no line and no area")
    elif _label(properties) is None:
        words = [f"{name} {shown(properties[name])}" for name in PROPERTIES if properties.get(name)]
        report.add(f"feature of {words[0] if words else 'no type'}: no element of a street map")
    else:
        lines = geometry["coordinates"]
        if kind == "LineString":
            lines = [lines]
        elif kind == "MultiPolygon":
            lines = [ring for area in lines for ring in area]
        for line in lines:
            if kind in AREAS and len(line) > 2 and line[0][:2] != line[-1][:2]:
                report.add("outline of an area that is open, against RFC 7946: closed")
                line = [*line, line[0]]
            if len(line) >= 2:
                yield line
            else:
                report.add("line of fewer than two vertices: left out")


def _degrees(line: list[Any], where: str) -> Points:
    points = np.array([[*position, 0.0][:3] for position in line], np.float64)
    bad = ~(np.abs(points) <= [180.0, 90.0, 1e6]).all(1)
    if bad.any():
        raise FileFault(
            f"{where} has the position {points[bad][0].tolist()}; expected longitude -180 to 180, latitude -90 to 90, "
            f"metres: {_REMEDY}"
        )
    return points


def _element(feature: Mapping[str, Any], key: int, points_m: Points, where: str) -> StreetElement:
    properties = feature.get("properties") or {}
    try:
        if {"sightings", "reversed", "attributes"} <= properties.keys():
            _FACTS(properties)
            facts = {name: properties[name] for name in ("label", "score", "sightings", "closed", "attributes")}
            points = points_m[::-1].copy() if properties["reversed"] else points_m
            if facts["closed"]:
                points[-1] = points[0]
            return StreetElement(key, points_m=points, **facts)
        label = _label(properties)
        assert label is not None
        ring = len(points_m) > 3 and bool(np.array_equal(points_m[0], points_m[-1]))
        score = properties.get("score", 1.0)
        number(0, 1)(score)
        attributes = {name: str(value) for name, value in properties.items() if type(value) in (str, int, float, bool)}
        for name in (*PROPERTIES, "score"):
            attributes.pop(name, None)
        return StreetElement(key, label, points_m, float(score), 0, ring, attributes)
    except Exception as error:
        if not isinstance(error, ValueError) and type(error).__name__ != "Misfit":
            raise
        words = error.text() if hasattr(error, "text") else str(error)
        raise FileFault(f"{where}: {words}; {_REMEDY}") from error
