"""Predictions that lie where no map round a vehicle does: in other units, axes or frames than ego metres."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.frame_file import FrameRecord

_MARGIN_M = 1.0
_OUTSIDE = 0.2
"""Lines of a larger grid lie outside as well, and are told of: they count as false there."""


def odd_places(predictions: Sequence[FrameRecord], grid: BevGrid) -> list[str]:
    """A note where more than a fifth of the vertices lie outside of the grid, or all within a metre of the vehicle."""
    lines = [np.asarray(e.points_m)[:, :2] for record in predictions for e in record.elements]
    if not lines:
        return []
    points = np.concatenate(lines)
    (x_low, x_high), (y_low, y_high) = grid.x_range_m, grid.y_range_m
    low, high = np.array([x_low, y_low]) - _MARGIN_M, np.array([x_high, y_high]) + _MARGIN_M
    outside = ((points < low) | (points > high)).any(1)
    expected = "expected metres in the ego frame, x ahead and y left: are they in other units, or in another frame?"
    if outside.mean() > _OUTSIDE:
        x, y = points[outside][0]
        return [
            f"{100 * outside.mean():.0f} % of the predicted vertices, such as ({x:.6g}, {y:.6g}), lie outside of the "
            f"grid (x {x_low:g} to {x_high:g}, y {y_low:g} to {y_high:g} m); {expected}"
        ]
    if np.abs(points).max() <= _MARGIN_M:
        return [f"All predicted vertices lie within {_MARGIN_M:g} m of the vehicle; {expected}"]
    return []
