"""The lines between an OpenDRIVE road's lanes of traffic, and the areas of these lanes."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.map_formats.opendrive_plan import Plan, polynomial
from mapkd_core.map_formats.report import Report
from mapkd_core.map_formats.xml_files import number_of

Points = NDArray[np.float64]
Element = ElementTree.Element
TRAFFIC = ("driving", "entry", "exit", "onRamp", "offRamp", "connectingRamp", "slipLane", "bidirectional", "stop",
           "parking", "shoulder", "bus", "taxi", "HOV", "mwyEntry", "mwyExit", "roadWorks", "shared")  # fmt: skip
"""Types of lanes that are road: their outline is the boundary."""
PAINTS = {"solid": "solid", "broken": "dashed", "solid solid": "double", "solid broken": "double",
          "broken solid": "double", "broken broken": "double", "none": "none"}  # fmt: skip
STEP_M = 1.0
NARROW_M = 0.3
"""A lane that is narrower begins or ends there: its two lines are one."""
_SHORTEST_M = 0.05


@dataclass(eq=False)
class _Line:
    """A lane's outer line, or the middle of the road, along one section."""

    lane: Element | None
    begin_m: float
    """Of the section, from which the marks count."""
    t: Points
    between: bool
    """Whether there are lanes of traffic on both sides."""
    hidden: NDArray[np.bool_]
    """Where another line stands for it."""


