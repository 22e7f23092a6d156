"""A street map as Lanelet2's `.osm`, for Lanelet2 and Autoware.

Each line is a linestring of `lanelet2_tags.py`, cut where lanes begin and end; roads and crosswalks are lanelets that
share linestrings with their neighbors and points with what follows them. Positions are in latitude and longitude, which
Lanelet2 reads, and in `local_x`, `local_y`, which Autoware reads, with `map_projector_info.yaml` beside the file.
A map of unknown place lies at 1 N, 3 E, with the projector `Local`.
"""
from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.files import replacing
from mapkd_core.map_formats.crossings import sides_of
from mapkd_core.map_formats.earth import EarthFrame, at_place
from mapkd_core.map_formats.lane_map import Lane, Lanes
from mapkd_core.map_formats.lane_ways import Traffic
from mapkd_core.map_formats.lanelet2_tags import tags_of
from mapkd_core.map_formats.lanes import lanes_of
from mapkd_core.map_formats.projector_info import ProjectorInfo
from mapkd_core.map_formats.report import Report
from mapkd_core.map_formats.xml_files import xml_text
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap

Points = NDArray[np.float64]
NOWHERE = at_place(1.0, 3.0)
"""Where a map of unknown place is put."""
META = "MetaInfo"
"""Autoware's element for facts of the whole file, passed over by Lanelet2; ours has attributes of its own."""
_SAME_M = 6
"""Decimals of a metre in which ends of lines must agree to be one point."""
_ROAD = {"type": "lanelet", "subtype": "road", "location": "urban", "one_way": "yes"}
_CROSSWALK = {"type": "lanelet", "subtype": "crosswalk", "location": "urban", "one_way": "no",
              "participant:pedestrian": "yes"}  # fmt: skip


@dataclass(frozen=True)
class Lanelet2Options:
    """How a map is written."""

    projector: Literal["frame", "mgrs"] = "frame"
    """`local_x` and `local_y` in the map's own frame, or in a square of MGRS."""
    traffic: Traffic = "right"
    autoware_rules: bool = False
    """Write Autoware's regulatory elements of crosswalks, too; Lanelet2 opens them only with Autoware's extension."""


def write_lanelet2(street_map: StreetMap, path: Path, options: Lanelet2Options | None = None) -> Report:
    """Writes `path` and `map_projector_info.yaml` beside it; tells what the file cannot hold.

    Raises ModuleNotFoundError without the extra `maps`, ValueError for a folder with another map's projector, OSError.
    """
    options = options or Lanelet2Options()
    report = Report()
    report.add("text with characters that XML cannot hold", _spoilt(street_map))
    writer = _Writer(street_map, options, report)
    if street_map.origin is None:
        report.add("place on Earth unknown: latitude and longitude are those of 1 N, 3 E, the projector is Local")
    lanes = lanes_of(street_map, street_map.paths_m, options.traffic)
    writer.add_lines(lanes)
    crossings = street_map.of("ped_crossing")
    walks = [(element, walk) for element in crossings if (walk := writer.add_crossing(element)) is not None]
    roads = [writer.add_road(lanes, lane) for lane in lanes.lanes]
    with replacing(path) as partial:
        root = writer.tree(partial)
        if options.autoware_rules:
            areas = [lanes.area(lane) for lane in lanes.lanes]
            _add_rules(root, walks, list(zip(areas, roads, strict=True)))
        ElementTree.indent(root)
        partial.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
        writer.info.write(path.parent)
    return report


def projector_info(origin: MapOrigin | None, options: Lanelet2Options) -> ProjectorInfo:
    """What stands beside the file of a map that lies at `origin`.

    Raises ValueError for a place that has no MGRS square, ModuleNotFoundError without the extra `maps`.
    """
    import lanelet2.io  # noqa: F401  what cannot be written needs no info

    known = None if origin is None else _in_usual_zone(origin)
    if options.projector != "mgrs":
        return ProjectorInfo.of_frame(known)
    if known is None:
        raise ValueError("a map of unknown place has no MGRS square; give it an origin, or use its own frame")
    return ProjectorInfo.in_mgrs(known)


