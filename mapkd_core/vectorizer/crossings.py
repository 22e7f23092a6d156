"""Pedestrian crossings as closed rings, from their two drawn edges, from merged regions, or from filled areas.

All lengths are in cells.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_CELLS
from mapkd_core.vectorizer.evidence import CROSSING, Evidence
from mapkd_core.vectorizer.lines import Points, Polyline, pairs_of, points_of

# Which two edges are one crossing.
_MIN_COSINE = np.cos(np.deg2rad(25))
"""The edges of a crossing are parallel within 25 degrees."""
_MIN_SIDE_BY_SIDE = 0.5
"""They lie beside each other over at least this share of the shorter one."""
_COST_PER_SLIDE_CELL = 2.0
"""What one edge is shifted along the other sticks out at both ends, so each cell of it counts twice."""

# What is a merged region.
_FILLED = 0.75
"""A region that covers less than this of its rectangle is of another shape."""

# How filled crossings are outlined.
_RECTANGULAR = 0.93
"""A filled area that covers more than this of its smallest rectangle is that rectangle: crossings are."""
_OUTLINE_TOLERANCE_CELLS = 1.0
"""Largest distance between the outline of another area and its simplified vertices."""

_SHARES = np.linspace(0, 1, 12, dtype=np.float32)
"""Where along a straight line the regions under it are looked up."""


@dataclass(frozen=True, eq=False)
class Ring:
    """A crossing with the two sides that were drawn."""

    points: Points
    """(N,) closed: the last vertex equals the first."""
    sides: Points
    """(2, 2) ends of its two drawn edges, which run the same way."""
    score: float
    """0..1."""


def pair_edges(edges: list[Polyline], widths: tuple[float, float]) -> tuple[list[Ring], list[Polyline]]:
    """Rings round the edges that belong to one crossing, and the edges that are left over.

    Two edges fit when they are parallel, `widths` (smallest, largest) apart, and lie beside each other. Of several
    pairs the one takes an edge whose corners lie most nearly opposite each other.
    """
    if len(edges) < 2:
        return [], edges
    first, last = np.ascontiguousarray(np.array([e.points[[0, -1]] for e in edges], np.complex128).T)
    span, middle = last - first, (first + last) / 2
    length = np.maximum(np.abs(span), 1e-6)
    direction = span / length
    i, j = np.nonzero(np.less.outer(np.arange(len(edges)), np.arange(len(edges))))
    cosine = (direction[i] * direction[j].conj()).real
    axis = direction[i] + np.where(cosine < 0, -1, 1) * direction[j]
    offset = (middle[j] - middle[i]) * axis.conj() / np.maximum(np.abs(axis), 1e-6)
    width, slide = np.abs(offset.imag), np.abs(offset.real)
    fits = (np.abs(cosine) > _MIN_COSINE) & (width > widths[0]) & (width < widths[1])
    side_by_side = (length[i] + length[j]) / 2 - slide
    fits &= side_by_side > _MIN_SIDE_BY_SIDE * np.minimum(length[i], length[j])
    # The corners of a true pair lie opposite each other: what sticks out counts like width.
    cost = (width + _COST_PER_SLIDE_CELL * slide + np.abs(length[i] - length[j]))[fits]
    order = np.argsort(cost, kind="stable")
    rings: list[Ring] = []
    free = dict(enumerate(edges))
    for a, b in zip(i[fits][order].tolist(), j[fits][order].tolist(), strict=True):
        if a in free and b in free:
            rings.append(_ring_round(free.pop(a), free.pop(b)))
    return rings, list(free.values())


def _ring_round(edge: Polyline, other: Polyline) -> Ring:
    """The closed ring round two edges: along the first, across, back along the second, and home."""
    (a, b), (c, d) = edge.points[[0, -1]].tolist(), other.points[[0, -1]].tolist()
    crossed, straight = abs(b - c) + abs(a - d), abs(b - d) + abs(a - c)
    back = other.points if crossed < straight else other.points[::-1]
    points = np.concatenate([edge.points, back, edge.points[:1]])
    sides = np.stack([edge.points[[0, -1]], back[[-1, 0]]])
    return Ring(points, sides, (edge.score + other.score) / 2)


def ring_of_outline(outline: Polyline) -> Ring:
    """A crossing that was drawn as one closed line; its sides are the long ones of its smallest rectangle."""
    corners = points_of(cv2.boxPoints(cv2.minAreaRect(pairs_of(outline.points))))
    if abs(corners[0] - corners[1]) < abs(corners[1] - corners[2]):
        corners = np.roll(corners, 1)
    return Ring(outline.points, _long_sides(corners), outline.score)


def _long_sides(corners: Points) -> Points:
    """(2, 2) of a rectangle's corners (4,) in order, the first two being the ends of a long side."""
    return np.stack([corners[:2], corners[:1:-1]])