class RoadLanes:
    """Walks over the sections of a road; its lanes of traffic are gathered in `areas`, their edges in `heights`."""

    def __init__(self, road: Element, plan: Plan, where: str, report: Report) -> None:
        self.plan, self.where, self.report = plan, where, report
        self.in_junction = road.get("junction", "-1") not in ("-1", "")
        self.offsets = road.findall("lanes/laneOffset")
        named = [(number_of(section.attrib, "s", f"{where}: laneSection"), section)
                 for section in road.findall("lanes/laneSection")]  # fmt: skip
        self.sections = sorted(named, key=lambda entry: entry[0])
        self.areas: list[BaseGeometry] = []
        self.heights: list[Points] = []

    def dividers(self) -> Iterator[tuple[Points, dict[str, str]]]:
        """The lines between lanes of traffic, each of one paint."""
        starts = sorted({start for start, _ in self.sections})
        for begin, end in pairwise([*starts, self.plan.length_m]):
            if end - begin >= 1e-3:
                yield from self._stretch(begin, end)

    def _stretch(self, begin: float, end: float) -> Iterator[tuple[Points, dict[str, str]]]:
        s: Points = np.linspace(begin, end, max(2, int((end - begin) / STEP_M) + 2), dtype=np.float64)
        base = polynomial(self.offsets, s, "s", f"{self.where}: laneOffset", before=0.0)
        start, section = self._section("center", begin)
        middle = _Line(section.find("center/lane"), start, base, False, np.zeros(len(s), bool))
        lines, inner = [], []
        for name, sign in (("left", 1), ("right", -1)):
            found, kind = self._side(name, sign, begin, s, middle)
            lines += found
            inner.append(kind)
        middle.between = all(kind in TRAFFIC for kind in inner)
        for line in [*lines, middle]:
            if line.between:
                yield from self._painted(line, s)

    def _section(self, side: str, begin: float) -> tuple[float, Element]:
        """The section that holds for a side (those with `singleSide` for that which they have), and its start."""
        held = [entry for entry in self.sections if entry[0] <= begin and (
            entry[1].get("singleSide") != "true" or entry[1].find(side) is not None)]  # fmt: skip
        return held[-1] if held else self.sections[0]

    def _side(self, name: str, sign: int, begin: float, s: Points, middle: _Line) -> tuple[list[_Line], str]:
        """The outer lines of a side's lanes, from the middle outwards, and the type of the innermost one."""
        start, section = self._section(name, begin)
        lines, innermost, inside, before = [], "", middle, ""
        for lane in sorted(section.findall(f"{name}/lane"), key=lambda lane: abs(_id(lane, self.where))):
            rows = lane.findall("width")
            if not rows and lane.find("border") is not None:
                self.report.add("lane given by its border, not by its width")
                break
            width = polynomial(rows, s - start, "sOffset", f"{self.where}: width")
            kind = str(lane.get("type"))
            outside = _Line(lane, start, inside.t + sign * width, False, np.zeros(len(s), bool))
            if kind in TRAFFIC:
                self._add_area(s, inside.t, outside.t)
            if inside is middle:
                innermost = kind
            else:
                inside.between = before in TRAFFIC and kind in TRAFFIC
            lines.append(outside)
            inside, before = outside, kind
        self._hide_narrow(s, [middle, *lines])
        return lines, innermost

    def _hide_narrow(self, s: Points, lines: list[_Line]) -> None:
        """Of the two lines of a lane without width one stands for both: that which is painted, else the outer one."""
        for inner, outer in pairwise(lines):
            narrow = np.abs(outer.t - inner.t) < NARROW_M
            if not narrow.any():
                continue
            keep_inner = outer.between & self._is_painted(inner, s) & ~self._is_painted(outer, s)
            inner.hidden |= narrow & ~keep_inner
            outer.hidden |= narrow & keep_inner

    def _is_painted(self, line: _Line, s: Points) -> NDArray[np.bool_]:
        paints = [(start, paint["paint"] != "none") for start, paint in self._paints(line, float(s[0]))]
        which = np.searchsorted([start for start, _ in paints], s, side="right") - 1
        return np.array([paint for _, paint in paints])[np.maximum(which, 0)]

    def _add_area(self, s: Points, inner_t: Points, outer_t: Points) -> None:
        inside, outside = self.plan.points(s, inner_t), self.plan.points(s, outer_t)
        area = Polygon(np.concatenate([inside, outside[::-1]])[:, :2])
        self.areas.append(area if area.is_valid else shapely.make_valid(area))
        self.heights += [inside, outside]

    def _paints(self, line: _Line, begin: float) -> list[tuple[float, dict[str, str]]]:
        """Where along the road each paint of a line begins, in order."""
        marks = [] if line.lane is None else line.lane.findall("roadMark")
        starts = [line.begin_m + number_of(mark.attrib, "sOffset", f"{self.where}: roadMark", 0.0) for mark in marks]
        pieces: list[tuple[float, dict[str, str]]] = []
        for k in sorted(range(len(marks)), key=starts.__getitem__):
            paint = _paint(marks[k])
            if not pieces or pieces[-1][1] != paint:
                pieces.append((starts[k], paint))
        if not pieces or pieces[0][0] > begin:
            pieces.insert(0, (begin, _paint(None)))
        return pieces

    def _painted(self, line: _Line, s: Points) -> Iterator[tuple[Points, dict[str, str]]]:
        """A line in pieces of one paint each; between the roads of a junction there is none without paint."""
        pieces = self._paints(line, float(s[0]))
        for (begin, paint), (end, _) in pairwise([*pieces, (float(s[-1]), {})]):
            if self.in_junction and paint["paint"] == "none":
                self.report.add("border between lanes of a junction, without paint: no line there")
                continue
            for first, last in _shown(s, line.hidden):
                low, high = max(begin, first), min(end, last)
                if high - low > _SHORTEST_M:
                    at = np.concatenate([[low], s[(s > low + 1e-6) & (s < high - 1e-6)], [high]])
                    yield self.plan.points(at, np.interp(at, s, line.t)), paint


def _shown(s: Points, hidden: NDArray[np.bool_]) -> Iterator[tuple[float, float]]:
    """The stretches between the places that are hidden."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], hidden, [True]]).astype(int)))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        yield float(s[first]), float(s[after - 1])


def _paint(mark: Element | None) -> dict[str, str]:
    attributes = {"paint": PAINTS.get(str(mark.get("type")), "solid") if mark is not None else "none"}
    color = mark.get("color") if mark is not None else None
    return attributes | ({"color": color} if color in ("white", "yellow") else {})


def _id(lane: Element, where: str) -> int:
    return int(number_of(lane.attrib, "id", f"{where}: lane"))
