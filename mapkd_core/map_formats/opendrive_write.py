"""A street map as OpenDRIVE 1.7 or 1.8: roads with lanes between its lines, crosswalks and all other lines as objects.

OpenDRIVE describes roads, not lines: lines that bound no lane stand as objects, elevation is that of the reference
line, and vertices of other lines are those of widths. So that nothing is lost, the header's `userData` hold each
element as it is; software that does not know them passes them over, and may drop them.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from mapkd_core.files import write_atomic
from mapkd_core.map_formats.earth import EarthFrame
from mapkd_core.map_formats.lane_ways import Traffic
from mapkd_core.map_formats.lanes import lanes_of
from mapkd_core.map_formats.opendrive_curve import curve_through
from mapkd_core.map_formats.opendrive_roads import Road, roads_of, table
from mapkd_core.map_formats.report import Report
from mapkd_core.map_formats.xml_files import xml_text
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap

Points = NDArray[np.float64]
Version = Literal["1.7", "1.8"]
"""What is written is the same, and valid by both."""
MAP, ELEMENT = "mapkd:map", "mapkd:element"
MARKS = {"solid": "solid", "dashed": "broken", "double": "solid solid", "none": "none"}
Element = ElementTree.Element


def write_opendrive(street_map: StreetMap, path: Path, traffic: Traffic = "right", version: Version = "1.7") -> Report:
    """Writes the file and tells what its roads cannot hold. Raises OSError."""
    report = Report()
    roads = roads_of(lanes_of(street_map, street_map.paths_m, traffic), traffic == "left")
    on_roads = {e.id for road in roads for e in (road.center, *(line for line, _ in (*road.left, *road.right)))}
    root = Element("OpenDRIVE")
    _header(root, street_map, version, report)
    if not roads:
        roads = [_bare_road(street_map)]
    written = [_road(root, road, traffic) for road in roads]
    others = [element for element in street_map.elements if element.id not in on_roads]
    for element in others:
        nearest = _nearest(roads, element.points_m.mean(0)[:2])
        _object(written[nearest], roads[nearest], element)
    lines = [element for element in others if element.label != "ped_crossing"]
    report.add("line that bounds no lane: an object beside a road", len(lines))
    report.add("element whose elevation, score, id and attributes stand in userData alone", len(street_map.elements))
    ElementTree.indent(root)
    write_atomic(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
    return report


def _add(parent: Element, tag: str, /, **attributes: object) -> Element:
    return ElementTree.SubElement(parent, tag, {
        key: f"{value:.12g}" if isinstance(value, float) else str(value) for key, value in attributes.items()
    })  # fmt: skip


def _header(root: Element, street_map: StreetMap, version: Version, report: Report) -> None:
    west, south, east, north = street_map.bounds_m
    header = _add(
        root, "header", revMajor=1, revMinor=version.partition(".")[2], name=xml_text(street_map.frame), version="1.0",
        north=north, south=south, east=east, west=west, vendor="mapkd",
    )  # fmt: skip
    if street_map.origin is not None:
        _add(header, "geoReference").text = _projection(street_map.origin)
        if street_map.origin.utm_epsg is not None:
            x, y = EarthFrame(street_map.origin).origin_utm_m
            _add(header, "offset", x=float(x), y=float(y), z=street_map.origin.altitude_m, hdg=0.0)
        else:
            _add(header, "offset", x=0.0, y=0.0, z=street_map.origin.altitude_m, hdg=0.0)
            report.add("tangent plane at the origin, called transverse Mercator: the same to 0.1 mm within 1 km")
    else:
        report.add("place on Earth unknown: no geoReference")
    head = {
        "format": 1, "frame": street_map.frame, "metadata": dict(street_map.metadata),
        "origin": None if street_map.origin is None else street_map.origin.as_dict(),
    }  # fmt: skip
    _add(header, "userData", code=MAP, value=json.dumps(head))
    for e in street_map.elements:
        facts: dict[str, Any] = {
            "id": e.id, "label": e.label, "score": e.score, "sightings": e.sightings, "closed": e.closed,
            "attributes": dict(e.attributes), "points_m": e.points_m.tolist(),
        }  # fmt: skip
        _add(header, "userData", code=ELEMENT, value=json.dumps(facts))


def _projection(origin: MapOrigin) -> str:
    if origin.utm_epsg is None:
        return (
            f"+proj=tmerc +lat_0={origin.latitude_deg!r} +lon_0={origin.longitude_deg!r} +k=1 +x_0=0 +y_0=0 "
            "+datum=WGS84 +units=m +no_defs"
        )
    south = " +south" if origin.utm_epsg >= 32700 else ""
    return f"+proj=utm +zone={origin.utm_epsg % 100}{south} +datum=WGS84 +units=m +no_defs"


def _bare_road(street_map: StreetMap) -> Road:
    """Of a map without lanes: a road that carries its objects, with a lane of no type."""
    west, south, east, north = street_map.bounds_m
    corners = np.array([[west, south], [max(east, west + 1.0), north]])
    nothing = StreetElement(0, "divider", np.zeros((2, 3)), attributes={"paint": "none"})
    curve = curve_through(corners)
    road = Road(1, curve, np.zeros(2), 0.0, float(curve.stations_m[-1]), nothing)
    road.right.append((nothing, [(0.0, 1.0, 0.0)]))
    return road


def _road(root: Element, road: Road, traffic: Traffic) -> Element:
    rule = "LHT" if traffic == "left" else "RHT"
    entry = _add(root, "road", name="", length=road.length_m, id=road.key, junction=-1, rule=rule)
    link = _add(entry, "link")
    for name, other, contact in (("predecessor", road.predecessor, "end"), ("successor", road.successor, "start")):
        if other is not None:
            _add(link, name, elementType="road", elementId=other.key, contactPoint=contact)
    _geometry(_add(entry, "planView"), road)
    _elevation(entry, road)
    section = _add(_add(entry, "lanes"), "laneSection", s=0.0)
    is_bare = road.center.id == 0 and not road.center.points_m.any()
    for name, lanes, sign in (("left", road.left[::-1], 1), ("center", None, 0), ("right", road.right, -1)):
        if lanes is None:
            center = _add(_add(section, "center"), "lane", id=0, type="none", level="false")
            _mark(center, road.center)
        elif lanes:
            side = _add(section, name)
            for k, (line, width) in enumerate(lanes):
                number = sign * (len(lanes) - k if sign > 0 else k + 1)
                lane = _add(side, "lane", id=number, type="none" if is_bare else "driving", level="false")
                links = _add(lane, "link")
                for which, other in (("predecessor", road.predecessor), ("successor", road.successor)):
                    if other is not None:
                        _add(links, which, id=number)
                for s, a, b in width:
                    _add(lane, "width", sOffset=s, a=a, b=b, c=0.0, d=0.0)
                _mark(lane, line)
    return entry


def _geometry(view: Element, road: Road) -> None:
    """The pieces of the reference curve between the road's ends, cut where they lie inside one."""
    curve, stations = road.curve, road.curve.stations_m
    for k in range(len(curve.polynomials)):
        begin, end = max(stations[k], road.begin_m), min(stations[k + 1], road.end_m)
        if end - begin < 1e-6:
            continue
        p0, p1 = (curve.parameter(k, s) for s in (begin, end))
        (place,), (slope,) = curve.at(k, np.array([p0]))
        heading = float(np.arctan2(slope[1], slope[0]))
        cos, sin = np.cos(heading - curve.headings[k]), np.sin(heading - curve.headings[k])
        u, v = np.array([[cos, sin], [-sin, cos]]) @ _part(curve.polynomials[k], p0, p1)
        u[0] = v[0] = v[1] = 0.0
        geometry = _add(
            view, "geometry", s=float(begin - road.begin_m), x=float(place[0]), y=float(place[1]), hdg=heading,
            length=float(end - begin),
        )  # fmt: skip
        names = (("aU", u[0]), ("bU", u[1]), ("cU", u[2]), ("dU", u[3]), ("aV", v[0]), ("bV", v[1]), ("cV", v[2]),
                 ("dV", v[3]))  # fmt: skip
        _add(geometry, "paramPoly3", **{name: float(value) for name, value in names}, pRange="normalized")