class Regions:
    """The connected regions of a mask (Y, X) of the cells in which a crossing wins, numbered from 1."""

    def __init__(self, mask: NDArray[np.uint8]) -> None:
        # 16 bits a number: half the time of 32
        self.count, self.number, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)
        """`number` (Y, X): the region of each cell, 0 for none; `count` includes that 0."""
        self.cells = stats[:, cv2.CC_STAT_AREA]
        """(count,) how many cells each has."""
        left, top, width, height = stats[:, : cv2.CC_STAT_AREA].T
        self.boxes = np.stack([top, top + height, left, left + width], 1)
        """(count, 4) first and end row, first and end column."""

    def under_rings(self, rings: list[Ring]) -> list[set[int]]:
        """The numbers of the regions that lie under the sides of each ring."""
        return self._under(np.stack([ring.sides for ring in rings])) if rings else []

    def edges_beside(self, edges: list[Polyline], numbers: set[int]) -> list[Polyline]:
        """The edges that do not lie on one of these regions."""
        if not edges or not numbers:
            return edges
        under = self._under(np.stack([edge.points[[0, -1]][None] for edge in edges]))
        return [edge for edge, own in zip(edges, under, strict=True) if not own & numbers]

    def _under(self, straights: Points) -> list[set[int]]:
        """For each row of straight lines, given by their ends (R, S, 2), the numbers of the regions under them."""
        points = straights[..., :1] + _SHARES * (straights[..., 1:] - straights[..., :1])
        rows, cols = self.number.shape
        row = np.clip(np.rint(points.imag), 0, rows - 1).astype(np.intp)
        col = np.clip(np.rint(points.real), 0, cols - 1).astype(np.intp)
        return [set(numbers) - {0} for numbers in self.number[row, col].reshape(len(straights), -1).tolist()]


def add_merged_regions(
    rings: list[Ring], edges: list[Polyline], regions: Regions, evidence: Evidence, widths: tuple[float, float]
) -> tuple[list[Ring], list[Polyline]]:
    """Rectangles for merged regions: where a network is unsure, the two edges of a crossing run together.

    A merged region holds no ring yet, fills a rectangle, and is wider than one drawn edge: the rectangle's shorter
    side, less the width of a line, lies within `widths`. The edges on it are left out. Ours.
    """
    min_cells = _FILLED * (LINE_CELLS + widths[0]) ** 2
    taken = set().union(*regions.under_rings(rings))
    merged = {}
    for number in np.nonzero(regions.cells > min_cells)[0][1:].tolist():
        if number not in taken and (ring := _merged_ring(number, regions, evidence, widths)):
            merged[number] = ring
    return rings + list(merged.values()), regions.edges_beside(edges, set(merged))


def _merged_ring(number: int, regions: Regions, evidence: Evidence, widths: tuple[float, float]) -> Ring | None:
    """The rectangle with a region's second moments, less the width of the lines drawn along it."""
    top, bottom, left, right = regions.boxes[number].tolist()
    window = np.s_[top:bottom, left:right]
    inside = (regions.number[window] == number).view(np.uint8)
    moments = cv2.moments(inside, binaryImage=True)
    off_diagonal, area = moments["mu11"], moments["m00"]
    covariance = np.array([[moments["mu20"], off_diagonal], [off_diagonal, moments["mu02"]]]) / area + np.eye(2) / 12
    variances, axes = np.linalg.eigh(covariance)
    lengths = np.sqrt(12 * variances)  # a rectangle's variance is side^2 / 12; the shorter side first
    if not widths[0] <= lengths[0] - LINE_CELLS <= widths[1] or area < _FILLED * lengths.prod():
        return None
    half = axes * (lengths - LINE_CELLS) / 2  # columns: half the short side, half the long one
    middle = np.array([left + moments["m10"] / area, top + moments["m01"] / area])
    corners = np.array([middle + i * half[:, 0] + j * half[:, 1] for i, j in ((-1, -1), (-1, 1), (1, 1), (1, -1))])
    corners = points_of(np.clip(corners, 0, np.array(regions.number.shape[::-1]) - 1))
    score = cv2.mean(evidence.probability[CROSSING][window], inside)[0] / 255
    return Ring(np.append(corners, corners[:1]), _long_sides(corners), score)


def outline_filled(
    probability: NDArray[np.uint8], class_map: NDArray[np.uint8], min_cells: float, max_count: int
) -> list[Polyline]:
    """Rings round the connected areas of the crossing class, largest first, at least `min_cells` cells each.

    An area that fills its smallest rectangle gets that rectangle, others their outline. A score is the mean
    probability of the class inside.
    """
    mask = (class_map == CROSSING).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = np.array([cv2.contourArea(c) + len(c) / 2 + 1 for c in contours])  # cells, not only the hull of centers
    found: list[Polyline] = []
    for k in np.argsort(-areas, kind="stable")[:max_count]:
        if areas[k] < min_cells:
            break
        center, (width, height), angle = cv2.minAreaRect(contours[k])
        # The rectangle runs through the outermost cells' centers; the area reaches half a cell further.
        width, height = width + 1, height + 1
        if areas[k] > _RECTANGULAR * width * height:
            pairs = cv2.boxPoints((center, (width, height), angle))
        else:
            pairs = cv2.approxPolyDP(contours[k].astype(np.float32), _OUTLINE_TOLERANCE_CELLS, True)[:, 0]
        if len(pairs) >= 3:
            ring = np.concatenate([pairs, pairs[:1]]).astype(np.float32)
            inside = cv2.fillPoly(np.zeros_like(mask), [np.rint(ring).astype(np.int32)], 1)
            score = cv2.mean(probability[CROSSING], cv2.bitwise_and(inside, mask))[0] / 255
            found.append(Polyline(points_of(ring), score, True))
    return found
