"""Street maps as road maps, of which labels are made, and road maps (nuScenes', a simulated drive's) as street maps."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.data.argoverse2_map import load_argoverse2_map
from mapkd_core.data.labels import boundary_lines
from mapkd_core.data.sd_map import ORIGINS, degrees_from_metres
from mapkd_core.map_formats.earth import EarthFrame
from mapkd_core.map_formats.report import Report
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.vector_map import MapLine, VectorMap

Points = NDArray[np.float64]


def vector_map_of(
    street_map: StreetMap, name: str = "map", moved: Callable[[Points], Points] = lambda points: points
) -> VectorMap:
    """The same lines as a road map: its boundaries are lines, its crossings areas; `moved` takes (N, 3) to its frame.

    Open crossings, whose other side was not seen, have no area and are left out: what they are is not known.
    """
    crossings = [Polygon(moved(e.points_m)[:, :2]) for e in street_map.of("ped_crossing") if e.closed]
    return VectorMap(
        name=name,
        lines=tuple(_line(element, moved(element.points_m)[:, :2]) for element in street_map.of("divider")),
        crossings=tuple(crossings),
        crossings_apart=True,
        boundaries_m=tuple(moved(element.points_m)[:, :2] for element in street_map.of("boundary")),
    )


def _line(element: StreetElement, points_m: Points) -> MapLine:
    known = element.attributes
    paint = known.get("paint", "solid")
    layer = "road_divider" if known.get("layer") == "road_divider" else "lane_divider"
    return MapLine(
        points_m, layer, paint if paint in ("solid", "dashed", "double", "none") else "solid",
        "yellow" if known.get("color") == "yellow" else "white",
    )  # fmt: skip


def street_map_of(vector_map: VectorMap) -> tuple[StreetMap, Report]:
    """A road map's dividers, crossings and boundaries as a street map; z is 0.

    Of nuScenes' four locations the place on Earth is known: their frame lies on a sphere, so that the origin is set to
    have the middle of the map where nuScenes has it, and the metres are left as they are.
    """
    report = Report()
    elements: list[StreetElement] = []

    def add(label: str, points_m: Points, attributes: dict[str, str]) -> None:
        points = np.concatenate([points_m[:, :2], np.zeros((len(points_m), 1))], 1).astype(np.float64)
        closed = len(points) > 3 and bool(np.array_equal(points[0], points[-1]))
        elements.append(StreetElement(len(elements) + 1, label, points, 1.0, 0, closed, attributes))

    for line in vector_map.dividers:
        facts = {"paint": line.paint, "color": line.color}
        add("divider", line.points_m, facts | ({"layer": line.layer} if line.layer == "road_divider" else {}))
    for polygon in vector_map.crossings:
        add("ped_crossing", np.asarray(polygon.exterior.coords, np.float64), {})
    for ring in boundary_lines(vector_map):
        add("boundary", ring, {})
    report.add("line that is no element (stop line, other marks)", len(vector_map.lines) - len(vector_map.dividers))
    report.add("lane or road area: its outline is kept", len(vector_map.lanes) + len(vector_map.road_segments))
    report.add("walkway", len(vector_map.walkways))
    return StreetMap(tuple(elements), origin=_place(vector_map.name, elements)), report


def read_argoverse2(path: Path) -> tuple[StreetMap, Report]:
    """The vector map of a log of Argoverse 2, in the city's metres. Raises FileNotFoundError, FileFault."""
    found, report = street_map_of(load_argoverse2_map(path))
    report.add("elevation: the map is flat now", len(found.elements))
    report.add("place on Earth: the file names a city alone")
    return found, report


def _place(name: str, elements: list[StreetElement]) -> MapOrigin | None:
    if name not in ORIGINS or not elements:
        return None
    points = np.concatenate([element.points_m for element in elements])
    middle = (points.min(0) + points.max(0)) / 2
    lon_lat = degrees_from_metres(middle[None], ORIGINS[name])[0]
    latitude, longitude = ORIGINS[name]
    for _ in range(4):
        found = EarthFrame(MapOrigin(latitude, longitude)).degrees(middle * [1, 1, 0])[0]
        latitude, longitude = float(latitude + lon_lat[1] - found[1]), float(longitude + lon_lat[0] - found[0])
    return MapOrigin(round(latitude, 10), round(longitude, 10))


def roads_of(areas: Sequence[BaseGeometry]) -> list[Polygon]:
    """The areas of lanes side by side and one after the other as one, the gaps of rounding between them closed."""
    united = shapely.union_all([shapely.make_valid(area).buffer(0.01) for area in areas]).buffer(-0.01)
    return [part for part in shapely.get_parts(united) if isinstance(part, Polygon) and not part.is_empty]
