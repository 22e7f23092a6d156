"""The curve through a reference line's vertices: its headings, and places beside it."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.map_formats.opendrive_curve import curve_through

ANGLES = np.array([0.0, 0.1, 0.4, 0.6, 1.3])


def circle(radius_m: float = 20.0) -> np.ndarray:
    """Vertices at uneven steps, counter-clockwise about (0, radius), from (0, 0) along x."""
    return radius_m * np.stack([np.sin(ANGLES), 1 - np.cos(ANGLES)], 1)


def test_at_inner_vertices_it_heads_as_the_circle_through_the_neighbors() -> None:
    curve = curve_through(circle())
    assert curve.headings[1:-1] == pytest.approx(ANGLES[1:-1])
    for piece in range(4):
        (begin, end), slopes = curve.at(piece, np.array([0.0, 1.0]))
        assert begin == pytest.approx(circle()[piece]) and end == pytest.approx(circle()[piece + 1])
        assert np.arctan2(slopes[:, 1], slopes[:, 0]) == pytest.approx(curve.headings[piece : piece + 2])
    assert np.diff(curve.stations_m)[1:-1] == pytest.approx(20 * np.diff(ANGLES)[1:-1], rel=1e-3)


def test_a_place_beside_it_is_to_the_left_of_its_nearest_place() -> None:
    curve, at = curve_through(circle()), np.array([0.2, 0.5])
    inward, outward = (r * np.stack([np.sin(at), -np.cos(at)], 1) + (0, 20) for r in (17.0, 22.0))
    for places, t in ((inward, 3.0), (outward, -2.0)):
        s, beside = curve.project(places)
        assert beside == pytest.approx(t, abs=0.01) and s == pytest.approx(20 * at, abs=0.02)
        piece = 1 if s[0] < curve.stations_m[2] else 2
        (place,), _ = curve.at(piece, np.array([curve.parameter(piece, float(s[0]))]))
        assert np.linalg.norm(place - places[0]) == pytest.approx(abs(t), abs=0.01)
