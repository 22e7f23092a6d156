"""A `VectorMap` as nuScenes' map expansion (JSON, format version 1.3), and the basemap image beside it."""
from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

from mapkd_core.files import write_atomic
from mapkd_core.vector_map import MapLine, VectorMap

SEMANTIC_PRIOR = {
    "singapore-onenorth": "53992ee3023e5494b90c316c183be829",
    "singapore-hollandvillage": "37819e65e09e5547b8a3ceaefba56bb2",
    "singapore-queenstown": "93406b464a165eaba6d9de76ca09f5da",
    "boston-seaport": "36092f0b03a857c6a3403e25b4b7aab3",
}
"""The only map names that the devkit accepts, and the basemap images' names that it knows."""

PIXELS_PER_M = 10
STOP_LINE_M = 0.4
POLYGON_LAYERS = (
    "drivable_area road_segment road_block lane ped_crossing walkway stop_line carpark_area lane_connector".split()
)
LINE_LAYERS = "road_divider lane_divider traffic_light".split()
PAINT_WORDS = {"solid": "SINGLE_SOLID", "dashed": "SINGLE_DASHED", "double": "DOUBLE_SOLID"}


def token(*parts: object) -> str:
    """A token that follows from what it names: 32 hexadecimal digits, as nuScenes has."""
    return hashlib.md5(":".join(map(str, parts)).encode()).hexdigest()


