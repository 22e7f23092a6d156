"""Whether a Lanelet2 file is sound: a written list of checks, each with a name, for Lanelet2 and for Autoware.

`file.*` and `lanelet2.*` hold for any user of Lanelet2. `autoware.*` are rules of Autoware's map requirements as its
validator documents them (tier4/autoware_lanelet2_map_validator, the names in brackets), as far as they concern what a
street map becomes: roads and crosswalks, no traffic lights, stop lines or areas.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.map_formats.lanelet2_opened import opened_problems
from mapkd_core.map_formats.osm_file import OsmFile, Relation, read_osm
from mapkd_core.map_formats.osm_places import places_of
from mapkd_core.map_formats.report import Report
from mapkd_core.schema import FileFault

Points = NDArray[np.float64]
CHECKS = {
    "file.unreadable": "the file is an .osm of nodes, ways and relations, each id once, all members there",
    "file.ids": "an id is used once in the whole file, also by primitives of different kinds",
    "file.positions": "each node has latitude and longitude, and local_x and local_y that agree with them to 1 cm",
    "file.lines": "each line has two or more vertices, none twice in a row, and a type",
    "lanelet2.opens": "lanelet2 opens the file without a complaint, with each of its projectors",
    "lanelet2.keeps": "lanelet2 holds as many points, lines and lanelets as the file",
    "lanelet2.routing": "routing graphs of vehicles and pedestrians are built, and valid",
    "lanelet2.passable": "roads are passable for vehicles, crosswalks for pedestrians alone",
    "lanelet2.bounds": "a lanelet has a left and a right bound, apart from each other",
    "lanelet2.sides": "the area of a lanelet does not cross itself, and its left bound is on the left",
    "lanelet2.followers": "roads that end where another begins share both points with it",
    "autoware.sharing": "roads side by side share their line (mapping.lane.border_sharing)",
    "autoware.geometry": "bounds of a lanelet share no point (mapping.lane.lanelet_geometry)",
    "autoware.road": "a road has location urban and one_way yes (mapping.lane.road_lanelet_attribute)",
    "autoware.lane_change": "a line between roads of one direction has lane_change yes or no "
    "(mapping.lane.lane_change_attribute)",
    "autoware.speed_limit": "a speed_limit, if any, is 10 to 50 km/h (mapping.lane.speed_limit_validity)",
    "autoware.crosswalk": "a crosswalk has participant:pedestrian yes (mapping.crosswalk.regulatory_element_details)",
    "autoware.rules": "one regulatory element refers to each crosswalk (mapping.crosswalk.missing_regulatory_elements)",
}
"""Name of each check, and what holds where it finds nothing."""
_NEAR_M = 0.01
_BESIDE_M = 0.3


@dataclass(frozen=True)
class Problem:
    """What a check has found."""

    check: str
    """One of CHECKS."""
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.what}"


@dataclass(frozen=True, eq=False)
class _Lanelet:
    key: int
    subtype: str
    relation: Relation
    left: tuple[int, ...]
    right: tuple[int, ...]
    """Nodes, both in the lanelet's direction."""
    bounds: tuple[int, int]
    points_m: tuple[Points, Points]
    """(N, 2) each."""


def check_lanelet2(path: Path, autoware_rules: bool = False) -> list[Problem]:
    """What is wrong with a file, by the list above; empty where nothing is.

    `autoware.rules` is checked on request: plain Lanelet2 refuses files that fulfil it, so that `lanelet2.opens` then
    looks at the file without its regulatory elements. Raises FileNotFoundError, ModuleNotFoundError without lanelet2.
    """
    try:
        file, report = read_osm(path), Report()
        places, _ = places_of(file, None, report)
    except FileFault as error:
        return [Problem("file.unreadable", str(error))]
    found = [Problem("file.positions", line) for line in report.lines]
    found += _ids(file)
    found += _nodes(file)
    lanelets = []
    for key, relation in file.relations.items():
        if relation.tags.get("type") == "lanelet":
            left, right = relation.way("left"), relation.way("right")
            if left is not None and right is not None and left != right and {left, right} <= file.ways.keys():
                lanelets.append(_lanelet(file, key, relation, (left, right), places))
            else:
                found.append(Problem("lanelet2.bounds", f"lanelet {key} has the bounds {left} and {right}"))
    for lanelet in lanelets:
        found += _alone(lanelet)
    roads = [lanelet for lanelet in lanelets if lanelet.subtype == "road"]
    found += _lane_changes(file, roads)
    found += _side_by_side(roads)
    found += _followers(roads)
    if autoware_rules:
        found += _rules(file, [lanelet.key for lanelet in lanelets if lanelet.subtype == "crosswalk"])
    return found + [Problem(*words) for words in opened_problems(file, autoware_rules)]


def _ids(file: OsmFile) -> Iterator[Problem]:
    kinds = [set(file.nodes), set(file.ways), set(file.relations)]
    twice = {key for k, one in enumerate(kinds) for other in kinds[k + 1 :] for key in one & other}
    for key in sorted(twice):
        yield Problem("file.ids", f"id {key} is that of two primitives")


def _nodes(file: OsmFile) -> Iterator[Problem]:
    for key, node in file.nodes.items():
        if node.lat_lon_deg is None or node.local_m is None:
            lacks = "latitude and longitude" if node.lat_lon_deg is None else "local_x and local_y"
            yield Problem("file.positions", f"node {key} has no {lacks}")
    for key, way in file.ways.items():
        again = any(a == b for a, b in pairwise(way.nodes))
        if len(way.nodes) < 2 or again or not way.tags.get("type"):
            lacks = "less than two vertices" if len(way.nodes) < 2 else "no type"
            yield Problem("file.lines", f"way {key} has {'a vertex twice in a row' if again else lacks}")