def _part(polynomial: Points, p0: float, p1: float) -> Points:
    """The polynomial in q from 0 to 1, where p runs from p0 to p1."""
    a, b, c, d = polynomial.T
    h = p1 - p0
    return np.stack([
        a + b * p0 + c * p0**2 + d * p0**3, h * (b + 2 * c * p0 + 3 * d * p0**2), h**2 * (c + 3 * d * p0), h**3 * d
    ], -1)  # fmt: skip


def _elevation(entry: Element, road: Road) -> None:
    stations = road.curve.stations_m
    inner = stations[(stations > road.begin_m + 1e-3) & (stations < road.end_m - 1e-3)]
    at = np.concatenate([[road.begin_m], inner, [road.end_m]])
    z = np.interp(at, stations, road.elevation)
    if np.abs(z).max() > 1e-9:
        profile = _add(entry, "elevationProfile")
        for s, a, b in table(at - road.begin_m, z):
            _add(profile, "elevation", s=s, a=a, b=b, c=0.0, d=0.0)


def _mark(lane: Element, line: StreetElement) -> None:
    paint = line.attributes.get("paint", "solid")
    kind = MARKS.get(paint, "solid") if line.label == "divider" else (
        "curb" if line.attributes.get("edge") == "curb" else "none"
    )  # fmt: skip
    color = line.attributes.get("color", "")
    _add(
        lane, "roadMark", sOffset=0.0, type=kind, weight="standard", width=0.12,
        color=color if color in ("white", "yellow") else "standard",
        laneChange="both" if kind == "broken" else "none",
    )  # fmt: skip


