"""Pedestrian crossings as closed rings, from their two drawn edges or from filled areas (explanation/vectorizer.md)."""
from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Sides = NDArray[np.complex64]
Edge = tuple[Points, float]
"""A drawn edge: its points (N, 2) and its score."""

_FILLED = 0.75
"""A blot that covers less of its rectangle is of another shape."""
_SHARES = np.linspace(0, 1, 12, dtype=np.float32)


def pair_edges(edges: list[Points], min_width: float, max_width: float) -> list[tuple[int, int]]:
    """Which edges belong to one crossing: pairs of indices, best first.

    Two edges (N, 2) fit when they are parallel within 25 degrees, `min_width` to `max_width` apart (same unit as
    the points), and lie beside each other over at least half of the shorter one.
    """
    count = len(edges)
    if count < 2:
        return []
    corners = np.array([(e[0], e[-1]) for e in edges], np.float64)
    first, last = (corners[:, k, 0] + 1j * corners[:, k, 1] for k in (0, 1))
    span, middle = last - first, (first + last) / 2
    length = np.maximum(np.abs(span), 1e-6)
    along = span / length
    i, j = np.nonzero(np.less.outer(np.arange(count), np.arange(count)))
    cosine = (along[i] * along[j].conj()).real
    axis = along[i] + np.where(cosine < 0, -1, 1) * along[j]
    offset = (middle[j] - middle[i]) * axis.conj() / np.maximum(np.abs(axis), 1e-6)
    width, slide = np.abs(offset.imag), np.abs(offset.real)
    shorter = np.minimum(length[i], length[j])
    fits = (np.abs(cosine) > np.cos(np.deg2rad(25))) & (width > min_width) & (width < max_width)
    fits &= (length[i] + length[j]) / 2 - slide > 0.5 * shorter
    # The corners of a true pair lie opposite each other: what sticks out counts like width.
    cost = (width + 2 * slide + np.abs(length[i] - length[j]))[fits]
    order = np.argsort(cost, kind="stable")
    pairs: list[tuple[int, int]] = []
    free = set(range(count))
    for a, b in zip(i[fits][order].tolist(), j[fits][order].tolist(), strict=True):
        if a in free and b in free:
            free -= {a, b}
            pairs.append((a, b))
    return pairs


@dataclass(frozen=True, eq=False)
class Ring:
    """A crossing in cell-centre coordinates."""

    points: Points
    """(N, 2), closed."""
    sides: Sides
    """(2, 2) ends of its two drawn edges, which run the same way, col + 1j * row."""
    score: float
    """0..1."""


def paired(edges: list[Edge], widths: tuple[float, float]) -> tuple[list[Ring], list[Edge]]:
    """Rings round the edges that belong together (`pair_edges`), and the edges that are left over."""
    pairs = pair_edges([points for points, _ in edges], *widths)
    rings = [_ring_of(edges[i], edges[j]) for i, j in pairs]
    taken = {index for pair in pairs for index in pair}
    return rings, [edge for k, edge in enumerate(edges) if k not in taken]


def _ring_of(first: Edge, second: Edge) -> Ring:
    """The closed ring round two edges: along the first, across, back along the second, and home."""
    (edge, score), (other, other_score) = first, second
    (a, b), (c, d) = edge[[0, -1]].tolist(), other[[0, -1]].tolist()
    crossed, straight = math.dist(b, c) + math.dist(a, d), math.dist(b, d) + math.dist(a, c)
    back = other if crossed < straight else other[::-1]
    points = np.concatenate([edge, back, edge[:1]])
    return Ring(points, np.stack([_ends(edge), _ends(back)[::-1]]), (score + other_score) / 2)


def loop(points: Points, score: float) -> Ring:
    """A crossing whose outline was drawn as one closed line (N, 2); its sides are those of its smallest rectangle."""
    corners = cv2.boxPoints(cv2.minAreaRect(points))
    if math.dist(*corners[:2]) < math.dist(*corners[1:3]):
        corners = np.roll(corners, 1, 0)
    return Ring(points, _long_sides(corners), score)


def _long_sides(corners: Points) -> Sides:
    """Of a rectangle's corners (4, 2) in order, the first two being the ends of a long side."""
    return np.stack([_ends(corners[:2]), _ends(corners[2:])[::-1]])


def _ends(points: Points) -> NDArray[np.complex64]:
    return points[[0, -1], 0] + np.complex64(1j) * points[[0, -1], 1]


