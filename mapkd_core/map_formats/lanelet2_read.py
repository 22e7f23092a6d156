"""A Lanelet2 `.osm` file as a street map: our own without loss, those of others as far as they hold lines of ours."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

from mapkd_core.map_formats.crossings import ring_of
from mapkd_core.map_formats.lanelet2_tags import attributes_of, facts_of, label_of
from mapkd_core.map_formats.osm_file import OsmFile, Way, meta_json, read_osm
from mapkd_core.map_formats.osm_places import places_of
from mapkd_core.map_formats.report import Report
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.schema import FileFault, shown

Points = NDArray[np.float64]
_BESIDE_M = 0.3
"""What reaches no farther out of a crosswalk belongs to it."""
_BAR_M = 1.0
"""Rings that are narrower on average are bars; nobody crosses on less."""


def read_lanelet2(path: Path, origin: MapOrigin | None = None) -> tuple[StreetMap, Report]:
    """The lines of a file, in the frame of `origin`, of our own writer, of Autoware's projector, or round their middle.

    Dividers are `line_thin` and `line_thick`, boundaries `road_border`, `curbstone` and other edges, crossings lanelets
    of subtype `crosswalk` and lines `pedestrian_marking`. `virtual` lines of others and all else are left out and
    reported, as are lines and bars that lie on a crosswalk.
    Raises FileNotFoundError, FileFault.
    """
    file, report = read_osm(path), Report()
    places, frame = places_of(file, origin, report)
    reader = _Reader(file, places, report)
    elements = reader.elements()
    metadata = meta_json(file, "metadata", json.loads)
    try:
        name = file.meta.get("frame") or "map"
        return StreetMap(tuple(elements), name, frame, metadata if isinstance(metadata, dict) else {}), report
    except ValueError as error:
        raise FileFault(f"{path}: {error}") from error


class _Reader:
    """Turns ways and lanelets into elements."""

    def __init__(self, file: OsmFile, places: Mapping[int, Points], report: Report) -> None:
        self.file, self.places, self.report = file, places, report
        self.taken: set[int] = set()

    def elements(self) -> list[StreetElement]:
        """All of the file, in its order."""
        own: dict[int, list[tuple[dict[str, Any], Way]]] = {}
        for key, way in self.file.ways.items():
            try:
                facts = facts_of(way.tags)
            except ValueError as error:
                raise FileFault(f"{self.file.path}: way {key}: {error}; convert the map again") from error
            if facts is not None:
                own.setdefault(facts["id"], []).append((facts, way))
        self.taken = set(own)
        result = [element for parts in own.values() for element in self._own(parts)]
        ours = {id(way) for parts in own.values() for _, way in parts}
        others = {key: way for key, way in self.file.ways.items() if id(way) not in ours}
        result += self._crosswalks(others)
        result += [e for key, way in others.items() for e in self._other(key, way)]
        return result

    def _line(self, nodes: Iterable[int]) -> Points:
        return np.array([self.places[node] for node in nodes], np.float64).reshape(-1, 3)

    def _own(self, parts: list[tuple[dict[str, Any], Way]]) -> list[StreetElement]:
        """The element of which the parts were written, or an element a part where some are gone."""
        parts.sort(key=lambda part: part[0]["part"])
        whole = [facts["part"] for facts, _ in parts] == list(range(1, parts[0][0]["parts"] + 1))
        start = parts[0][1].tags.get("mapkd:start")
        if whole and start is not None and len(parts) == 2 and start.isdigit():
            one, other = (self._line(way.nodes) for _, way in parts)
            return [self._made(parts[0], ring_of(one, other, int(start)))]
        joined = [parts[0][1].nodes[:1], *(way.nodes[1:] for _, way in parts)]
        meets = all(a.nodes[-1:] == b.nodes[:1] for (_, a), (_, b) in pairwise(parts))
        if whole and meets:
            nodes = [node for some in joined for node in some if not self.file.nodes[node].added]
            return [self._made(parts[0], self._line(nodes))] if len(nodes) > 1 else self._short()
        self.report.add("element that was changed elsewhere: its parts are elements now")
        made = []
        for number, (facts, way) in enumerate(parts):
            changed = {**facts, "id": facts["id"] if not number else self._new_id(), "closed": False}
            made += [self._made((changed, way), self._line(way.nodes))] if len(way.nodes) > 1 else self._short()
        return made

    def _made(self, part: tuple[dict[str, Any], Way], points_m: Points) -> StreetElement:
        facts = {key: value for key, value in part[0].items() if key not in ("part", "parts")}
        if facts["closed"] and not (len(points_m) > 3 and np.array_equal(points_m[0], points_m[-1])):
            facts["closed"] = False
            self.report.add("ring that was opened elsewhere: an open line now")
        try:
            return StreetElement(points_m=points_m, **facts)
        except ValueError as error:
            raise FileFault(f"{self.file.path}: {error}") from error

    def _crosswalks(self, others: dict[int, Way]) -> list[StreetElement]:
        """Crosswalk lanelets of other software; their bounds are taken out of `others`."""
        found: list[StreetElement] = []
        used: set[int] = set()
        for key, relation in self.file.relations.items():
            kind, subtype = relation.tags.get("type", ""), relation.tags.get("subtype", "")
            if kind == "lanelet" and subtype == "crosswalk":
                bounds = [way for role in ("left", "right") for way in relation.ways(role)]
                if all(way in self.file.ways and way not in others for way in bounds) and bounds:
                    continue  # our own, of which the lines are elements
                if len(bounds) != 2 or not all(way in others for way in bounds):
                    self.report.add("crosswalk whose sides are not one line each in this file: left out")
                    continue
                left, right = (self._line(others[way].nodes) for way in bounds)
                if len(left) < 2 or len(right) < 2:
                    self._short()
                    continue
                used |= set(bounds)
                ahead = np.linalg.norm(left[0] - right[0]) + np.linalg.norm(left[-1] - right[-1])
                against = np.linalg.norm(left[0] - right[-1]) + np.linalg.norm(left[-1] - right[0])
                ring = ring_of(left, right[::-1] if ahead <= against else right)
                found.append(StreetElement(self._new_id(key), "ped_crossing", ring, sightings=0, closed=len(ring) > 3))
            elif kind != "lanelet" or self.file.meta.get("generator") != "mapkd":
                self.report.add(f"{kind or 'relation'} of subtype {shown(subtype)}: lines are kept, not what they make")
        for way in used:
            others.pop(way, None)
        for way in self._paint_of(others, found):
            others.pop(way)
        return found

    def _paint_of(self, others: Mapping[int, Way], crosswalks: list[StreetElement]) -> set[int]:
        """Ways that are paint of a crossing, none by itself: those on a crosswalk, and bars of a zebra elsewhere."""
        areas = [Polygon(element.points_m[:, :2]) for element in crosswalks if element.closed]
        whole = shapely.union_all([area.buffer(_BESIDE_M) for area in areas if area.is_valid])
        found = set()
        for key, way in others.items():
            if label_of(way.tags) != "ped_crossing" or len(way.nodes) < 2:
                continue
            line = LineString(self._line(way.nodes)[:, :2])
            if not line.length:
                continue
            if line.intersection(whole).length > 0.5 * line.length:
                self.report.add("line on a crosswalk: part of that crossing")
            elif line.is_ring and 2 * Polygon(line).area < _BAR_M * line.length:
                self.report.add("bar of a zebra without a lanelet: no crossing by itself, left out")
            else:
                continue
            found.add(key)
        return found

    def _other(self, key: int, way: Way) -> list[StreetElement]:
        """A line of other software."""
        label, kind = label_of(way.tags), way.tags.get("type", "")
        if label is None or kind == "virtual":
            self.report.add(f"line of type {shown(kind)}: no element of a street map")
            return []
        points = self._line(way.nodes)
        if len(points) < 2:
            return self._short()
        closed = len(points) > 3 and bool(np.array_equal(points[0], points[-1]))
        attributes = attributes_of(way.tags)
        return [StreetElement(self._new_id(key), label, points, sightings=0, closed=closed, attributes=attributes)]

    def _short(self) -> list[StreetElement]:
        self.report.add("line of fewer than two vertices: left out")
        return []

    def _new_id(self, wanted: int = -1) -> int:
        """The id asked for, if it is free and none of an editor's negative ones; else the next free one."""
        free = wanted if wanted >= 0 and wanted not in self.taken else next(
            k for k in count(max(self.taken, default=0) + 1) if k not in self.taken
        )
        self.taken.add(free)
        return free