def _in_usual_zone(origin: MapOrigin) -> MapOrigin:
    """The origin in the UTM zone that Lanelet2 and Autoware take there."""
    if origin.utm_epsg is None:
        return origin
    return at_place(origin.latitude_deg, origin.longitude_deg, origin.altitude_m)


class _Writer:
    """Builds the `lanelet2` objects of one map."""

    def __init__(self, street_map: StreetMap, options: Lanelet2Options, report: Report) -> None:
        import lanelet2.core
        import lanelet2.io
        import lanelet2.projection

        self.core, self.io, self.report = lanelet2.core, lanelet2.io, report
        self.map = self.core.LaneletMap()
        self.street_map = street_map
        self.given = street_map.origin or NOWHERE
        origin = _in_usual_zone(self.given)
        self.earth, self.autoware = EarthFrame(self.given), EarthFrame(origin)
        self.turned = origin != self.given
        if self.turned:
            report.add(
                f"frame of EPSG:{self.given.utm_epsg} written in EPSG:{origin.utm_epsg}, the zone that Lanelet2 and "
                "Autoware have there"
            )
        place = self.io.Origin(origin.latitude_deg, origin.longitude_deg, origin.altitude_m)
        kind = lanelet2.projection.LocalCartesianProjector if origin.utm_epsg is None else (
            lanelet2.projection.UtmProjector
        )
        self.projector = kind(place)
        self.info = projector_info(street_map.origin, options)
        self.offset_m = self.info.offset_m()
        self.last_id = 0
        self.ends: dict[tuple[float, ...], Any] = {}
        self.linestrings: list[Any] = []

    def new_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def points(self, points_m: Points, added: tuple[bool, bool] = (False, False)) -> list[Any]:
        """Points of a line; its ends are shared with lines that begin or end at the same place."""
        degrees = self.earth.degrees(points_m)
        local = self.autoware.metres(degrees) if self.turned else points_m
        result = []
        for k, ((lon, lat, up), (x, y, _)) in enumerate(zip(degrees.tolist(), local.tolist(), strict=True)):
            is_end = k in (0, len(points_m) - 1)
            key = tuple((np.round(points_m[k], _SAME_M) + 0.0).tolist())
            point = self.ends.get(key) if is_end else None
            if point is None:
                at = self.projector.forward(self.core.GPSPoint(lat, lon, up))
                point = self.core.Point3d(self.new_id(), at.x, at.y, at.z)
                point.attributes["local_x"] = repr(x + self.offset_m[0])
                point.attributes["local_y"] = repr(y + self.offset_m[1])
                if is_end:
                    self.ends[key] = point
                    if added[0 if k == 0 else 1]:
                        point.attributes["mapkd:added"] = "yes"
            result.append(point)
        return result

    def linestring(self, points: Iterable[Any], tags: dict[str, str]) -> Any:
        line = self.core.LineString3d(self.new_id(), list(points))
        _tag(line, tags)
        self.map.add(line)
        return line

    def add_lines(self, lanes: Lanes) -> None:
        """All dividers and boundaries, one linestring a piece."""
        count = {piece.element.id: 0 for piece in lanes.pieces}
        for piece in lanes.pieces:
            count[piece.element.id] += 1
        written = set()
        for piece in lanes.pieces:
            part = f"{piece.number + 1}/{count[piece.element.id]}"
            tags = tags_of(piece.element, part)
            self.linestrings.append(self.linestring(self.points(piece.points_m, piece.added), tags))
            written.add(piece.element.id)
        for element in self.street_map.elements:  # too short for lanes
            if element.label != "ped_crossing" and element.id not in written:
                self.linestring(self.points(element.points_m), tags_of(element, "1/1"))

    def add_crossing(self, element: StreetElement) -> int | None:
        """A crosswalk's lanelet and its id, or a mere linestring where it has no two sides."""
        is_area = element.closed and shapely.Polygon(element.points_m[:, :2]).is_valid
        sides = sides_of(element.points_m) if is_area else None
        if sides is None:
            self.report.add("crossing without two sides: a linestring, no crosswalk")
            self.linestring(self.points(element.points_m), tags_of(element, "1/1"))
            return None
        one, other, start = sides
        tags = tags_of(element, "1/2") | {"mapkd:start": str(start)}
        left = self.linestring(self.points(one), tags)
        right = self.linestring(self.points(other), tags_of(element, "2/2"))
        return self.lanelet(left, right.invert(), _CROSSWALK)

    def add_road(self, lanes: Lanes, lane: Lane) -> int:
        """A road's lanelet and its id."""
        left, right = self.linestrings[lane.left], self.linestrings[lane.right]
        for line in (left, right):
            if "lane_change" not in line.attributes:
                tags = line.attributes
                free = tags["type"] == "virtual" or ("subtype" in tags and tags["subtype"] == "dashed")
                tags["lane_change"] = "yes" if free else "no"
        return self.lanelet(
            left.invert() if lane.left_reversed else left, right.invert() if lane.right_reversed else right, _ROAD
        )

    def lanelet(self, left: Any, right: Any, tags: dict[str, str]) -> int:
        lanelet = self.core.Lanelet(self.new_id(), left, right)
        _tag(lanelet, tags)
        self.map.add(lanelet)
        return int(lanelet.id)

    def tree(self, path: Path) -> ElementTree.Element:
        """The file as Lanelet2 writes it, with the facts of the whole map."""
        path.touch()  # a folder that takes no files says so in the system's words, not in lanelet2's
        written = Path(f"{path}.osm")
        try:
            self.io.write(str(written), self.map, self.projector)
            root = ElementTree.fromstring(written.read_bytes())
        except (RuntimeError, ElementTree.ParseError) as error:
            raise ValueError(f"lanelet2 could not write the map: {error}; is there space on the disk?") from error
        finally:
            written.unlink(missing_ok=True)
        facts = {"format_version": "1", "map_version": "1", "generator": "mapkd"}
        facts["frame"] = xml_text(self.street_map.frame)
        facts["metadata"] = xml_text(json.dumps(dict(self.street_map.metadata)))
        facts["origin"] = json.dumps(None if self.street_map.origin is None else self.given.as_dict())
        root.insert(0, ElementTree.Element(META, facts))
        return root


