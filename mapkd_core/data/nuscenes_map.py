"""nuScenes' map expansion (format 1.3) as a `VectorMap`, read without the devkit."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from mapkd_core.data.arclines import ARCLINES, lane_centre
from mapkd_core.data.sd_map import find_sd_map, read_roads
from mapkd_core.files import inside
from mapkd_core.schema import (
    FileFault,
    anything,
    fit,
    list_of,
    mapping,
    number,
    numbers,
    optional,
    read_json,
    record,
    shown,
    text,
)  # fmt: skip
from mapkd_core.vector_map import MapLine, VectorMap

DIVIDER_LAYERS = ("road_divider", "lane_divider")
"""In this order, as HDMapNet numbers them."""

PAINT = {
    "NIL": ("none", "white"),
    "SINGLE_SOLID": ("solid", "white"),
    "DOUBLE_SOLID": ("double", "white"),
    "SINGLE_ZIGZAG": ("solid", "white"),
    "SINGLE_DASHED": ("dashed", "white"),
    "DOUBLE_DASHED": ("double", "white"),
}
"""Paint and colour by the first word(s) of nuScenes' `segment_type`, such as DOUBLE_SOLID_WHITE."""


def expansion_file(dataroot: Path, map_name: str) -> Path:
    """Where the map expansion of a location lies. Raises ValueError for a name that leads out of that folder."""
    return inside(Path(dataroot) / "maps" / "expansion", f"{map_name}.json", "location")


_SQUARES = list_of(record({"centre": numbers(2), "half_size": number(0)}))
_COVERAGE = record({"cities": mapping(record({"squares": _SQUARES, "squares_with_ped_crossing": _SQUARES}))})


@lru_cache(maxsize=8)
def coverage(dataroot: Path, map_name: str) -> dict[str, list[tuple[float, float, float]]] | None:
    """Squares (centre x, centre y, half size) in which a partial map is complete; None for a whole map.

    Read from `map_coverage.json` beside the tables, which partial copies of nuScenes may have: `all` for every
    layer but crossings, `ped_crossing` for crossings.
    """
    path = Path(dataroot) / "map_coverage.json"
    if not path.is_file():
        return None
    city = read_json(path, "squares in which a partial map is complete", _COVERAGE, "mend it")["cities"].get(map_name)
    if city is None:
        return None

    def squares(key: str) -> list[tuple[float, float, float]]:
        return [(*map(float, square["centre"]), float(square["half_size"])) for square in city[key]]  # type: ignore

    return {"all": squares("squares"), "ped_crossing": squares("squares_with_ped_crossing")}


def covers(dataroot: Path, map_name: str, x_m: float, y_m: float) -> bool:
    """Whether there is a map of this location, and it is complete around a point of the `map` frame."""
    if not expansion_file(dataroot, map_name).is_file():
        return False
    known = coverage(dataroot, map_name)
    return known is None or any(abs(x_m - x) < half and abs(y_m - y) < half for x, y, half in known["all"])


@lru_cache(maxsize=8)
def load_vector_map(dataroot: Path, map_name: str, sd_folder: Path | None = None) -> VectorMap:
    """The whole map of one location (such as `boston-seaport`); kept per process, since frames share it.

    SD roads come from `<map_name>.geojson` or `.shp` in `sd_folder`, by default `<dataroot>/osm`, if it is there.

    Invalid road and lane polygons are left out, as the devkit's own patch queries do, so that boundaries equal
    those of the published label code. Raises FileNotFoundError if there is no such map
    expansion, FileFault for one of an older version and for one that is damaged.
    """
    path = expansion_file(dataroot, map_name)
    if not path.is_file():
        there = ", ".join(sorted(found.stem for found in path.parent.glob("*.json"))) or "none"
        raise FileNotFoundError(f"no map expansion {path}; maps there: {there}. Unpack nuScenes-map-expansion-v1.3")
    content = _Expansion(path)
    known = coverage(dataroot, map_name)
    sd_map = find_sd_map(sd_folder or Path(dataroot) / "osm", map_name)
    centres, successors = _lane_graph(content)
    return VectorMap(
        name=map_name,
        lines=tuple(line for layer in DIVIDER_LAYERS for line in _divider_lines(content, layer)),
        crossings=tuple(content.polygons("ped_crossing")),
        road_segments=tuple(filter(shapely.is_valid, content.polygons("road_segment"))),
        lanes=tuple(filter(shapely.is_valid, content.polygons("lane"))),
        lane_centres_m=centres,
        lane_successors=successors,
        walkways=tuple(filter(shapely.is_valid, content.polygons("walkway"))),
        sd_roads_m=read_roads(sd_map) if sd_map else (),
        crossings_known=bool(known["ped_crossing"]) if known is not None else bool(content.layer("ped_crossing")),
        extras={"coverage": known},
    )


