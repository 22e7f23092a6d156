"""Map labels: the vector elements around the vehicle, as HDMapNet defines them (arXiv 2107.06307, `vector_map.py`).

Dividers are the road and lane divider lines. Boundaries are the outlines of the union of road segments and
lanes, holes included, inside the grid shrunk by 0.2 m; the road lies on their right. A crossing is either its
two longest edges (HDMapNet) or its outline (MapTR, arXiv 2208.14437, and this project's own output).

All are exact geometry in the flattened `base_link` of a pose: position and heading of the vehicle, ground level.
"""
from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.data.polylines import Piece, Points, PolylineIndex, Range, clip_polylines, is_ring
from mapkd_core.geometry import distances_along, flattened, points_at
from mapkd_core.grid import BOUNDARY_INSET_M, BevGrid
from mapkd_core.types import CLASS_IDS, CLASSES, MapElement
from mapkd_core.vector_map import VectorMap

Crossings = Literal["edges", "polygon"]


@dataclass(frozen=True, eq=False)
class LocalMap:
    """What a road map holds around one pose, in its flattened `base_link`: small, and enough for every label."""

    dividers: tuple[Points, ...]
    """(N, 2) each, clipped to the range asked for."""
    crossings: tuple[Points, ...]
    """(N, 2) closed outlines, whole (not clipped), of the crossings that touch the range."""
    boundaries: tuple[Points, ...]
    """(N, 2) each, clipped; closed where first and last vertex are equal."""
    sd_roads: tuple[Points, ...] | None = None
    """(N, 2) each: standard-definition road lines, clipped; None where the map has none at all."""
    crossings_apart: bool = False
    """Whether crossings that touch are not one (`VectorMap.crossings_apart`)."""
    known: tuple[str, ...] = CLASSES
    """Classes the map really knows here; of the others, nothing was drawn, which does not mean there is none."""


def grid_range(grid: BevGrid) -> Range:
    """The grid's rectangle."""
    return Range(grid.x_range_m, grid.y_range_m)


def map_elements(
    vector_map: VectorMap, map_from_base: NDArray[np.floating], grid: BevGrid, crossings: Crossings = "edges"
) -> list[MapElement]:
    """The map elements on a grid around a pose, ordered by class as in CLASSES."""
    return elements_of(local_map(vector_map, map_from_base, grid_range(grid)), grid, crossings)


def local_map(vector_map: VectorMap, map_from_base: NDArray[np.floating], window: Range) -> LocalMap:
    """Cuts out of a road map what lies within a range of a pose."""
    index = _index_of(vector_map)
    pose = flattened(map_from_base)
    rotation, origin = pose[:2, :2], pose[:2, 3]
    patch = Polygon(window.corners() @ rotation.T + origin)
    touching = np.sort(index.crossing_tree.query(patch, predicate="intersects"))
    pieces = index.lines.clipped(window, pose)
    return LocalMap(
        dividers=index.of_layer(pieces, 0),
        crossings=tuple((index.crossings[i] - origin) @ rotation for i in touching),
        boundaries=index.of_layer(pieces, 1),
        sd_roads=index.of_layer(pieces, 2) if vector_map.sd_roads_m else None,
        crossings_apart=vector_map.crossings_apart,
        known=tuple(label for label in CLASSES if label not in index.unknown and index.complete(label, patch)),
    )


def elements_of(local: LocalMap, grid: BevGrid, crossings: Crossings = "edges") -> list[MapElement]:
    """The elements of a local map on a grid, which must not be larger than the range the map was cut to."""
    if crossings not in ("edges", "polygon"):
        raise ValueError(f"crossings is {crossings!r}; expected 'edges' (HDMapNet) or 'polygon' (outlines)")
    if crossings == "edges":
        return on_grid(uncut_elements(local), grid)
    outlines = crossing_outlines(local.crossings, local.crossings_apart, grid)
    lines = on_grid(uncut_elements(replace(local, crossings=())), grid)
    return sorted([*lines, *outlines], key=lambda element: CLASS_IDS[element.label])


def uncut_elements(local: LocalMap) -> list[MapElement]:
    """The elements of a local map as far as it reaches, crossings as their two longest edges."""
    edges = [edge for outline in local.crossings for edge in two_longest_edges(outline)]
    layers = (("divider", local.dividers), ("ped_crossing", edges), ("boundary", local.boundaries))
    return [_element(label, points) for label, lines in layers for points in lines]


def on_grid(elements: Sequence[MapElement], grid: BevGrid) -> list[MapElement]:
    """Lines cut to a grid, boundaries `BOUNDARY_INSET_M` inside it, in the order of CLASSES."""
    result = []
    for label in CLASSES:
        window = grid_range(grid).shrunk(BOUNDARY_INSET_M if label == "boundary" else 0.0)
        lines = [element.points_m[:, :2] for element in elements if element.label == label]
        result += [_element(label, piece.points_m) for piece in clip_polylines(lines, window)]
    return result