class Areas:
    """The connected areas in which the crossing class wins, numbered from 1."""

    def __init__(self, mask: NDArray[np.uint8]) -> None:
        # labels of 16 bits: half the time
        self.count, self.number, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)
        self.cells = stats[:, cv2.CC_STAT_AREA]
        left, top, width, height = stats[:, : cv2.CC_STAT_AREA].T
        self.boxes = np.stack([top, top + height, left, left + width], 1)
        """First and end row, first and end column."""

    def under_rings(self, rings: list[Ring]) -> list[set[int]]:
        """The numbers of the areas that lie under the sides of each ring."""
        return self._under(np.stack([ring.sides for ring in rings])) if rings else []

    def without(self, edges: list[Edge], numbers: set[int]) -> list[Edge]:
        """The edges that do not lie on one of these areas."""
        if not edges or not numbers:
            return edges
        under = self._under(np.stack([_ends(points)[None] for points, _ in edges]))
        return [edge for edge, own in zip(edges, under, strict=True) if not own & numbers]

    def _under(self, lines: NDArray[np.complex64]) -> list[set[int]]:
        """For each row of straight lines, given by their ends (R, S, 2), the numbers of the areas under them."""
        points = lines[..., :1] + _SHARES * (lines[..., 1:] - lines[..., :1])
        rows, cols = self.number.shape
        row = np.clip(np.rint(points.imag), 0, rows - 1).astype(np.intp)
        col = np.clip(np.rint(points.real), 0, cols - 1).astype(np.intp)
        return [set(numbers) - {0} for numbers in self.number[row, col].reshape(len(lines), -1).tolist()]


def with_blots(
    rings: list[Ring], edges: list[Edge], areas: Areas, scores: NDArray[np.uint8], pen: float,
    widths: tuple[float, float],
) -> tuple[list[Ring], list[Edge]]:  # fmt: skip
    """Rectangles added in place of blots: where a network is unsure, the two edges of a crossing run together.

    A blot is an area that holds no ring yet. It has the size of its two edges drawn with a pen of `pen` cells, so its
    rectangle, which has the same second moments, is that much smaller. All in cells; `scores` (Y, X) are 0..255. An
    area whose rectangle's shorter side is not within `widths`, or that does not fill its rectangle, is no blot. The
    lines in a blot are left out. Ours.
    """
    least = _FILLED * (pen + widths[0]) ** 2
    held = set().union(*areas.under_rings(rings))
    blots = {}
    for k in np.nonzero(areas.cells > least)[0][1:].tolist():
        if k not in held and (ring := _blot(k, areas, scores, pen, widths)):
            blots[k] = ring
    return rings + list(blots.values()), areas.without(edges, set(blots))


def _blot(
    k: int, areas: Areas, scores: NDArray[np.uint8], pen: float, widths: tuple[float, float]
) -> Ring | None:
    top, bottom, left, right = areas.boxes[k].tolist()
    window = np.s_[top:bottom, left:right]
    inside = (areas.number[window] == k).view(np.uint8)
    moments = cv2.moments(inside, binaryImage=True)
    off, area = moments["mu11"], moments["m00"]
    spread = np.array([[moments["mu20"], off], [off, moments["mu02"]]]) / area + np.eye(2) / 12
    variances, axes = np.linalg.eigh(spread)
    lengths = np.sqrt(12 * variances)  # a rectangle's variance is side^2 / 12; the shorter side first
    if not widths[0] <= lengths[0] - pen <= widths[1] or area < _FILLED * lengths.prod():
        return None
    half = axes * (lengths - pen) / 2  # columns: half the short side, half the long one
    middle = np.array([left + moments["m10"] / area, top + moments["m01"] / area])
    corners = np.array([middle + i * half[:, 0] + j * half[:, 1] for i, j in ((-1, -1), (-1, 1), (1, 1), (1, -1))])
    corners = np.clip(corners, 0, np.array(areas.number.shape[::-1]) - 1).astype(np.float32)
    return Ring(np.concatenate([corners, corners[:1]]), _long_sides(corners), cv2.mean(scores[window], inside)[0] / 255)


def filled_rings(mask: NDArray[np.uint8], min_cells: float, max_count: int) -> list[Points]:
    """Rings (N, 2) in cell-centre coordinates round the connected areas of a 0/1 mask, largest first.

    An area that fills its smallest rectangle gets that rectangle, because crossings are; others keep their outline.
    """
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = np.array([cv2.contourArea(c) + len(c) / 2 + 1 for c in contours])  # cells, not only the hull of centres
    rings: list[Points] = []
    for k in np.argsort(-areas, kind="stable")[:max_count]:
        if areas[k] < min_cells:
            break
        (cx, cy), (w, h), angle = cv2.minAreaRect(contours[k])
        # The rectangle runs through the outermost cells' centres; the area reaches half a cell further.
        w, h = w + 1, h + 1
        if areas[k] > 0.93 * w * h:
            ring = cv2.boxPoints(((cx, cy), (w, h), angle))
        else:
            ring = cv2.approxPolyDP(contours[k].astype(np.float32), 1.0, True)[:, 0]
        if len(ring) >= 3:
            rings.append(np.concatenate([ring, ring[:1]]).astype(np.float32))
    return rings