def _tag(primitive: Any, tags: dict[str, str]) -> None:
    for key, value in tags.items():
        primitive.attributes[key] = value


def _add_rules(
    root: ElementTree.Element,
    walks: list[tuple[StreetElement, int]],
    roads: list[tuple[shapely.Polygon, int]],
) -> None:
    """A regulatory element for each crosswalk, referred to by the roads that it lies on."""
    relations = {relation.get("id"): relation for relation in root.iter("relation")}
    search = shapely.STRtree([area for area, _ in roads])
    next_id = max((int(e.get("id", "0")) for e in root if e.get("id")), default=0) + 1
    for number, (element, walk) in enumerate(walks, next_id):
        attributes = {"id": str(number), "visible": "true", "version": "1"}
        rule = ElementTree.SubElement(root, "relation", attributes)
        ElementTree.SubElement(rule, "member", {"type": "relation", "ref": str(walk), "role": "refers"})
        ElementTree.SubElement(rule, "tag", {"k": "type", "v": "regulatory_element"})
        ElementTree.SubElement(rule, "tag", {"k": "subtype", "v": "crosswalk"})
        area = shapely.make_valid(shapely.Polygon(element.points_m[:, :2]))
        for place in search.query(area, predicate="intersects"):
            member = {"type": "relation", "ref": str(number), "role": "regulatory_element"}
            relations[str(roads[place][1])].insert(2, ElementTree.Element("member", member))


def _spoilt(street_map: StreetMap) -> int:
    """Texts that XML has no place for."""
    texts = [word for e in street_map.elements for pair in e.attributes.items() for word in pair]
    return sum(xml_text(word) != word for word in (street_map.frame, *texts))