class MapExpansion:
    """Collects road maps of one nuScenes location, each moved to a place of its own."""

    def __init__(self, location: str):
        if location not in SEMANTIC_PRIOR:
            raise ValueError(f"location {location!r} is not one that the devkit opens: {tuple(SEMANTIC_PRIOR)}")
        self.location = location
        self.layers: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("polygon", "line", "node", *POLYGON_LAYERS, *LINE_LAYERS)
        }
        self.arclines: dict[str, list[dict[str, Any]]] = {}
        self.connectivity: dict[str, dict[str, list[str]]] = {}
        self.canvas_m = np.array([100.0, 100.0])
        self._surfaces: list[Polygon] = []

    def add(self, road_map: VectorMap, offset_m: NDArray[np.float64]) -> None:
        """Adds a road map, moved by `offset_m` (x, y)."""
        start = len(self._surfaces)
        surfaces = [_moved(p, offset_m) for p in road_map.road_segments]
        self._surfaces += surfaces
        drivable = token(self.location, "drivable_area", start)
        self.layers["drivable_area"].append(
            {"token": drivable, "polygon_tokens": [self._polygon(p) for p in surfaces]}
        )
        for polygon in surfaces:
            self._road_segment(polygon, False, drivable)
        for polygon in road_map.extras.get("junctions", ()):  # type: ignore[attr-defined]
            # Junctions lie inside the surface already; they only tell where intersections are.
            self._road_segment(_moved(polygon.intersection(road_map.road_area), offset_m), True, drivable)
        segment = self.layers["road_segment"][-1]["token"] if self.layers["road_segment"] else ""
        for polygon in road_map.crossings:
            self._record("ped_crossing", _moved(polygon, offset_m), road_segment_token=segment)
        for polygon in road_map.walkways:
            self._record("walkway", _moved(polygon, offset_m))
        self._lines(road_map.lines, offset_m, segment)
        self._lanes(road_map, offset_m)
        if surfaces:
            self.canvas_m = np.maximum(self.canvas_m, np.ceil(shapely.total_bounds(np.array(surfaces))[2:] + 20))

    def save(self, dataroot: Path) -> None:
        """Writes maps/expansion/LOCATION.json and the location's basemap."""
        path = dataroot / "maps" / "expansion" / f"{self.location}.json"
        content = {
            "version": "1.3",
            **self.layers,
            "arcline_path_3": self.arclines,
            "connectivity": self.connectivity,
            "canvas_edge": self.canvas_m.tolist(),
        }
        write_atomic(path, json.dumps(content))
        image = dataroot / "maps" / f"{SEMANTIC_PRIOR[self.location]}.png"
        write_basemap(image, self._surfaces, (float(self.canvas_m[0]), float(self.canvas_m[1])))

    def _node(self, x: float, y: float) -> str:
        name = token(self.location, "node", len(self.layers["node"]))
        self.layers["node"].append({"token": name, "x": float(x), "y": float(y)})
        return name

    def _line(self, points_m: Iterable[Sequence[float]]) -> str:
        name = token(self.location, "line", len(self.layers["line"]))
        self.layers["line"].append({"token": name, "node_tokens": [self._node(p[0], p[1]) for p in points_m]})
        return name

    def _polygon(self, polygon: Polygon) -> str:
        name = token(self.location, "polygon", len(self.layers["polygon"]))

        def ring(coordinates: Iterable[Sequence[float]]) -> list[str]:
            # Rings are stored without their closing vertex.
            return [self._node(p[0], p[1]) for p in list(coordinates)[:-1]]

        self.layers["polygon"].append(
            {
                "token": name,
                "exterior_node_tokens": ring(polygon.exterior.coords),
                "holes": [{"node_tokens": ring(hole.coords)} for hole in polygon.interiors],
            }
        )
        return name

    def _record(self, layer: str, polygon: Polygon, **fields: object) -> str:
        name = token(self.location, layer, len(self.layers[layer]))
        self.layers[layer].append({"token": name, "polygon_token": self._polygon(polygon), **fields})
        return name

    def _road_segment(self, polygon: Polygon, is_intersection: bool, drivable: str) -> None:
        for part in getattr(polygon, "geoms", [polygon]):
            if isinstance(part, Polygon) and not part.is_empty:
                self._record("road_segment", part, is_intersection=is_intersection, drivable_area_token=drivable)

    def _lines(self, lines: Iterable[MapLine], offset_m: NDArray[np.float64], segment: str) -> None:
        for line in lines:
            points = line.points_m + offset_m
            if line.layer == "stop_line":
                bar = LineString(points).buffer(STOP_LINE_M / 2, cap_style="flat")
                self._record(
                    "stop_line", bar, stop_line_type="STOP_SIGN", ped_crossing_tokens=[], traffic_light_tokens=[],
                    road_block_token="",
                )
            elif line.layer in ("lane_divider", "road_divider"):
                record: dict[str, Any] = {
                    "token": token(self.location, line.layer, len(self.layers[line.layer])),
                    "line_token": self._line(points),
                }
                if line.layer == "road_divider":
                    record["road_segment_token"] = segment
                else:
                    nodes = self.layers["line"][-1]["node_tokens"]
                    kind = f"{PAINT_WORDS[line.paint]}_{line.color.upper()}" if line.paint in PAINT_WORDS else "NIL"
                    record["lane_divider_segments"] = [{"node_token": n, "segment_type": kind} for n in nodes]
                self.layers[line.layer].append(record)

    def _lanes(self, road_map: VectorMap, offset_m: NDArray[np.float64]) -> None:
        owner = _lane_of_centre(road_map)
        names = []
        for centre, lane in zip(road_map.lane_centres_m, owner, strict=True):
            points = centre + offset_m
            if lane is None:
                area = LineString(points).buffer(1.5, cap_style="flat")
                names.append(self._record("lane_connector", area if isinstance(area, Polygon) else area.convex_hull))
            else:
                names.append(self._lane(_moved(road_map.lanes[lane], offset_m), points))
            self.arclines[names[-1]] = arcline_path(points)
            self.connectivity[names[-1]] = {"incoming": [], "outgoing": []}
        for lane in sorted(set(range(len(road_map.lanes))) - {lane for lane in owner if lane is not None}):
            outline = _moved(road_map.lanes[lane], offset_m)
            name = self._lane(outline, np.asarray(outline.exterior.coords)[:2, :2])
            self.connectivity[name] = {"incoming": [], "outgoing": []}
        for name, followers in zip(names, road_map.lane_successors, strict=True):
            for follower in followers:
                self.connectivity[name]["outgoing"].append(names[follower])
                self.connectivity[names[follower]]["incoming"].append(name)

    def _lane(self, polygon: Polygon, centre_m: NDArray[np.float64]) -> str:
        return self._record(
            "lane", polygon, lane_type="CAR",
            from_edge_line_token=self._line(_nearest_edge(polygon, centre_m[0])),
            to_edge_line_token=self._line(_nearest_edge(polygon, centre_m[-1])),
            left_lane_divider_segments=[], right_lane_divider_segments=[],
        )


