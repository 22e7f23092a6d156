"""A straight or bent street and what a vehicle on it would see, for tests of maps."""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import shapely

from mapkd_core.geometry import apply, inverse, transform_from_yaw
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.types import MapElement

SECOND_NS = 1_000_000_000


def street(length_m: float = 120.0, bend: float = 0.0) -> list[MapElement]:
    """Two boundaries, a divider, and a crossing every 40 m; `bend` is the curvature in 1/m."""
    x = np.arange(-40.0, length_m + 40.0, 1.0)

    def line(label: str, y: float) -> MapElement:
        return MapElement(label, np.column_stack([x, y + bend / 2 * x * x]).astype(np.float32))

    lines = [line("boundary", 5.0), line("divider", 0.0), line("boundary", -5.0)]
    for at in np.arange(20.0, length_m, 40.0):
        y = bend / 2 * at * at
        ring = np.array([[at, y - 5], [at + 4, y - 5], [at + 4, y + 5], [at, y + 5], [at, y - 5]], np.float32)
        lines.append(MapElement("ped_crossing", ring, closed=True))
    return lines


def roads_beside(path: Path, beside_m: float) -> Path:
    """A navigation map of one road so far to the left of the street; (0, 0) is at 48.1 N, 11.5 E. Needs pyproj."""
    from mapkd_core.map_formats.earth import EarthFrame, at_place

    ends = np.array([[-50, beside_m, 0], [200, beside_m, 0]])
    degrees = EarthFrame(at_place(48.1, 11.5)).degrees(ends)[:, :2]
    road = {"type": "Feature", "properties": {"highway": "primary"},
            "geometry": {"type": "LineString", "coordinates": degrees.tolist()}}  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [road]}))
    return path


def poses(length_m: float = 120.0, step_m: float = 2.0, bend: float = 0.0, back: bool = False) -> list[np.ndarray]:
    """`map_from_base` along the street, one a `step_m`."""
    at = np.arange(0.0, length_m, step_m)
    found = [transform_from_yaw(x, bend / 2 * x * x, np.arctan(bend * x)) for x in at]
    return [pose @ transform_from_yaw(0, 0, np.pi) for pose in found[::-1]] if back else found


def seen(elements: Sequence[MapElement], map_from_base: np.ndarray, rng: np.random.Generator | None = None,
         noise_m: float = 0.0, score: float = 0.8) -> list[MapElement]:  # fmt: skip
    """What of a street lies in 60 x 30 m about a pose, in `base_link`, each line shifted at random."""
    window = shapely.box(-30, -15, 30, 15)
    result = []
    for element in elements:
        points = np.column_stack([element.points_m[:, :2], np.zeros(len(element.points_m))])
        local = apply(inverse(map_from_base), points)[:, :2]
        shift = rng.normal(0, noise_m, 2) if rng is not None else np.zeros(2)
        shape = shapely.Polygon(local) if element.closed else shapely.LineString(local)
        for part in shapely.get_parts(shape.intersection(window)):
            if part.is_empty or part.geom_type not in ("LineString", "Polygon"):
                continue
            coords = np.asarray(part.exterior.coords if part.geom_type == "Polygon" else part.coords) + shift
            result.append(MapElement(element.label, coords.astype(np.float32), score, element.closed))
    return result


def sets(
    elements: Sequence[MapElement], path: Sequence[np.ndarray], noise_m: float = 0.0, seed: int = 0
) -> Iterator[tuple[list[MapElement], np.ndarray, int]]:
    """Elements, pose and stamp, ten a second."""
    rng = np.random.default_rng(seed)
    for k, pose in enumerate(path):
        yield seen(elements, pose, rng, noise_m), pose, (k + 1) * SECOND_NS // 10


def built(builder: MapBuilder, drive: Iterator[tuple[list[MapElement], np.ndarray, int]]) -> MapBuilder:
    """The builder after a drive."""
    for elements, pose, stamp_ns in drive:
        builder.add(elements, pose, stamp_ns)
    return builder