def _lanelet(
    file: OsmFile, key: int, relation: Relation, bounds: tuple[int, int], places: dict[int, Points]
) -> _Lanelet:
    """The bounds as Lanelet2 turns them: both the same way, the left on the left."""
    left, right = (file.ways[way].nodes for way in bounds)
    a, b = (np.array([places[n] for n in nodes], np.float64).reshape(-1, 3)[:, :2] for nodes in (left, right))
    if min(len(a), len(b)) > 1:
        same = np.linalg.norm(a[0] - b[0]) + np.linalg.norm(a[-1] - b[-1])
        if same > np.linalg.norm(a[0] - b[-1]) + np.linalg.norm(a[-1] - b[0]):
            right, b = right[::-1], b[::-1]
        if _area(a, b) > 0:  # counter-clockwise along the left bound: it is driven the other way
            left, right, a, b = left[::-1], right[::-1], a[::-1], b[::-1]
    return _Lanelet(key, relation.tags.get("subtype", ""), relation, left, right, bounds, (a, b))


def _area(left: Points, right: Points) -> float:
    x, y = np.concatenate([left, right[::-1]]).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _alone(lanelet: _Lanelet) -> Iterator[Problem]:
    """What concerns one lanelet."""
    name, tags = f"lanelet {lanelet.key}", lanelet.relation.tags
    if set(lanelet.left) & set(lanelet.right):
        yield Problem("autoware.geometry", f"{name}: its bounds share a point")
    elif min(len(lanelet.left), len(lanelet.right)) > 1:
        area = shapely.Polygon(np.concatenate([lanelet.points_m[0], lanelet.points_m[1][::-1]]))
        if not shapely.is_valid(area) or area.area < 0.1:
            yield Problem("lanelet2.sides", f"{name}: its area crosses itself, or is empty")
    if lanelet.subtype == "crosswalk" and tags.get("participant:pedestrian") not in ("yes", "true"):
        yield Problem("autoware.crosswalk", f"{name}: no participant:pedestrian=yes")
    if lanelet.subtype == "road" and (tags.get("location"), tags.get("one_way")) != ("urban", "yes"):
        yield Problem("autoware.road", f"{name}: location {tags.get('location')}, one_way {tags.get('one_way')}")
    limit = tags.get("speed_limit")
    if limit is not None and not (limit.replace(".", "", 1).isdigit() and 10 <= float(limit) <= 50):
        yield Problem("autoware.speed_limit", f"{name}: speed_limit {limit}")


def _lane_changes(file: OsmFile, roads: list[_Lanelet]) -> Iterator[Problem]:
    lefts = {lanelet.bounds[0]: lanelet for lanelet in roads}
    for lanelet in roads:
        way, other = lanelet.bounds[1], lefts.get(lanelet.bounds[1])
        if other is not None and file.ways[way].tags.get("lane_change") not in ("yes", "no"):
            yield Problem(
                "autoware.lane_change", f"way {way} between the lanelets {lanelet.key} and {other.key} has none"
            )


def _side_by_side(roads: list[_Lanelet]) -> Iterator[Problem]:
    lines = [shapely.LineString(points) for road in roads for points in road.points_m if len(points) > 1]
    owner = [(r.key, way) for r in roads for way, points in zip(r.bounds, r.points_m, strict=True) if len(points) > 1]
    if not lines:
        return
    tree = shapely.STRtree(lines)
    for a, b in tree.query(lines, predicate="dwithin", distance=_BESIDE_M).T.tolist():
        if a < b and owner[a][0] != owner[b][0] and owner[a][1] != owner[b][1]:
            beside = lines[a].intersection(lines[b].buffer(_BESIDE_M, cap_style="flat")).length
            if beside > 0.5 * min(lines[a].length, lines[b].length) and beside > 2:
                yield Problem(
                    "autoware.sharing",
                    f"lanelets {owner[a][0]} and {owner[b][0]} run along the ways {owner[a][1]} and {owner[b][1]}, "
                    "which are one line",
                )


def _followers(roads: list[_Lanelet]) -> Iterator[Problem]:
    roads = [road for road in roads if min(map(len, road.points_m)) > 1]
    begins = np.array([[points[0] for points in road.points_m] for road in roads]).reshape(-1, 4)
    for road in roads:
        end = np.array([points[-1] for points in road.points_m]).reshape(4)
        for k in np.flatnonzero(np.abs(begins - end).max(1) < _NEAR_M):
            if (road.left[-1], road.right[-1]) != (roads[k].left[0], roads[k].right[0]):
                yield Problem(
                    "lanelet2.followers", f"lanelet {road.key} ends where {roads[k].key} begins, in other points"
                )


def _rules(file: OsmFile, crosswalks: list[int]) -> Iterator[Problem]:
    referred = [
        ref
        for relation in file.relations.values()
        if relation.tags.get("type") == "regulatory_element" and relation.tags.get("subtype") == "crosswalk"
        for kind, ref, role in relation.members
        if kind == "relation" and role == "refers"
    ]
    for key in crosswalks:
        if referred.count(key) != 1:
            yield Problem("autoware.rules", f"{referred.count(key)} regulatory elements refer to crosswalk {key}")
