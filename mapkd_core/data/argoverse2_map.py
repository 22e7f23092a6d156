"""A vector map of Argoverse 2 as a `VectorMap`, with the classes of the field's Argoverse 2 setting.

Dividers are the painted boundaries of lane segments, each once, and not where they run along the road's edge; pieces
that go on in each other are one line. Boundaries are the outline of the united drivable areas. A crossing is the area
between its two edges. Source: StreamMapNet (arXiv 2308.12570), whose map extractor does so for 60x30 and 100x50 m, with
two differences: here a line is cut where it comes to the road's edge or to another line's copy, there it goes wholly.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.geometry import evenly_spaced
from mapkd_core.schema import FileFault, anything, list_of, mapping, number, optional, read_json, record, text
from mapkd_core.vector_map import MapLine, VectorMap

Points = NDArray[np.float64]
UNPAINTED = ("NONE", "UNKNOWN")
BIKE = "BIKE"
"""Type of the lanes that no vehicle drives on: their paint counts, their centers do not."""
SAME_LINE_M = 0.2
"""A boundary so near to another is its copy: neighbors store theirs both ways, with other vertices."""
ON_EDGE_M = 0.4
"""A painted line so near to the road's edge is that edge."""
SHORTEST_M = 1.0
"""What is shorter after cutting is no line."""
JOINED_M = 0.1
"""Ends of lines so near to each other are one."""
_LARGEST_TURN = np.cos(np.radians(60.0))

_POINT = record({"x": number(-1e6, 1e6), "y": number(-1e6, 1e6)}, {"z": optional(number(-1e6, 1e6))})
_LINE = list_of(_POINT, 2)
_MAP = record(
    {
        "lane_segments": mapping(record({
            "left_lane_boundary": _LINE, "right_lane_boundary": _LINE,
            "left_lane_mark_type": text(), "right_lane_mark_type": text(),
        }, {"successors": optional(list_of(anything)), "lane_type": anything})),
        "pedestrian_crossings": mapping(record({"edge1": _LINE, "edge2": _LINE})),
        "drivable_areas": mapping(record({"area_boundary": list_of(_POINT, 3)})),
    }
)  # fmt: skip
_REMEDY = "download the log's map again"
_NAME = re.compile(r"log_map_archive_(?P<log>.+?)(?:____(?P<city>.+)_city_\d+)?\.json")


def map_file(log: Path) -> Path:
    """The vector map in a log's folder. Raises FileNotFoundError if there is none, FileFault if there are several."""
    found = sorted((log / "map").glob("log_map_archive_*.json"))
    if not found:
        others = sorted({path.parents[1].name for path in log.glob("*/map/log_map_archive_*.json")})
        remedy = f"its folders {', '.join(others[:3])} have one: name one of them" if others else _REMEDY
        raise FileNotFoundError(f"{log} has no map/log_map_archive_*.json; {remedy}")
    if len(found) > 1:
        raise FileFault(f"{log / 'map'} holds {len(found)} vector maps; expected one: {_REMEDY}")
    return found[0]


def city_of(path: Path) -> str:
    """The city's letters (`PIT`) in the name of a map's file; empty where it has none, as in motion forecasting."""
    match = _NAME.fullmatch(path.name)
    return (match["city"] if match else None) or ""


def is_map_name(name: str) -> bool:
    """Whether a file's name is that of a log's vector map."""
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=8)
def load_argoverse2_map(path: Path) -> VectorMap:
    """The map of a file, in city coordinates; kept per process, since frames share it.

    Raises FileNotFoundError, or FileFault that names what is wrong.
    """
    content = read_json(path, "a vector map of Argoverse 2", _MAP, _REMEDY)
    areas = [part for area in content["drivable_areas"].values() for part in _parts(_points(area["area_boundary"]))]
    road = MultiPolygon(list(_polygons(shapely.union_all(areas))))
    driven = {key: segment for key, segment in content["lane_segments"].items() if segment.get("lane_type") != BIKE}
    crossings = (crossing_area(*(_points(c[edge]) for edge in ("edge1", "edge2")))
                 for c in content["pedestrian_crossings"].values())  # fmt: skip
    return VectorMap(
        name=city_of(path) or path.stem,
        lines=tuple(_dividers(content["lane_segments"], road.boundary)),
        crossings=tuple(crossing for crossing in crossings if crossing is not None),
        crossings_apart=True,
        road_segments=tuple(areas),
        lane_centres_m=tuple(_center(segment) for segment in driven.values()),
        lane_successors=_successors(driven),
    )


def crossing_area(edge1: Points, edge2: Points) -> Polygon | None:
    """The area between two edges (N, 2), whichever way each of them runs; None where there is none."""
    same = np.linalg.norm(edge1[0] - edge2[0]) + np.linalg.norm(edge1[-1] - edge2[-1])
    turned = np.linalg.norm(edge1[0] - edge2[-1]) + np.linalg.norm(edge1[-1] - edge2[0])
    area = Polygon(np.concatenate([edge1, edge2[::-1] if same <= turned else edge2]))
    return area if area.area > 0 else None


