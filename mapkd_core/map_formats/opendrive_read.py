"""An OpenDRIVE file as a street map: our own without loss, those of others by the edges of their lanes.

Of others, lines between lanes of traffic are dividers with the paint of their `roadMark`, the outline of all lanes of
traffic is the boundary, objects `crosswalk` with an outline are crossings. Read are lines, arcs, spirals and cubics,
lane widths and offsets, superelevation; lane borders, shapes and repeated objects are not, and are reported.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.map_formats.opendrive_lanes import RoadLanes
from mapkd_core.map_formats.opendrive_lines import each_once, meeting
from mapkd_core.map_formats.opendrive_plan import Plan, plan_of
from mapkd_core.map_formats.opendrive_write import ELEMENT, MAP
from mapkd_core.map_formats.report import Report
from mapkd_core.map_formats.xml_files import number_of, read_xml
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.schema import FileFault, shown

Points = NDArray[np.float64]
Element = ElementTree.Element
SMALLEST_M2 = 1.0
"""Outlines of less are gaps and specks between lanes that do not quite meet."""
_HEIGHTS = re.compile(r"\+(?:geoidgrids|vunits|vto_meter)=\S+")
_FLAT = 1e-5
"""A projection whose scale and whose turn from north are no farther from none is a plane at its origin."""


def read_opendrive(path: Path, origin: MapOrigin | None = None) -> tuple[StreetMap, Report]:
    """The lines of a file, in its own metres. Raises FileNotFoundError, FileFault, and ValueError for an `origin`."""
    if origin is not None:
        raise ValueError(f"{path} is in metres of its own; expected no origin")
    root, report = read_xml(path, "OpenDRIVE", "an OpenDRIVE map"), Report()
    own = _own(root, path)
    if own is not None:
        return own, report
    elements: list[StreetElement] = []
    lines: list[tuple[bool, Points, dict[str, str]]] = []

    def add(label: str, points: Points, attributes: dict[str, str]) -> None:
        closed = len(points) > 3 and bool(np.array_equal(points[0], points[-1]))
        elements.append(StreetElement(len(elements) + 1, label, points, 1.0, 0, closed, attributes))

    areas: list[BaseGeometry] = []
    heights: list[Points] = []
    for road in root.iter("road"):
        where = f"{path}: road {road.get('id')}"
        report.add("shape of a road", sum(1 for _ in road.iter("shape")))
        plan = plan_of(road, where)
        lanes = RoadLanes(road, plan, where, report)
        lines += [(lanes.in_junction, line, attributes) for line, attributes in lanes.dividers()]
        areas += lanes.areas
        heights += lanes.heights
        for ring in _crosswalks(road, plan, where, report):
            add("ped_crossing", ring, {})
    lines.sort(key=lambda line: line[0])  # the same line of a road and of a junction is the road's
    alone = sum(not in_junction for in_junction, *_ in lines)
    for line, attributes in meeting(each_once([line[1:] for line in lines], alone, report)):
        add("divider", line, attributes)
    for ring in _edges(areas, heights, report):
        add("boundary", ring, {})
    return StreetMap(tuple(elements), origin=_place(root, path, report)), report


def _own(root: Element, path: Path) -> StreetMap | None:
    """The map that our own writer put into userData; None for a file of others."""
    values: dict[str, list[str]] = {MAP: [], ELEMENT: []}
    for data in root.iter("userData"):
        if data.get("code") in values:
            values[str(data.get("code"))].append(str(data.get("value")))
    if not values[MAP]:
        return None
    try:
        head = json.loads(values[MAP][0])
        elements = []
        for value in values[ELEMENT]:
            facts: dict[str, Any] = json.loads(value)
            elements.append(StreetElement(points_m=np.asarray(facts.pop("points_m"), np.float64), **facts))
        place = None if head["origin"] is None else MapOrigin(**head["origin"])
        return StreetMap(tuple(elements), head["frame"], place, head["metadata"])
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise FileFault(f"{path}: userData of mapkd is damaged ({error}); convert the map again") from error


def _place(root: Element, path: Path, report: Report) -> MapOrigin | None:
    """The origin of a file in UTM, or in a projection that is a plane there; of others the place is not taken."""
    text = next((e.text or "" for e in root.iter("geoReference")), "").strip()
    if not text:
        return None
    offset = next(root.iter("offset"), None)
    where = f"{path}: offset"
    x, y, z, heading = (
        0.0 if offset is None else number_of(offset.attrib, name, where, 0.0) for name in ("x", "y", "z", "hdg")
    )
    if heading:
        report.add("offset with a heading: the place on Earth is not taken")
        return None
    import pyproj
    from pyproj.exceptions import ProjError

    if "+lat_0=" in text and "+proj=" not in text:  # RoadRunner of 2019, and with it CARLA's towns
        text = f"+proj=tmerc {text}"
    try:  # without the heights' grid, which pyproj wants as a file and then knows no place at all
        system = pyproj.CRS.from_user_input(_HEIGHTS.sub("", text))
        to_degrees = pyproj.Transformer.from_crs(system, 4326, always_xy=True)
        lon, lat = (float(value) for value in to_degrees.transform(x, y))
        factors = pyproj.Proj(system).get_factors(lon, lat)
    except ProjError:
        report.add(f"geoReference {shown(text)}: pyproj makes nothing of it")
        return None
    if not (np.isfinite([lon, lat]).all() and abs(lat) <= 84 and abs(lon) <= 180):
        report.add(f"geoReference {shown(text)}: its origin has no place on Earth")
        return None
    zone = system.utm_zone
    if zone:
        return MapOrigin(lat, lon, z, (32700 if zone.endswith("S") else 32600) + int(zone[:-1]))
    scale = max(abs(factors.meridional_scale - 1), abs(factors.parallel_scale - 1))
    if not (system.is_projected and scale < _FLAT and abs(factors.meridian_convergence) < np.degrees(_FLAT)):
        report.add(f"geoReference {shown(text)}: no UTM, and at its origin not to scale, or turned")
        return None
    report.add("projection that is no UTM: taken for the plane that touches the Earth at the map's origin")
    return MapOrigin(lat, lon, z)


def _crosswalks(road: Element, plan: Plan, where: str, report: Report) -> Iterator[Points]:
    for item in road.iter("object"):
        if item.get("type") != "crosswalk":
            continue
        outlines = [o for o in item.iter("outline") if o.get("outer", "true") != "false"]
        report.add("repeated crosswalk: the first is taken", int(item.find("repeat") is not None))
        name = f"{where}: object {item.get('id')}"
        s, t = (number_of(item.attrib, key, name, 0.0) for key in ("s", "t"))
        place, heading = plan.points(np.array([s]), np.array([t]))[0], plan.heading(s)
        heading += number_of(item.attrib, "hdg", name, 0.0)
        place[2] += number_of(item.attrib, "zOffset", name, 0.0)
        cos, sin = np.cos(heading), np.sin(heading)

        def local(
            u: float, v: float, z: float, place: Points = place, cos: float = cos, sin: float = sin
        ) -> Points:
            return place + [u * cos - v * sin, u * sin + v * cos, z]

        rings = []
        for outline in outlines:
            ring = []
            for corner in outline:
                if corner.tag == "cornerLocal":
                    u, v, z = (number_of(corner.attrib, key, name, 0.0) for key in ("u", "v", "z"))
                    ring.append(local(u, v, z))
                elif corner.tag == "cornerRoad":
                    at, away = (np.array([number_of(corner.attrib, key, name)]) for key in ("s", "t"))
                    ring.append(plan.points(at, away)[0] + [0, 0, number_of(corner.attrib, "dz", name, 0.0)])
            rings.append(ring)
        if not outlines:
            u, v = (number_of(item.attrib, key, name, 0.0) / 2 for key in ("length", "width"))
            if u > 0 and v > 0:
                rings.append([local(a * u, b * v, 0.0) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
        found = [ring for ring in rings if len(ring) >= 3]
        for ring in found:
            yield np.array([*ring, ring[0]]) if np.any(ring[0] != ring[-1]) else np.array(ring)
        report.add("crosswalk without an outline", int(not found))


def _edges(areas: list[BaseGeometry], heights: list[Points], report: Report) -> Iterator[Points]:
    """The outlines of the lanes' union, the gaps of rounding closed; z is that of the nearest place of a lane."""
    if not areas:
        return
    united = shapely.union_all([area.buffer(0.02) for area in areas]).buffer(-0.02)
    from scipy.spatial import cKDTree

    known = np.concatenate(heights)
    tree = cKDTree(known[:, :2])
    for part in shapely.get_parts(united):
        for ring in [part.exterior, *part.interiors] if isinstance(part, Polygon) else []:
            if Polygon(ring).area < SMALLEST_M2:
                report.add(f"outline of less than {SMALLEST_M2:g} m² between lanes: no edge of a road")
                continue
            xy = np.asarray(ring.simplify(0.01).coords, np.float64)[:, :2]
            z = known[tree.query(xy)[1], 2]
            z[-1] = z[0]
            yield np.concatenate([xy, z[:, None]], 1)