def _lane_of_centre(road_map: VectorMap) -> list[int | None]:
    """For every centre line the lane it runs along, None for the ways across junctions."""
    tree = shapely.STRtree(list(road_map.lanes))
    owner: list[int | None] = []
    taken: set[int] = set()
    for centre in road_map.lane_centres_m:
        inside = [centre[round(share * (len(centre) - 1))] for share in (0.2, 0.5, 0.8)]
        found = set.intersection(*(set(tree.query(shapely.Point(p), predicate="within").tolist()) for p in inside))
        lane = min(found - taken, default=None)
        owner.append(lane)
        if lane is not None:
            taken.add(lane)
    return owner


def arcline_path(points_m: NDArray[np.float64]) -> list[dict[str, Any]]:
    """A polyline as nuScenes' arcline path: straight pieces, their curved ends of length zero."""
    pieces = []
    for start, end in pairwise(points_m):
        length, yaw = float(np.linalg.norm(end - start)), float(np.arctan2(*(end - start)[::-1]))
        if length > 1e-6:
            pieces.append(
                {
                    "start_pose": [float(start[0]), float(start[1]), yaw],
                    "end_pose": [float(end[0]), float(end[1]), yaw],
                    "shape": "LSL",
                    "radius": 999.999,
                    "segment_length": [0.0, length, 0.0],
                }
            )
    return pieces


def _moved(polygon: Polygon, offset_m: NDArray[np.float64]) -> Polygon:
    return shapely.transform(polygon, lambda xy: xy + offset_m)


def _nearest_edge(polygon: Polygon, point_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """The edge (2, 2) of a lane's outline that its centre line starts or ends at."""
    ring = np.asarray(polygon.exterior.coords)[:, :2]
    middles = (ring[:-1] + ring[1:]) / 2
    at = int(np.argmin(np.linalg.norm(middles - point_m, axis=1)))
    return ring[at : at + 2]


def write_basemap(path: Path, surfaces: Sequence[Polygon], canvas_m: tuple[float, float]) -> None:
    """Writes the drivable surface as nuScenes' 8-bit PNG: 10 pixels a metre, north on top, road 255.

    Strip by strip, so that a large map needs little memory.
    """
    width, height = (round(side * PIXELS_PER_M) for side in canvas_m)
    strip = 1000
    packer, data = zlib.compressobj(6), []
    boxes = np.array([p.bounds for p in surfaces]).reshape(-1, 4) * PIXELS_PER_M
    for top in range(0, height, strip):
        rows = min(strip, height - top)
        canvas = np.zeros((rows, width), np.uint8)
        low, high = height - top - rows, height - top  # this strip's rows counted from the south
        for polygon, (_, y0, _, y1) in zip(surfaces, boxes, strict=True):
            if y0 > high or y1 < low:
                continue
            rings = [np.asarray(r.coords)[:, :2] * PIXELS_PER_M for r in (polygon.exterior, *polygon.interiors)]
            # Even-odd filling of all rings at once leaves the holes empty.
            pixels = [np.round((ring * [1, -1] + [0, high]) * 16).astype(np.int32) for ring in rings]
            cv2.fillPoly(canvas, pixels, (255,), shift=4)
        data.append(packer.compress(np.pad(canvas, ((0, 0), (1, 0))).tobytes()))
    data.append(packer.flush())

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    write_atomic(
        path, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"".join(data)) + chunk(b"IEND", b"")
    )
