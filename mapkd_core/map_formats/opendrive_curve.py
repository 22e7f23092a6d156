"""Reference lines of OpenDRIVE: a smooth curve through given vertices, and points of any planView geometry.

Written is one cubic (`paramPoly3`, p from 0 to 1) for each pair of vertices; headings agree where two meet.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.geometry import distances_along

Points = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve through vertices, by its distance s along it."""

    points_m: Points
    """(N, 2) vertices."""
    headings: Points
    """(N,) radians, at the vertices."""
    polynomials: Points
    """(N - 1, 2, 4): u and v of each piece, in the frame of its first vertex and heading, by powers of p."""
    stations_m: Points
    """(N,) s of the vertices."""

    def at(self, piece: int, p: Points) -> tuple[Points, Points]:
        """(K, 2) points and (K, 2) derivatives by p of one piece."""
        return self._places(np.full(len(p), piece), p)

    def _places(self, pieces: NDArray, p: Points) -> tuple[Points, Points]:
        """(..., 2) points and derivatives by p of places (...) on pieces (...)."""
        powers = np.stack([np.ones_like(p), p, p * p, p**3], -1)
        slopes = np.stack([np.zeros_like(p), np.ones_like(p), 2 * p, 3 * p * p], -1)
        along = np.stack([np.cos(self.headings), np.sin(self.headings)], -1)[pieces]
        turn = np.stack([along, np.stack([-along[..., 1], along[..., 0]], -1)], -2)                   # ... uv xy
        polynomials = self.polynomials[pieces]
        uv, duv = (np.einsum("...ck,...k->...c", polynomials, one) for one in (powers, slopes))
        return self.points_m[pieces] + np.einsum("...c,...cx->...x", uv, turn), np.einsum("...c,...cx->...x", duv, turn)

    def project(self, points_m: Points) -> tuple[Points, Points]:
        """s and t (to the left) (K,) of the places of the curve that are nearest to points (K, 2)."""
        count = len(self.polynomials)
        chords = shapely.line_locate_point(self._chords, shapely.points(points_m))
        near = np.searchsorted(self._chord_ends_m, chords)
        pieces = np.clip(near[:, None] + [-1, 0, 1], 0, count - 1)                                      # K 3
        start = np.linspace(0, 1, 9)
        grid = np.broadcast_to(start, (*pieces.shape, 9))
        places, _ = self._places(np.broadcast_to(pieces[..., None], grid.shape), grid)
        p = start[np.linalg.norm(places - points_m[:, None, None], axis=-1).argmin(-1)]
        for _ in range(12):
            here, slope = self._places(pieces, p)
            p = np.clip(p + ((points_m[:, None] - here) * slope).sum(-1) / (slope * slope).sum(-1), 0, 1)
        here, slope = self._places(pieces, p)
        away = points_m[:, None] - here
        best = np.linalg.norm(away, axis=-1).argmin(1)
        row = np.arange(len(points_m))
        pieces, p, away, slope = pieces[row, best], p[row, best], away[row, best], slope[row, best]
        ahead = slope / np.linalg.norm(slope, axis=-1, keepdims=True)
        s = np.array([self.station(int(k), float(place)) for k, place in zip(pieces, p, strict=True)])
        return s, ahead[:, 0] * away[:, 1] - ahead[:, 1] * away[:, 0]

    @cached_property
    def _chords(self) -> shapely.LineString:
        return shapely.LineString(self.points_m)

    @cached_property
    def _chord_ends_m(self) -> Points:
        return distances_along(self.points_m)[1:]

    def station(self, piece: int, p: float) -> float:
        """s of a place."""
        if p in (0.0, 1.0):
            return float(self.stations_m[piece + int(p)])
        return float(self.stations_m[piece]) + _arc(self.polynomials[piece], p)

    def parameter(self, piece: int, s_m: float) -> float:
        """p of the place of a piece at a distance along the curve."""
        if s_m <= self.stations_m[piece] + 1e-9 or s_m >= self.stations_m[piece + 1] - 1e-9:
            return float(s_m >= self.stations_m[piece + 1] - 1e-9)
        p = 0.5
        for _ in range(30):
            (_,), (slope,) = self.at(piece, np.array([p]))
            step = (s_m - self.station(piece, p)) / float(np.linalg.norm(slope))
            p = min(max(p + step, 0.0), 1.0)
            if abs(step) < 1e-13:
                break
        return p


def _arc(polynomial: Points, p: float) -> float:
    """Length of a piece from 0 to p."""
    at = (_NODES + 1) / 2 * p
    slopes = np.stack([np.zeros_like(at), np.ones_like(at), 2 * at, 3 * at * at], -1) @ polynomial.T
    return float(np.linalg.norm(slopes, axis=1) @ _WEIGHTS / 2 * p)


def curve_through(points_m: Points) -> Curve:
    """The curve through (N >= 2, 2) vertices, none of which follows an equal one."""
    steps = np.diff(points_m, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    ways = steps / lengths[:, None]
    # at an inner vertex the direction of the circle through it and its neighbors
    tangents = np.concatenate([ways[:1], ways[:-1] * lengths[1:, None] + ways[1:] * lengths[:-1, None], ways[-1:]])
    flat = np.linalg.norm(tangents, axis=1) < 1e-9
    tangents[flat] = np.concatenate([ways, ways[-1:]])[flat]
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    headings = np.arctan2(tangents[:, 1], tangents[:, 0])
    polynomials, stations = [], [0.0]
    for k, length in enumerate(lengths):
        cos, sin = np.cos(headings[k]), np.sin(headings[k])
        to_local = np.array([[cos, sin], [-sin, cos]])
        end, leave = to_local @ steps[k], to_local @ tangents[k + 1] * length
        begin = np.array([length, 0.0])
        polynomials.append(np.stack([np.zeros(2), begin, 3 * end - 2 * begin - leave, begin + leave - 2 * end], -1))
        stations.append(stations[-1] + _arc(polynomials[-1], 1.0))
    return Curve(points_m, headings, np.array(polynomials).reshape(-1, 2, 4), np.array(stations))
