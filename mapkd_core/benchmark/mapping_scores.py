"""How much of a true road map a street map holds, and how much of what it holds is true.

Both sides are sampled every half metre, class by class, along a drive: only what the vehicle came past counts.
Completeness: the share of true samples with a sample of the map within the tolerance. Precision: the other way round.
Crossings count by their outlines.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.data.labels import map_elements
from mapkd_core.data.polylines import Range, clip_polylines
from mapkd_core.geometry import apply, distances_along, flattened, inverse, points_at
from mapkd_core.grid import BOUNDARY_INSET_M, GRID_60X30
from mapkd_core.metrics.ap_chamfer import ChamferAp
from mapkd_core.metrics.pooled import FrameMatches
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.vector_map import VectorMap

STEP_M = 0.5
TOLERANCE_M = 0.5


@dataclass
class LineCounts:
    """Samples of the truth and of predictions, and how many of them the other side has."""

    true: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(CLASSES)))
    found: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(CLASSES)))
    predicted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(CLASSES)))
    right: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(CLASSES)))

    def add(
        self, predicted: Sequence[MapElement], truth: Sequence[MapElement], tolerance_m: float = TOLERANCE_M
    ) -> None:
        """Counts a frame, or a whole map, in which both lie in one frame of reference."""
        for place, label in enumerate(CLASSES):
            mine, theirs = (_samples([e for e in side if e.label == label]) for side in (predicted, truth))
            self.true[place] += len(theirs)
            self.predicted[place] += len(mine)
            if len(mine) and len(theirs):
                self.found[place] += np.isfinite(cKDTree(mine).query(theirs, distance_upper_bound=tolerance_m)[0]).sum()
                self.right[place] += np.isfinite(cKDTree(theirs).query(mine, distance_upper_bound=tolerance_m)[0]).sum()

    def add_found(self, shown: Sequence[MapElement], truth: Sequence[MapElement]) -> None:
        """Counts the truth alone, and what of it is shown."""
        other = LineCounts()
        other.add(shown, truth)
        self.true += other.true
        self.found += other.found

    @property
    def completeness(self) -> float:
        """Share of the truth that is there, over all classes."""
        return float(self.found.sum() / max(self.true.sum(), 1))

    @property
    def precision(self) -> float:
        """Share of what is there that is true."""
        return float(self.right.sum() / max(self.predicted.sum(), 1))

    def per_class(self) -> dict[str, tuple[float, float]]:
        """Completeness and precision by class."""
        return {
            label: (float(self.found[c] / max(self.true[c], 1)), float(self.right[c] / max(self.predicted[c], 1)))
            for c, label in enumerate(CLASSES)
        }


@dataclass
class FrameScores:
    """Completeness, precision and AP over the frames of drives: of single sets, or of a map cut to their views."""

    counts: LineCounts = field(default_factory=LineCounts)
    matches: list[FrameMatches] = field(default_factory=list)
    definition: ChamferAp = field(default_factory=lambda: ChamferAp(corrected=True))

    def add(self, predicted: Sequence[MapElement], truth: Sequence[MapElement]) -> None:
        """Scores one frame in `base_link`."""
        self.counts.add(predicted, truth)
        self.matches.append(self.definition.frame(predicted, truth))

    @property
    def ap(self) -> float:
        """MapTR's AP, mean over 0.5, 1 and 1.5 m and the classes."""
        return self.definition.total(self.matches).mean


def true_elements(road_map: VectorMap, map_from_base: NDArray[np.float64]) -> list[MapElement]:
    """The truth in a set's view."""
    return map_elements(road_map, map_from_base, GRID_60X30, "polygon")


def in_view(elements: Sequence[MapElement], map_from_base: NDArray[np.float64]) -> list[MapElement]:
    """Elements of a map, (N, 3) in its frame, cut to a set's view and in its `base_link`."""
    base_from_map = inverse(flattened(map_from_base))
    result = []
    for element in elements:
        points = apply(base_from_map, np.asarray(element.points_m, np.float64) * [1, 1, 0])[:, :2]
        margin = BOUNDARY_INSET_M if element.label == "boundary" else 0.0
        window = Range(GRID_60X30.x_range_m, GRID_60X30.y_range_m).shrunk(margin)
        low, high = window.limits()
        if np.any(points.max(0) < low) or np.any(points.min(0) > high):
            continue
        if element.closed and element.label == "ped_crossing":
            ring = _clipped_ring(points, window)
            if ring is not None:
                result.append(MapElement(element.label, ring, element.score, True))
            continue
        result += [
            MapElement(element.label, piece.points_m.astype(np.float32), element.score)
            for piece in clip_polylines([points], window)
        ]
    return result


def in_map(element: MapElement, map_from_base: NDArray[np.float64]) -> MapElement:
    """An element of a set, from `base_link` to the map's frame, on level ground."""
    points = np.column_stack([element.points_m[:, :2], np.zeros(len(element.points_m))])
    placed = apply(flattened(map_from_base), points.astype(np.float64))[:, :2].astype(np.float32)
    return MapElement(element.label, placed, element.score, element.closed)


def _clipped_ring(points: NDArray[np.float64], window: Range) -> NDArray[np.float32] | None:
    import shapely

    (x0, x1), (y0, y1) = window.x_m, window.y_m
    area = shapely.make_valid(shapely.Polygon(points)).intersection(shapely.box(x0, y0, x1, y1))
    parts = [part for part in shapely.get_parts(area) if isinstance(part, shapely.Polygon) and part.area > 0.5]
    if not parts:
        return None
    return np.asarray(max(parts, key=lambda part: part.area).exterior.coords, np.float32)[:, :2]


def _samples(elements: Sequence[MapElement]) -> NDArray[np.float64]:
    """(N, 2) points every `STEP_M` of all lines."""
    parts = []
    for element in elements:
        points = np.asarray(element.points_m, np.float64)[:, :2]
        length = distances_along(points)[-1]
        parts.append(points_at(points, np.arange(0, length, STEP_M) + min(STEP_M, length) / 2))
    return np.concatenate(parts) if parts else np.zeros((0, 2))