_TOKEN = text(empty=False)
_NODES = list_of(_TOKEN)
_AREA = list_of(record({"polygon_token": _TOKEN}))
_SEGMENTS = optional(list_of(record({}, {"segment_type": optional(text())})))
_LINES = list_of(record({"line_token": _TOKEN}, {"lane_divider_segments": _SEGMENTS}))
_LANES = list_of(record({"token": _TOKEN, "polygon_token": _TOKEN}))
_COORDINATE = number(-1e7, 1e7)
_MAP = record(
    {
        "node": list_of(record({"token": _TOKEN, "x": _COORDINATE, "y": _COORDINATE})),
        "line": list_of(record({"token": _TOKEN, "node_tokens": _NODES})),
        "polygon": list_of(
            record({"token": _TOKEN, "exterior_node_tokens": list_of(_TOKEN, 3)},
                   {"holes": list_of(record({"node_tokens": _NODES}))})
        ),
        "ped_crossing": _AREA, "road_segment": _AREA, "walkway": _AREA, "lane": _LANES,
        "road_divider": _LINES, "lane_divider": _LINES,
    },
    {
        "lane_connector": list_of(record({"token": _TOKEN})),
        "arcline_path_3": mapping(ARCLINES),
        "connectivity": mapping(record({}, {"outgoing": list_of(text())})),
    },
)  # fmt: skip
_REMEDY = "unpack nuScenes-map-expansion-v1.3 again"


class _Expansion:
    """A map expansion's layers, and what their tokens stand for."""

    def __init__(self, path: Path):
        self.path = path
        what = "a map expansion 1.3 of nuScenes"
        self.layers = read_json(path, what, mapping(anything), _REMEDY)
        version = self.layers.get("version")
        if not _is_new_enough(version):
            raise FileFault(
                f"{path} is of version {shown(version)}; expected map expansion 1.3: unpack nuScenes-map-expansion-v1.3"
            )
        fit(self.layers, _MAP, str(path), what, _REMEDY)
        self._at = {node["token"]: (node["x"], node["y"]) for node in self.layers["node"]}
        self._lines = {line["token"]: line["node_tokens"] for line in self.layers["line"]}
        self._polygons = {polygon["token"]: polygon for polygon in self.layers["polygon"]}

    def layer(self, name: str) -> list[dict[str, Any]]:
        """The records of a layer; none where an optional one is absent."""
        return list(self.layers.get(name, []))

    def points(self, tokens: Iterable[str]) -> NDArray[np.float64]:
        """(N, 2) of nodes."""
        return np.array([self._named("node", self._at, token) for token in tokens], np.float64).reshape(-1, 2)

    def line(self, token: str) -> NDArray[np.float64]:
        """(N, 2) of a line."""
        return self.points(self._named("line", self._lines, token))

    def polygons(self, layer: str) -> Iterable[Polygon]:
        """The outlines of a layer's records."""
        for entry in self.layer(layer):
            outline = self._named("polygon", self._polygons, entry["polygon_token"])
            holes = [hole["node_tokens"] for hole in outline.get("holes", [])]
            shell = self.points(outline["exterior_node_tokens"])
            yield Polygon(shell, [self.points(tokens) for tokens in holes if len(tokens) >= 3])

    def _named(self, kind: str, known: Mapping[str, Any], token: str) -> Any:
        try:
            return known[token]
        except KeyError:
            raise FileFault(f"{self.path}: there is no {kind} {token!r}, which a layer names; {_REMEDY}") from None


def _is_new_enough(version: Any) -> bool:
    """True for 1.3 and what follows it."""
    parts = version.split(".") if isinstance(version, str) else []
    whole = all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts)
    return whole and [int(part) for part in parts[:2]] >= [1, 3]


def _divider_lines(content: _Expansion, layer: str) -> Iterable[MapLine]:
    for entry in content.layer(layer):
        points_m = content.line(entry["line_token"])
        if len(points_m) >= 2:
            paint, color = _paint(entry.get("lane_divider_segments") or [])
            yield MapLine(points_m, layer, paint, color)


def _paint(segments: list[dict[str, Any]]) -> tuple[str, str]:
    """The most frequent paint of a divider's segments; solid white where the map does not say."""
    kinds = [str(segment.get("segment_type", "")) for segment in segments]
    kind = max(set(kinds), key=kinds.count) if kinds else ""
    for prefix, (paint, color) in PAINT.items():
        if kind.startswith(prefix):
            return paint, "yellow" if kind.endswith("YELLOW") else color
    return "solid", "white"


def _lane_graph(content: _Expansion) -> tuple[tuple[NDArray[np.float64], ...], tuple[tuple[int, ...], ...]]:
    """Centre lines (N, 2) of lanes and lane connectors, a point a metre, and for each those that continue it."""
    paths, connectivity = content.layers.get("arcline_path_3", {}), content.layers.get("connectivity", {})
    lanes = (entry["token"] for layer in ("lane", "lane_connector") for entry in content.layer(layer))
    centres = {token: lane_centre(paths[token]) for token in lanes if paths.get(token)}
    index = {token: i for i, token in enumerate(centres)}
    followers = (connectivity.get(token, {}).get("outgoing", []) for token in centres)
    return tuple(centres.values()), tuple(tuple(index[t] for t in tokens if t in index) for tokens in followers)
