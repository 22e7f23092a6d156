"""An OpenDRIVE file as a street map: our own without loss, those of others by the edges of their lanes.

Of others, lines between lanes of traffic are dividers with the paint of their `roadMark`, the outline of all lanes of
traffic is the boundary, objects `crosswalk` with an outline are crossings. Read are lines, arcs, spirals and cubics,
lane widths and offsets; lane borders, superelevation, shapes and repeated objects are not, and are reported.
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

from mapkd_core.map_formats.opendrive_plan import Plan, plan_of, polynomial
from mapkd_core.map_formats.opendrive_write import ELEMENT, MAP
from mapkd_core.map_formats.report import Report
from mapkd_core.map_formats.xml_files import number_of, read_xml
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.schema import FileFault, shown

Points = NDArray[np.float64]
Element = ElementTree.Element
TRAFFIC = ("driving", "entry", "exit", "onRamp", "offRamp", "connectingRamp", "slipLane", "bidirectional", "stop",
           "parking", "shoulder")  # fmt: skip
"""Types of lanes that are road: their outline is the boundary."""
PAINTS = {"solid": "solid", "broken": "dashed", "solid solid": "double", "solid broken": "double",
          "broken solid": "double", "broken broken": "double", "none": "none"}  # fmt: skip
STEP_M = 1.0
_UTM = re.compile(r"\+proj=utm\b.*?\+zone=(\d{1,2})")


def read_opendrive(path: Path, origin: MapOrigin | None = None) -> tuple[StreetMap, Report]:
    """The lines of a file, in its own metres. Raises FileNotFoundError, FileFault, and ValueError for an `origin`."""
    if origin is not None:
        raise ValueError(f"{path} is in metres of its own; expected no origin")
    root, report = read_xml(path, "OpenDRIVE", "an OpenDRIVE map"), Report()
    own = _own(root, path)
    if own is not None:
        return own, report
    elements: list[StreetElement] = []

    def add(label: str, points: Points, attributes: dict[str, str]) -> None:
        closed = len(points) > 3 and bool(np.array_equal(points[0], points[-1]))
        elements.append(StreetElement(len(elements) + 1, label, points, 1.0, 0, closed, attributes))

    areas: list[BaseGeometry] = []
    heights: list[Points] = []
    for road in root.iter("road"):
        where = f"{path}: road {road.get('id')}"
        for what in ("superelevation", "shape"):
            report.add(f"{what} of a road", sum(1 for _ in road.iter(what)))
        plan = plan_of(road, where)
        for line, attributes in _lanes(road, plan, where, areas, heights, report):
            add("divider", line, attributes)
        for ring in _crosswalks(road, plan, where, report):
            add("ped_crossing", ring, {})
    for ring in _edges(areas, heights):
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
    """The origin of a file in UTM; of other projections the place is not taken."""
    text = next((e.text or "" for e in root.iter("geoReference")), "")
    found = _UTM.search(text)
    if not found or not 1 <= int(found[1]) <= 60:
        if text.strip():
            report.add(f"geoReference {shown(text.strip())}: only UTM is taken")
        return None
    import pyproj

    epsg = (32700 if "+south" in text else 32600) + int(found[1])
    offset = next(root.iter("offset"), None)
    where = f"{path}: offset"
    x, y, z, heading = (
        0.0 if offset is None else number_of(offset.attrib, name, where, 0.0) for name in ("x", "y", "z", "hdg")
    )
    if heading:
        report.add("offset with a heading: the place on Earth is not taken")
        return None
    lon, lat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
    if not (np.isfinite([lon, lat]).all() and abs(lat) <= 84):
        return None
    return MapOrigin(float(lat), float(lon), z, epsg)


def _lanes(
    road: Element, plan: Plan, where: str, areas: list[BaseGeometry], heights: list[Points], report: Report
) -> Iterator[tuple[Points, dict[str, str]]]:
    """The lines between a road's lanes of traffic; their areas are added to `areas`."""
    sections = road.findall("lanes/laneSection")
    starts = [number_of(section.attrib, "s", f"{where}: laneSection") for section in sections] + [plan.length_m]
    offsets = road.findall("lanes/laneOffset")
    for section, begin, end in zip(sections, starts[:-1], starts[1:], strict=True):
        if end - begin < 1e-3:
            continue
        s: Points = np.linspace(begin, end, max(2, int((end - begin) / STEP_M) + 2), dtype=np.float64)
        base = polynomial(offsets, s, "s", f"{where}: laneOffset")
        center_mark = section.find("center/lane/roadMark")
        inner_types = []
        for name, sign in (("left", 1), ("right", -1)):
            lanes = sorted(section.findall(f"{name}/lane"), key=lambda lane: abs(_id(lane, where)))
            t, before = base, ""
            for k, lane in enumerate(lanes):
                if lane.find("border") is not None:
                    report.add("lane given by its border, not by its width")
                    break
                width = polynomial(lane.findall("width"), s - begin, "sOffset", f"{where}: width")
                outer = t + sign * width
                kind = str(lane.get("type"))
                if kind in TRAFFIC:
                    inside, outside = plan.points(s, t), plan.points(s, outer)
                    area = Polygon(np.concatenate([inside, outside[::-1]])[:, :2])
                    areas.append(area if area.is_valid else shapely.make_valid(area))
                    heights += [inside, outside]
                if k == 0:
                    inner_types.append(kind)
                elif before in TRAFFIC and kind in TRAFFIC:
                    yield plan.points(s, t), _paint(lanes[k - 1].find("roadMark"))
                t, before = outer, kind
        if len(inner_types) == 2 and all(kind in TRAFFIC for kind in inner_types):
            yield plan.points(s, base), _paint(center_mark)


