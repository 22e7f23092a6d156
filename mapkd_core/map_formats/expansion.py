"""A street map as nuScenes' map expansion 1.3, and back.

The expansion knows areas, dividers and crossings, all flat; lines have no score, no id of ours, and the road's edge is
what the outline of its areas is: lanes are made of the lines, and closed boundaries are areas.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from mapkd_core.data.nuscenes_map import expansion_file, load_vector_map
from mapkd_core.map_formats.lane_ways import Traffic
from mapkd_core.map_formats.lanes import lanes_of
from mapkd_core.map_formats.report import Report
from mapkd_core.map_formats.vector_maps import roads_of, street_map_of, vector_map_of
from mapkd_core.mapping.street_map import StreetMap
from mapkd_core.sim.export.map_tables import MapExpansion
from mapkd_core.vector_map import VectorMap

Points = NDArray[np.float64]
MARGIN_M = 20.0
"""Between the corner of the expansion, which knows no negative metres, and a map that had to be moved."""


def write_nuscenes(street_map: StreetMap, dataroot: Path, location: str, traffic: Traffic = "right") -> Report:
    """Writes maps/expansion/LOCATION.json and its basemap below `dataroot`; tells what they cannot hold.

    `location` is one of the four that the devkit opens. Raises ValueError for another one and for a map that is there.
    """
    report = Report()
    expansion = MapExpansion(location)
    free_place(dataroot, location)
    lanes = lanes_of(street_map, street_map.paths_m, traffic)
    areas = [lanes.area(lane) for lane in lanes.lanes]
    closed = [e for e in street_map.of("boundary") if e.closed]
    rings = [Polygon(element.points_m[:, :2]) for element in closed]
    outlines, holes = _nested([ring for ring in rings if ring.is_valid])
    roads = [*roads_of([a for a in areas if not any(o.covers(a) for o in outlines)]), *outlines]
    islands = shapely.union_all(holes)
    roads = [part for road in roads for part in roads_of([road.difference(islands)])]
    whole = vector_map_of(street_map, location)
    road_map = VectorMap(
        name=location, lines=whole.lines, crossings=tuple(c for c in whole.crossings if c.is_valid),
        road_segments=tuple(roads), lanes=tuple(areas),
    )  # fmt: skip
    low = np.array(street_map.bounds_m[:2])
    offset = np.where(low < 0, MARGIN_M - low, 0.0)
    if offset.any():
        report.add(f"map moved by {offset[0]:.3f}, {offset[1]:.3f} m: the expansion knows no negative metres")
    elements = street_map.elements
    report.add("element without its id, score and number of sightings", len(elements))
    uneven = sum(bool(np.abs(e.points_m[:, 2]).max() > 1e-3) for e in elements)
    report.add("element with elevation, which is flat now", uneven)
    report.add("attribute other than paint and color", sum(len({*e.attributes} - {"paint", "color"}) for e in elements))
    report.add("crossing that is open or crosses itself", len(street_map.of("ped_crossing")) - len(road_map.crossings))
    open_lines = len(street_map.of("boundary")) - len(rings)
    report.add("boundary as a line: of it remains what is the edge of a lane", open_lines)
    report.add("frame, origin and metadata of the map")
    expansion.add(road_map, offset)
    expansion.save(dataroot)
    return report


def free_place(dataroot: Path, location: str) -> None:
    """Raises ValueError for a location that the devkit does not open, or one of which `dataroot` has a map already."""
    MapExpansion(location)
    path = expansion_file(dataroot, location)
    if path.exists():
        raise ValueError(f"{path} is there already; expected a folder without a map of that location")


def _nested(rings: list[Polygon]) -> tuple[list[Polygon], list[Polygon]]:
    """Outlines of road, and what lies inside an odd number of others: islands."""
    depth = [sum(other is not ring and other.covers(ring) for other in rings) for ring in rings]
    outlines = [ring for ring, inside in zip(rings, depth, strict=True) if inside % 2 == 0]
    return outlines, [ring for ring, inside in zip(rings, depth, strict=True) if inside % 2]


def read_nuscenes(dataroot: Path, location: str) -> tuple[StreetMap, Report]:
    """A location's expansion, in its own metres. Raises FileNotFoundError, FileFault."""
    return street_map_of(load_vector_map(dataroot, location))