def two_longest_edges(outline: NDArray[np.floating]) -> list[Points]:
    """The two longest edges (2, 2) of a closed outline (N, 2), the longest last (HDMapNet's crossing)."""
    lengths = np.linalg.norm(np.diff(outline, axis=0), axis=1)
    return [np.asarray(outline[i : i + 2], np.float64) for i in np.argsort(lengths)[-2:]]


def resample_1m(elements: Iterable[MapElement], step_m: float = 1.0) -> list[MapElement]:
    """HDMapNet's vertices: one every `step_m` from a line's start; what remains (< 1 m, with the end) is lost.

    Lines no longer than one step vanish, as in HDMapNet. Use it where a number must compare with the papers';
    exact geometry is better for everything else.
    """
    resampled = []
    for element in elements:
        points = np.asarray(element.points_m, np.float64)
        at = np.arange(0, distances_along(points)[-1], step_m)
        if len(at) >= 2:
            resampled.append(replace(element, points_m=points_at(points, at).astype(np.float32), closed=False))
    return resampled


class _MapIndex:
    """The searchable form of one road map's label geometry."""

    def __init__(self, vector_map: VectorMap):
        layers = ([line.points_m for line in vector_map.dividers], boundary_lines(vector_map), vector_map.sd_roads_m)
        self.layer_ends = np.cumsum([0, *map(len, layers)])
        self.lines = PolylineIndex([line for layer in layers for line in layer])
        self.crossings = [np.asarray(polygon.exterior.coords)[:, :2] for polygon in vector_map.crossings]
        self.crossing_tree = shapely.STRtree([shapely.make_valid(polygon) for polygon in vector_map.crossings])
        self.unknown = () if vector_map.crossings_known else ("ped_crossing",)
        self.complete_in: dict[str, BaseGeometry] = {}
        squares = vector_map.extras.get("coverage")
        if isinstance(squares, dict):
            for key, members in squares.items():
                area = shapely.union_all([shapely.box(x - h, y - h, x + h, y + h) for x, y, h in members])
                shapely.prepare(area)
                self.complete_in[key] = area

    def of_layer(self, pieces: Sequence[Piece], layer: int) -> tuple[Points, ...]:
        """The pieces of dividers (0), boundaries (1) or SD roads (2)."""
        first, end = self.layer_ends[layer : layer + 2]
        return tuple(piece.points_m for piece in pieces if first <= piece.line < end)

    def complete(self, label: str, patch: Polygon) -> bool:
        """Whether a partial map is whole there."""
        area = self.complete_in.get("ped_crossing" if label == "ped_crossing" else "all")
        return area is None or bool(area.covers(patch))


_INDICES: weakref.WeakKeyDictionary[VectorMap, _MapIndex] = weakref.WeakKeyDictionary()


def _index_of(vector_map: VectorMap) -> _MapIndex:
    """Built at the first label of a map (a city: under a second) and kept as long as the map lives."""
    if vector_map not in _INDICES:
        _INDICES[vector_map] = _MapIndex(vector_map)
    return _INDICES[vector_map]


def boundary_lines(vector_map: VectorMap) -> list[Points]:
    """The rings (N, 2) of the road's area, which lies on their right, and the boundaries that the map has as lines."""
    areas = [part for part in shapely.get_parts(vector_map.road_area) if isinstance(part, Polygon)]
    return [*(ring for area in areas for ring in _rings(area)), *vector_map.boundaries_m]


def _rings(area: Polygon) -> list[Points]:
    """Outline clockwise, holes counter-clockwise: the area lies on the right of each."""
    outline = _turned(area.exterior.coords, clockwise=True)
    return [outline, *(_turned(hole.coords, clockwise=False) for hole in area.interiors)]


def _turned(ring: Iterable[Sequence[float]], clockwise: bool) -> Points:
    points = np.asarray(ring, np.float64)[:, :2]
    x, y = points.T
    is_clockwise = np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1])) > 0
    return points if is_clockwise == clockwise else points[::-1]


def crossing_outlines(crossings: Sequence[NDArray[np.floating]], apart: bool, grid: BevGrid) -> list[MapElement]:
    """Closed outlines, on the grid, of the union of crossings (N, 2): one per connected area and hole, as MapTR.

    `apart` keeps crossings that touch from becoming one.
    """
    window = grid_range(grid)
    patch = shapely.box(window.x_m[0], window.y_m[0], window.x_m[1], window.y_m[1])
    areas = [shapely.make_valid(Polygon(outline)) for outline in crossings]
    # Those beyond the grid would leave an empty polygon behind, or change where the union's rings begin.
    areas = [area for area in areas if area.intersects(patch)]
    if apart:
        parts = [part for area in areas for part in shapely.get_parts(area.intersection(patch))]
        rings = [_rings(part)[0] for part in parts if isinstance(part, Polygon)]
    else:
        area = shapely.union_all(areas).intersection(patch)
        rings = [ring for part in shapely.get_parts(area) if isinstance(part, Polygon) for ring in _rings(part)]
    return [_element("ped_crossing", ring) for ring in rings]


def _element(label: str, points: Points) -> MapElement:
    return MapElement(label, points.astype(np.float32), closed=is_ring(points))
