"""Points of an OpenDRIVE road: its reference line of lines, arcs, spirals and cubics, and its elevation."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from mapkd_core.map_formats.xml_files import number_of
from mapkd_core.schema import FileFault

Points = NDArray[np.float64]
Element = ElementTree.Element
LONGEST_M = 100_000.0
_FINE = 2000
"""Pieces of which the length of a cubic is the sum."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True, eq=False)
class Plan:
    """A road's reference line."""

    pieces: tuple[Element, ...]
    starts_m: Points
    length_m: float
    elevation: tuple[Element, ...]
    roll: tuple[Element, ...]
    """Records of superelevation: radians, by which the left side is higher."""
    where: str

    def points(self, s: Points, t: Points) -> Points:
        """(K, 3) of places `t` to the left of the line at `s`."""
        result = np.zeros((len(s), 3))
        roll = polynomial(self.roll, s, "s", f"{self.where}: superelevation")
        t, up = t * np.cos(roll), t * np.sin(roll)
        which = np.clip(np.searchsorted(self.starts_m, s, side="right") - 1, 0, len(self.pieces) - 1)
        for k in np.unique(which):
            chosen = which == k
            xy, heading = self._piece(int(k), s[chosen] - self.starts_m[k])
            result[chosen, :2] = xy + t[chosen, None] * np.stack([-np.sin(heading), np.cos(heading)], -1)
        result[:, 2] = polynomial(self.elevation, s, "s", f"{self.where}: elevation") + up
        return result

    def heading(self, s: float) -> float:
        """Direction of the line, radians."""
        k = int(np.clip(np.searchsorted(self.starts_m, s, side="right") - 1, 0, len(self.pieces) - 1))
        return float(self._piece(k, np.array([s - self.starts_m[k]]))[1][0])

    def _piece(self, k: int, along: Points) -> tuple[Points, Points]:
        """Places (K, 2) and headings (K,) at distances along one piece."""
        piece, where = self.pieces[k], f"{self.where}: geometry {k}"
        x, y, heading, length = (number_of(piece.attrib, name, where) for name in ("x", "y", "hdg", "length"))
        shape = next((child for child in piece if child.tag in _SHAPES), None)
        if shape is None:
            raise FileFault(f"{where} has no shape; expected one of {', '.join(_SHAPES)}")
        uv, turn = _SHAPES[shape.tag](shape, along, length, where)
        cos, sin = np.cos(heading), np.sin(heading)
        return np.array([x, y]) + uv @ np.array([[cos, sin], [-sin, cos]]), heading + turn


def plan_of(road: Element, where: str) -> Plan:
    """The reference line of a road. Raises FileFault for one without geometry."""
    found = [(number_of(piece.attrib, "s", f"{where}: geometry"), piece) for piece in road.findall("planView/geometry")]
    if not found:
        raise FileFault(f"{where} has no geometry; expected a reference line: export it again")
    found.sort(key=lambda entry: entry[0])
    starts, pieces = np.array([start for start, _ in found]), tuple(piece for _, piece in found)
    length = number_of(road.attrib, "length", where)
    if not 0 <= length <= LONGEST_M:
        raise FileFault(f"{where} is {length:g} m long; expected 0 to {LONGEST_M:g}")
    roll = tuple(road.findall("lateralProfile/superelevation"))
    return Plan(pieces, starts, length, tuple(road.findall("elevationProfile/elevation")), roll, where)


def polynomial(rows: Sequence[Element], s: Points, key: str, where: str, before: float | None = None) -> Points:
    """(K,) values of cubics that each begin at `key`; 0 where there is none.

    Before the first one it is `before`, or what the first one begins with.
    """
    if not rows:
        return np.zeros(len(s))
    values = np.array([[number_of(row.attrib, name, where, 0.0) for name in (key, "a", "b", "c", "d")] for row in rows])
    values = values[np.argsort(values[:, 0], kind="stable")]
    which = np.searchsorted(values[:, 0], s + 1e-9, side="right") - 1
    start, a, b, c, d = values[np.maximum(which, 0)].T
    ds = np.maximum(s - start, 0.0)
    found = a + ds * (b + ds * (c + ds * d))
    return found if before is None else np.where(which < 0, before, found)


def _line(shape: Element, along: Points, length: float, where: str) -> tuple[Points, Points]:
    return np.stack([along, np.zeros_like(along)], -1), np.zeros_like(along)


def _arc(shape: Element, along: Points, length: float, where: str) -> tuple[Points, Points]:
    return _bent(along, number_of(shape.attrib, "curvature", where), 0.0)


def _spiral(shape: Element, along: Points, length: float, where: str) -> tuple[Points, Points]:
    begin, end = (number_of(shape.attrib, name, where) for name in ("curvStart", "curvEnd"))
    return _bent(along, begin, (end - begin) / max(length, 1e-9))


def _bent(along: Points, curvature: float, growth: float) -> tuple[Points, Points]:
    """A curve whose curvature grows evenly: its heading integrated, by Gauss."""
    at = along[:, None] * (_NODES + 1) / 2
    turn = curvature * at + growth * at * at / 2
    u, v = (np.asarray((np.cos(turn) @ _WEIGHTS, np.sin(turn) @ _WEIGHTS)) * along / 2)
    return np.stack([u, v], -1), curvature * along + growth * along * along / 2


def _poly3(shape: Element, along: Points, length: float, where: str) -> tuple[Points, Points]:
    coefficients = np.array([number_of(shape.attrib, name, where, 0.0) for name in "abcd"])
    return _cubic(np.array([0.0, 1.0, 0.0, 0.0]), coefficients, along, length, ends=False)


def _param_poly3(shape: Element, along: Points, length: float, where: str) -> tuple[Points, Points]:
    u, v = (np.array([number_of(shape.attrib, f"{n}{axis}", where, 0.0) for n in "abcd"]) for axis in "UV")
    scale = 1.0 if shape.get("pRange") == "arcLength" else max(length, 1e-9)
    powers = scale ** -np.arange(4.0)  # the parameter in metres
    return _cubic(u * powers, v * powers, along, length, ends=True)


def _cubic(u: Points, v: Points, along: Points, length: float, ends: bool) -> tuple[Points, Points]:
    """Places and headings at distances along a curve whose parameter is in metres, but is not the distance.

    With `ends` the parameter `length` is its end, whatever the curve's length comes to.
    """
    fine: Points = np.linspace(0.0, max(length, 1e-9), 1 + _FINE, dtype=np.float64)
    middle = (fine[1:] + fine[:-1]) / 2
    pieces_m = np.hypot(_slope(u, middle), _slope(v, middle)) * np.diff(fine)
    so_far_m = np.concatenate([[0.0], np.cumsum(pieces_m)])
    p = np.interp(along * so_far_m[-1] / fine[-1] if ends else along, so_far_m, fine)
    powers = np.stack([np.ones_like(p), p, p * p, p**3], -1)
    return np.stack([powers @ u, powers @ v], -1), np.arctan2(_slope(v, p), _slope(u, p))


def _slope(coefficients: Points, p: Points) -> Points:
    return np.asarray(coefficients[1] + p * (2 * coefficients[2] + 3 * p * coefficients[3]))


_SHAPES = {"line": _line, "arc": _arc, "spiral": _spiral, "poly3": _poly3, "paramPoly3": _param_poly3}