def _id(lane: Element, where: str) -> int:
    return int(number_of(lane.attrib, "id", f"{where}: lane"))


def _paint(mark: Element | None) -> dict[str, str]:
    attributes = {"paint": PAINTS.get(str(mark.get("type")), "solid") if mark is not None else "none"}
    color = mark.get("color") if mark is not None else None
    return attributes | ({"color": color} if color in ("white", "yellow") else {})


def _crosswalks(road: Element, plan: Plan, where: str, report: Report) -> Iterator[Points]:
    for item in road.iter("object"):
        if item.get("type") != "crosswalk":
            continue
        corners = [corner for outline in item.iter("outline") for corner in outline]
        report.add("repeated crosswalk: the first is taken", int(item.find("repeat") is not None))
        name = f"{where}: object {item.get('id')}"
        s, t = (number_of(item.attrib, key, name, 0.0) for key in ("s", "t"))
        place, heading = plan.points(np.array([s]), np.array([t]))[0], plan.heading(s)
        heading += number_of(item.attrib, "hdg", name, 0.0)
        place[2] += number_of(item.attrib, "zOffset", name, 0.0)
        ring = []
        for corner in corners:
            if corner.tag == "cornerLocal":
                u, v, z = (number_of(corner.attrib, key, name) for key in ("u", "v", "z"))
                cos, sin = np.cos(heading), np.sin(heading)
                ring.append(place + [u * cos - v * sin, u * sin + v * cos, z])
            elif corner.tag == "cornerRoad":
                at, away = (np.array([number_of(corner.attrib, key, name)]) for key in ("s", "t"))
                ring.append(plan.points(at, away)[0] + [0, 0, number_of(corner.attrib, "dz", name, 0.0)])
        if len(ring) >= 3:
            yield np.array([*ring, ring[0]]) if np.any(ring[0] != ring[-1]) else np.array(ring)
        else:
            report.add("crosswalk without an outline")


def _edges(areas: list[BaseGeometry], heights: list[Points]) -> Iterator[Points]:
    """The outlines of the lanes' union, the gaps of rounding closed; z is that of the nearest place of a lane."""
    if not areas:
        return
    united = shapely.union_all([area.buffer(0.02) for area in areas]).buffer(-0.02)
    from scipy.spatial import cKDTree

    known = np.concatenate(heights)
    tree = cKDTree(known[:, :2])
    for part in shapely.get_parts(united):
        for ring in [part.exterior, *part.interiors] if isinstance(part, Polygon) else []:
            xy = np.asarray(ring.simplify(0.01).coords, np.float64)[:, :2]
            z = known[tree.query(xy)[1], 2]
            z[-1] = z[0]
            yield np.concatenate([xy, z[:, None]], 1)