def _nearest(roads: list[Road], point_m: Points) -> int:
    away = [float(np.linalg.norm(road.curve.points_m - point_m, axis=1).min()) for road in roads]
    return int(np.argmin(away))


def _object(entry: Element, road: Road, element: StreetElement) -> None:
    """A crosswalk, or a line that bounds no lane, beside a road."""
    middle = element.points_m.mean(0)
    s = min(max(float(road.curve.project(middle[None, :2])[0][0]), road.begin_m), road.end_m)
    piece = int(np.clip(np.searchsorted(road.curve.stations_m, s) - 1, 0, len(road.curve.polynomials) - 1))
    (place,), (slope,) = road.curve.at(piece, np.array([road.curve.parameter(piece, s)]))
    heading = float(np.arctan2(slope[1], slope[0]))
    ahead, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    t = float((middle[:2] - place) @ left)
    origin = place + t * left
    base = float(np.interp(s, road.curve.stations_m, road.elevation))
    objects = entry.find("objects")
    if objects is None:
        objects = _add(entry, "objects")
    crosswalk = element.label == "ped_crossing"
    kind = {"type": "crosswalk"} if crosswalk else {"type": "roadMark"} if element.label == "divider" else {}
    away = element.points_m[:, :2] - origin
    u, v = away @ ahead, away @ left
    item = _add(
        objects, "object", id=f"{element.id}", name=element.label, s=float(s - road.begin_m), t=t, zOffset=0.0, hdg=0.0,
        pitch=0.0, roll=0.0, orientation="none", length=float(np.ptp(u)), width=float(np.ptp(v)), height=0.0, **kind,
    )  # fmt: skip
    closed = "true" if element.closed else "false"
    outline = _add(_add(item, "outlines"), "outline", id=0, closed=closed)
    count = len(u) - 1 if element.closed else len(u)
    for k in range(count):
        z = float(element.points_m[k, 2] - base)
        _add(outline, "cornerLocal", u=float(u[k]), v=float(v[k]), z=z, height=0.0)
