"""A street map beside its truth, turned so that the drive runs from left to right."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.benchmark.mapping_drives import SeenSet
from mapkd_core.data.labels import local_map, uncut_elements
from mapkd_core.data.polylines import Range
from mapkd_core.draw import CLASS_COLORS, RgbImage, put_text
from mapkd_core.geometry import apply, transform_from_yaw
from mapkd_core.map_files.street_image import BACKGROUND, TEXT, bounds_of, draw_street
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.types import MapElement
from mapkd_core.vector_map import VectorMap

SEEN_M = 15.0
"""Shown is what lies so far from the way: the narrower half of a set's view."""
WIDTH_PX, GAP_PX, HEAD_PX = 1600, 10, 36


def street_beside_truth(road: VectorMap, sets: Sequence[SeenSet]) -> RgbImage:
    """The map of a drive above, and the true one below it."""
    builder = MapBuilder()
    path = np.array([builder.add(one.elements, one.map_from_base, one.stamp_ns)[:2, 3] for one in sets])
    near = shapely.LineString(path).buffer(SEEN_M)
    found = [element.map_element for element in builder.street_map().elements]
    x0, y0, x1, y1 = near.bounds
    truth = uncut_elements(local_map(road, np.eye(4), Range((x0, x1), (y0, y1))))
    truth = [e for e in truth if e.label != "ped_crossing"] + [
        MapElement("ped_crossing", np.asarray(ring.exterior.coords)[:, :2].astype(np.float32), closed=True)
        for ring in road.crossings
    ]
    turn = -float(np.arctan2(*_main_direction(path)[::-1]))
    turned_path = _turned(path, turn)
    panels = [[_moved(e, turn) for e in _within(some, near)] for some in (found, truth)]
    bounds = bounds_of([e for panel in panels for e in panel], [turned_path])
    drawn = [draw_street(panel, [turned_path], "", bounds, WIDTH_PX) for panel in panels]
    strip = np.full((HEAD_PX, drawn[0].shape[1], 3), BACKGROUND, np.uint8)
    parts: list[NDArray[np.uint8]] = []
    titles = (f"street map of a drive of {builder.driven_m:.0f} m, predicted from its images", "the true map")
    for title, image in zip(titles, drawn, strict=True):
        head = strip.copy()
        end = 12 + put_text(head, title, (12, 25), 18, TEXT)
        for label, color in CLASS_COLORS.items():
            end += 18 + put_text(head, label.replace("ped_", ""), (end + 18, 25), 16, color)
        parts += [head, image]
    return np.concatenate(parts)


def _within(elements: Sequence[MapElement], area: shapely.Polygon) -> list[MapElement]:
    """What of elements lies in an area; crossings whole where they touch it."""
    kept = []
    for element in elements:
        line = shapely.LineString(element.points_m[:, :2])
        if element.label == "ped_crossing":
            kept += [element] if line.intersects(area) else []
            continue
        for part in shapely.get_parts(shapely.line_merge(line.intersection(area))):
            if isinstance(part, shapely.LineString) and part.length > 1:
                kept.append(replace(element, points_m=np.asarray(part.coords, np.float32)[:, :2], closed=False))
    return kept


def _main_direction(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2,) unit vector along which a way is longest, the way that it goes."""
    axis = np.linalg.svd(path - path.mean(0), full_matrices=False)[2][0]
    return np.asarray(axis if axis @ (path[-1] - path[0]) >= 0 else -axis)


def _turned(points: NDArray[np.floating], turn: float) -> NDArray[np.float64]:
    solid = np.column_stack([points[:, :2], np.zeros(len(points))])
    return apply(transform_from_yaw(0, 0, turn), solid)[:, :2]


def _moved(element: MapElement, turn: float) -> MapElement:
    return replace(element, points_m=_turned(element.points_m, turn).astype(np.float32))
