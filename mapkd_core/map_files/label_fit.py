"""How a map lies beside what a drive's images show: the motion that puts the one onto the other, and its residual."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.bags.bag_frames import BagFrames
from mapkd_core.data.polylines import Range
from mapkd_core.geometry import apply, yaw_of
from mapkd_core.mapping.alignment import Lines, fitted
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.seeding import lines_of
from mapkd_core.mapping.street_map import StreetMap
from mapkd_core.predictor import MapPredictor
from mapkd_core.progress import Progress

MOST_FRAMES = 400
"""Frames of a drive that are looked at, evenly spread."""
BOUND_M, BOUND_DEG = 4.0, 4.0
FARTHEST_M = 2.0
"""A predicted place farther than this from each line of its class counts as this far."""


@dataclass(frozen=True, eq=False)
class LabelFit:
    """One motion for a whole drive."""

    map_from_poses: NDArray[np.float64]
    """(4, 4) moves the poses so that predicted lines lie on the map's."""
    moved_m: float
    """How far the middle of what was seen went."""
    yaw_deg: float
    before_m: float
    """Mean distance of predicted lines to the map's lines of their class, capped at FARTHEST_M."""
    after_m: float
    line_m: float
    """Length of the predicted lines near the map's."""

    def __str__(self) -> str:
        return (
            f"moved by {self.moved_m:.2f} m and {self.yaw_deg:+.2f} degrees; predicted lines lie {self.before_m:.2f} m "
            f"from the map's before and {self.after_m:.2f} m after ({self.line_m:.0f} m of line)"
        )


def fit_labels(frames: BagFrames, street_map: StreetMap, predictor: MapPredictor) -> LabelFit:
    """Predicts a drive's frames, fuses the lines, and fits them to a map, within BOUND_M and BOUND_DEG.

    Raises ValueError where nothing fits, two motions fit about as well, or a frame cannot be predicted.
    """
    grid = predictor.card.grid
    view = Range(grid.x_range_m, grid.y_range_m)
    builder = MapBuilder(MappingOptions(align=False))
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(MOST_FRAMES, len(frames))).round().astype(int))
    with Progress("align", len(chosen), "frame") as bar:
        for index in chosen:
            frame = frames[int(index)]
            result = predictor.complete(predictor.prepare_frame(frame))
            assert frame.map_from_base is not None
            builder.add(result.elements, frame.map_from_base, frame.stamp_ns, view)
            bar.update()
    return fit_of(builder.street_map(), street_map)


def fit_of(seen_map: StreetMap, street_map: StreetMap) -> LabelFit:
    """The motion of a map that was seen onto a known one. Raises ValueError where none is known."""
    seen, known = lines_of(seen_map.elements), lines_of(street_map.elements)
    found = fitted(seen, known, BOUND_M, float(np.radians(BOUND_DEG)))
    if found.refused:
        raise ValueError(
            f"--align: {found.refused}, between {len(seen.xy_m) / 2:.0f} m of predicted line and the map; expected at "
            f"least 20 m in common within {BOUND_M:g} m: look at --image, name better --weights, or leave --align out"
        )
    centre = np.append(seen.xy_m.mean(0), 0.0)
    way = apply(found.shift, centre[None])[0] - centre
    before, near = _distances(seen, known, np.eye(4))
    after, _ = _distances(seen, known, found.shift)
    return LabelFit(
        found.shift, float(np.hypot(*way[:2])), float(np.degrees(yaw_of(found.shift))), before, after, near / 2
    )


def _distances(seen: Lines, known: Lines, shift: NDArray[np.float64]) -> tuple[float, int]:
    """Mean distance of samples, half a metre apart, to those of their class, and how many have one near."""
    places = apply(shift, np.column_stack([seen.xy_m, np.zeros(len(seen.xy_m))]))[:, :2]
    distance = np.full(len(places), np.inf)
    for label in np.unique(seen.label):
        theirs = known.xy_m[known.label == label]
        if len(theirs):
            own = seen.label == label
            distance[own] = cKDTree(theirs).query(places[own])[0]
    return float(np.minimum(distance, FARTHEST_M).mean()), int((distance < FARTHEST_M).sum())
