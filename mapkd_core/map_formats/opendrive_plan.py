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
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True, eq=False)
class Plan:
    """A road's reference line."""

    pieces: tuple[Element, ...]
    starts_m: Points
    length_m: float
    elevation: tuple[Element, ...]
    where: str

    def points(self, s: Points, t: Points) -> Points:
        """(K, 3) of places `t` to the left of the line at `s`."""
        result = np.zeros((len(s), 3))
        which = np.clip(np.searchsorted(self.starts_m, s, side="right") - 1, 0, len(self.pieces) - 1)
        for k in np.unique(which):
            chosen = which == k
            xy, heading = self._piece(int(k), s[chosen] - self.starts_m[k])
            result[chosen, :2] = xy + t[chosen, None] * np.stack([-np.sin(heading), np.cos(heading)], -1)
        result[:, 2] = polynomial(self.elevation, s, "s", f"{self.where}: elevation")
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
    pieces = tuple(road.findall("planView/geometry"))
    if not pieces:
        raise FileFault(f"{where} has no geometry; expected a reference line: export it again")
    starts = np.array([number_of(piece.attrib, "s", f"{where}: geometry") for piece in pieces])
    length = number_of(road.attrib, "length", where)
    if not 0 <= length <= LONGEST_M:
        raise FileFault(f"{where} is {length:g} m long; expected 0 to {LONGEST_M:g}")
    return Plan(pieces, starts, length, tuple(road.findall("elevationProfile/elevation")), where)


def polynomial(rows: Sequence[Element], s: Points, key: str, where: str) -> Points:
    """(K,) values of cubics that each begin at `key`; 0 where there is none."""
    if not rows:
        return np.zeros(len(s))
    values = np.array([[number_of(row.attrib, name, where, 0.0) for name in (key, "a", "b", "c", "d")] for row in rows])
    which = np.clip(np.searchsorted(values[:, 0], s + 1e-9, side="right") - 1, 0, len(rows) - 1)
    start, a, b, c, d = values[which].T
    ds = s - start
    return np.asarray(a + ds * (b + ds * (c + ds * d)))


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
    a, b, c, d = (number_of(shape.attrib, name, where, 0.0) for name in "abcd")
    u = along
    return np.stack([u, a + u * (b + u * (c + u * d))], -1), np.arctan(b + u * (2 * c + 3 * u * d))


def _param_poly3(shape: Element, along: Points, length: float, where: str) -> tuple[Points, Points]:
    u, v = (np.array([number_of(shape.attrib, f"{n}{axis}", where, 0.0) for n in "abcd"]) for axis in "UV")
    p = along if shape.get("pRange") == "arcLength" else along / max(length, 1e-9)
    powers = np.stack([np.ones_like(p), p, p * p, p**3], -1)
    slopes = np.stack([np.zeros_like(p), np.ones_like(p), 2 * p, 3 * p * p], -1)
    return np.stack([powers @ u, powers @ v], -1), np.arctan2(slopes @ v, slopes @ u)


_SHAPES = {"line": _line, "arc": _arc, "spiral": _spiral, "poly3": _poly3, "paramPoly3": _param_poly3}