def _points(line: Iterable[Mapping[str, float]]) -> Points:
    return np.array([(point["x"], point["y"]) for point in line], np.float64)


def _parts(outline: Points) -> list[Polygon]:
    """The areas inside an outline, which may touch or cross itself: holes are drawn so; spikes have no area."""
    area = Polygon(outline)
    return list(_polygons(area if area.is_valid else shapely.make_valid(area)))


def _polygons(area: BaseGeometry) -> Iterator[Polygon]:
    for part in shapely.get_parts(area):
        if isinstance(part, Polygon):
            yield from [part] if part.area > 0 else []
        elif len(shapely.get_parts(part)) > 1:
            yield from _polygons(part)


def _dividers(segments: Mapping[str, Any], edge: BaseGeometry) -> list[MapLine]:
    """The painted boundaries, each once, cut at the road's edge and joined."""
    beside_edge = edge.buffer(ON_EDGE_M)
    kept: list[tuple[BaseGeometry, str, str]] = []
    for segment in segments.values():
        for side in ("left", "right"):
            mark = segment[f"{side}_lane_mark_type"]
            line = _points(segment[f"{side}_lane_boundary"])
            if mark in UNPAINTED or len(np.unique(line, axis=0)) < 2:
                continue
            left_over = LineString(line).difference(beside_edge)
            for other, _, _ in kept:
                if left_over.is_empty:
                    break
                if other.dwithin(left_over, SAME_LINE_M):
                    left_over = _without_copy(left_over, other)
            kept += [(part, *_paint(mark)) for part in shapely.get_parts(left_over) if part.length >= SHORTEST_M]
    return _joined([(np.asarray(line.coords), paint, color) for line, paint, color in kept])


def _without_copy(line: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    """A line without what is a copy of another one; lines that only meet or cross stay whole."""
    rest = line.difference(other.buffer(SAME_LINE_M, cap_style="flat"))
    return rest if line.length - rest.length > 4 * SAME_LINE_M else line


def _paint(mark: str) -> tuple[str, str]:
    paint = "double" if mark.startswith("DOUBLE") or mark.count("SOLID") + mark.count("DASH") > 1 else (
        "dashed" if mark.startswith("DASH") else "solid"
    )
    return paint, "yellow" if mark.endswith("YELLOW") else "white"


def _joined(lines: list[tuple[Points, str, str]]) -> list[MapLine]:
    """Lines that end where another begins as one, straight on; of the longest it has the paint."""
    ends = np.array([end for line, _, _ in lines for end in (line[0], line[-1])]).reshape(-1, 2)
    out = np.array([_outward(line, at) for line, _, _ in lines for at in (0, -1)]).reshape(-1, 2)
    if not len(ends):
        return []
    points = [Point(end) for end in ends]
    near = shapely.STRtree(points).query(np.array(points), predicate="dwithin", distance=JOINED_M)
    straight = [(-float(out[a] @ out[b]), int(a), int(b)) for a, b in near.T if a < b and a // 2 != b // 2]
    partner: dict[int, int] = {}
    for cosine, a, b in sorted(straight, reverse=True):
        if cosine >= _LARGEST_TURN and a not in partner and b not in partner:
            partner[a], partner[b] = b, a
    done: set[int] = set()
    result = []
    starts = [end for end in range(len(ends)) if end not in partner]
    for start in [*starts, *range(0, len(ends), 2)]:  # rings have no start: any will do
        chain, end = [], start
        while end // 2 not in done:
            done.add(end // 2)
            line = lines[end // 2][0]
            chain.append((line if end % 2 == 0 else line[::-1], end // 2))
            end = partner.get(end ^ 1, end)
        if chain:
            points = np.concatenate([chain[0][0], *(line[1:] for line, _ in chain[1:])])
            longest = max(chain, key=lambda part: float(np.linalg.norm(np.diff(part[0], axis=0), axis=1).sum()))[1]
            _, paint, color = lines[longest]
            result.append(MapLine(points, "road_divider" if color == "yellow" else "lane_divider", paint, color))
    return result


def _outward(line: Points, at: int) -> Points:
    way = line[0] - line[1] if at == 0 else line[-1] - line[-2]
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-9))


def _center(segment: Mapping[str, Any]) -> Points:
    left, right = (_points(segment[f"{side}_lane_boundary"]) for side in ("left", "right"))
    return np.asarray((evenly_spaced(left, 10) + evenly_spaced(right, 10)) / 2)


def _successors(segments: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    place = {key: number for number, key in enumerate(segments)}
    return tuple(
        tuple(place[str(key)] for key in segment.get("successors") or () if str(key) in place)
        for segment in segments.values()
    )
