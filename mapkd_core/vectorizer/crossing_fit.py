"""How well the ring of a crossing explains what a network predicted, and the rectangle that explains it best (ours).

A crossing is drawn as its two long edges. A good network draws them as two clean lines, which become a precise ring; an
unsure one draws them broad, ragged, bent towards each other or merged, and a ring through such lines is a poor one.
Every ring is therefore compared with the drawing: the model of two straight strokes of equal width along its sides, and
the probabilities of the class, by their soft intersection over union. Where some rectangle explains the drawing clearly
better, it takes the ring's place; and rings that explain little get low scores.

Legend: K candidates, S strokes, N cells. A rectangle is a row of six numbers: column and row of its center, angle of
its long sides (radians), length, width (the distance of its long sides), and pen (how wide these are drawn). All
lengths are in cells.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import LINE_CELLS
from mapkd_core.vectorizer.crossings import Regions, Ring
from mapkd_core.vectorizer.evidence import CLASS_BITS, CROSSING, OUTSIDE, Evidence
from mapkd_core.vectorizer.lines import Floats, Points, Polyline, pairs_of, points_of

Rectangles = NDArray[np.float64]
"""(K, 6) as the legend says."""

# What belongs to a drawing.
_REACH_CELLS, _HINT = 8, 0.1 * 255
"""Probabilities above this count, up to so many cells round the box of a region in which the class wins."""
_MAX_CELLS = 500
"""Of more cells only every second, third, ... is looked at: bounds the time."""

# When a rectangle is sought, and when it takes a ring's place.
_MAX_FITS = 3
"""Rectangles are sought for so many drawings, the largest first: bounds the time on noise."""
_GOOD_AGREEMENT = 0.5
"""A ring that explains this much stays: its lines are more precise than any rectangle."""
_MIN_GAIN, _GAIN_PER_RING = 0.05, 0.3
"""A rectangle takes a ring's place only if it agrees better by this; for every further ring it may agree less."""

# Where a rectangle is sought.
_MIN_LENGTH_CELLS, _PEN_RANGE_CELLS = 8.0, (4.0, 20.0)
_STEPS = np.array([2, 2, 0.08, 3, 2, 2])
"""By which a rectangle is changed, in the order of its numbers: cells, and radians for the angle."""
_STEP_SHARES = (2.0, 1.0, 0.5)
"""The search has a round with steps of each of these sizes."""
_RING_PENS = np.arange(5, 17, 2, dtype=np.float32)
"""Pens that are tried for the sides of a ring, in cells."""

_ALONG = (np.arange(12, dtype=np.float32) - 5.5) / 6
"""Places along a stroke at which is looked whether it would show; -1 and 1 are its ends."""
_SHOWS = np.isin(np.arange(2 * OUTSIDE) & (OUTSIDE | CLASS_BITS), (0, CROSSING)).astype(np.float32)
"""By bits of `Evidence.flags`: 1 where strokes of a crossing would show, 0 where another class hides them."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """What the network predicted of one crossing, or of several that run together."""

    cells: Floats
    """(3, N) column, row, 1."""
    weights: Floats
    """(N,) probabilities 0..1 of the class, scaled so that their sum is `total` where cells were left out."""
    total: float
    """Sum of the probabilities of all cells."""
    certainty: float
    """Mean probability where the class wins."""
    evidence: Evidence

    def agreement(self, strokes: Points, pens: Floats) -> Floats:
        """(K,) soft intersection over union with strokes (K, S, 2), given by their ends, drawn `pens` (K,) wide."""
        beyond, aside, length, shown = self._placed(strokes.reshape(-1, 2))
        inside = np.maximum(beyond, aside / np.repeat(pens / 2, strokes.shape[1])[:, None]) < 1
        found = (inside.astype(np.float32) @ self.weights).reshape(strokes.shape[:2]).sum(1)
        area = (length * shown).reshape(strokes.shape[:2]).sum(1) * pens
        # Strokes that are hidden have no area, yet cells may lie in them.
        return np.asarray(found / (self.total + np.maximum(area - found, 0)), np.float32)

    def agreement_of(self, rings: list[Ring]) -> float:
        """The same for the sides of rings, with the pen that suits them best."""
        beyond, aside, length, shown = self._placed(np.concatenate([ring.sides for ring in rings]))
        distance = np.where(beyond < 1, aside, np.inf).min(0)
        found = (distance < _RING_PENS[:, None] / 2).astype(np.float32) @ self.weights
        area = (length @ shown) * _RING_PENS
        return float((found / (self.total + np.maximum(area - found, 0))).max())

    def _placed(self, strokes: Points) -> tuple[Floats, Floats, Floats, Floats]:
        """How far along strokes (M, 2) the cells lie, 1 being their ends, and how far aside (both M, N); the strokes'
        lengths (M,), and the share of each (M,) that no other class hides."""
        middle, half = (strokes[:, 0] + strokes[:, 1]) / 2, (strokes[:, 1] - strokes[:, 0]) / 2
        reach = np.maximum(np.abs(half), 1e-3)
        # A product with the conjugate of one of these tells how far along or aside a cell lies.
        axes = np.concatenate([half / reach**2, 1j * half / reach])
        middles = np.concatenate([middle, middle])
        offset = middles.real * axes.real + middles.imag * axes.imag
        distance = np.stack([axes.real, axes.imag, -offset], 1).astype(np.float32) @ self.cells
        np.abs(distance, out=distance)
        places = middle[:, None] + half[:, None] * _ALONG
        flags = self.evidence.flags_at(places.astype(np.complex64))
        return distance[: len(strokes)], distance[len(strokes) :], 2 * reach, _SHOWS[flags].mean(1)

    def best_rectangle(self, rings: list[Ring], widths: tuple[float, float]) -> tuple[NDArray[np.float64], float]:
        """The rectangle (6,) that agrees best, its width within `widths`, and its agreement.

        The search climbs, with three ever smaller steps, from the best of the drawing's moments and of the given rings.
        """
        lowest = np.array([-np.inf, -np.inf, -np.inf, _MIN_LENGTH_CELLS, widths[0], _PEN_RANGE_CELLS[0]])
        highest = np.array([np.inf, np.inf, np.inf, np.inf, widths[1], _PEN_RANGE_CELLS[1]])

        def judged(candidates: Rectangles) -> tuple[Rectangles, Floats]:
            candidates = np.clip(candidates, lowest, highest)
            candidates[:, 5] = np.minimum(candidates[:, 5], candidates[:, 4])  # broader strokes would overlap
            return candidates, self.agreement(long_sides(candidates), candidates[:, 5].astype(np.float32))

        candidates, values = judged(np.array([*self._moments(), *(c for ring in rings for c in _rectangles(ring))]))
        best = int(values.argmax())
        found, value = candidates[best], float(values[best])
        for share in _STEP_SHARES:
            moves = np.diag(share * _STEPS)
            _, values = judged(np.concatenate([found + moves, found - moves]))
            forth, back = values.reshape(2, -1)
            gain = np.maximum(forth, back)
            order = np.argsort(-gain)[: int((gain > value).sum())]
            if len(order):
                signed = moves * np.where(forth >= back, 1, -1)
                # The best move alone, the best two, the best three, ...
                candidates, values = judged(found + np.cumsum(signed[order], 0))
                best = int(values.argmax())
                found, value = candidates[best], float(values[best])
        return found, value

    def _moments(self) -> Iterator[list[float]]:
        """Rectangles with the second moments of the cells: lying and upright, as two strokes and as a merged region."""
        center = self.cells[:2].mean(1)
        variances, axes = np.linalg.eigh(np.cov(self.cells[:2]) + np.eye(2) / 12)
        for across, along in ((0, 1), (1, 0)):
            angle = float(np.arctan2(axes[1, along], axes[0, along]))
            length = float(np.sqrt(12 * variances[along]))  # a rectangle's variance is side^2 / 12
            merged = np.sqrt(12 * variances[across]) - LINE_CELLS
            strokes = 2 * np.sqrt(max(variances[across] - LINE_CELLS**2 / 12, 0))
            yield from ([*center, angle, length, width, LINE_CELLS] for width in (merged, strokes))


def long_sides(rectangles: Rectangles) -> Points:
    """(K, 2, 2) ends of the two long sides."""
    center, turn = rectangles[:, 0] + 1j * rectangles[:, 1], np.exp(1j * rectangles[:, 2])
    half = turn * rectangles[:, 3] / 2
    aside = 1j * turn * rectangles[:, 4] / 2
    sides = [[center + i * aside - half, center + i * aside + half] for i in (-1, 1)]
    return np.moveaxis(np.array(sides, np.complex64), -1, 0)


def _rectangles(ring: Ring) -> Iterator[list[float]]:
    """The rectangles nearest to a ring, with its sides as the long and as the short ones."""
    (a, b), (c, d) = ring.sides.tolist()
    center, sides = (a + b + c + d) / 4, ((b - a + d - c) / 2, (c - a + d - b) / 2)
    for along, across in (sides, sides[::-1]):
        yield [center.real, center.imag, np.angle(along), abs(along), abs(across), LINE_CELLS]


def fit_rings(
    rings: list[Ring], edges: list[Polyline], regions: Regions, evidence: Evidence, widths: tuple[float, float],
    border_inset_cells: float,
) -> tuple[list[Ring], list[Polyline]]:  # fmt: skip
    """The rings with scores that tell how well they explain the drawing, or better rectangles in their place.

    A score is the mean probability where the class wins times the root of the agreement. Rings that share a region are
    judged together, and no single edges are left on it. A rectangle is between `widths` wide, and cut where it reaches
    within `border_inset_cells` of the grid's border.
    """
    kept: list[Ring] = []
    groups = _groups(rings, regions)
    for fits, (numbers, members) in enumerate(groups):
        if not numbers:
            kept += members
            continue
        drawing = drawing_of(numbers, regions, evidence)
        agreement = drawing.agreement_of(members)
        if agreement < _GOOD_AGREEMENT and fits < _MAX_FITS:
            rectangle, better = drawing.best_rectangle(members, widths)
            sides = long_sides(rectangle[None])[0]
            points = _cut(sides, regions.number.shape, border_inset_cells)
            if better > agreement + _MIN_GAIN - _GAIN_PER_RING * (len(members) - 1) and points is not None:
                # Where lines and rectangle differ much, neither is certain: the score is between the two.
                members, agreement = [Ring(points, sides, 0.0)], (agreement + better) / 2
        score = drawing.certainty * float(np.sqrt(agreement))
        kept += [replace(ring, score=score) for ring in members]
    return kept, regions.edges_beside(edges, set().union(*(numbers for numbers, _ in groups)))


def _groups(rings: list[Ring], regions: Regions) -> list[tuple[set[int], list[Ring]]]:
    """Rings that share regions, with the regions' numbers; the largest first."""
    groups: list[tuple[set[int], list[Ring]]] = []
    for ring, own in zip(rings, regions.under_rings(rings), strict=True):
        numbers, members, others = own, [ring], []
        for group in groups:
            if group[0] & numbers:
                numbers, members = numbers | group[0], group[1] + members
            else:
                others.append(group)
        groups = [*others, (numbers, members)]
    return sorted(groups, key=lambda group: -regions.cells[list(group[0])].sum())


def drawing_of(numbers: set[int], regions: Regions, evidence: Evidence) -> Drawing:
    """The drawing on regions of these numbers: their cells, and those near them that belong to no other region."""
    boxes = regions.boxes[list(numbers)].tolist()
    rows, cols = regions.number.shape
    top, left = (max(min(box[k] for box in boxes) - _REACH_CELLS, 0) for k in (0, 2))
    bottom, right = (min(max(box[k] for box in boxes) + _REACH_CELLS, end) for k, end in ((1, rows), (3, cols)))
    window = np.s_[top:bottom, left:right]
    number, probability = regions.number[window], evidence.probability[CROSSING][window]
    allowed = np.zeros(regions.count, np.bool_)
    allowed[[0, *numbers]] = True
    chosen = np.flatnonzero((probability > _HINT) | (number > 0))
    owner = number.ravel()[chosen]
    taken = allowed[owner]
    chosen, own = chosen[taken], (owner[taken] > 0).astype(np.float32)
    weights = probability.ravel()[chosen] * np.float32(1 / 255)
    total, certainty = float(weights.sum()), float(weights @ own / own.sum())
    every = slice(None, None, -(-len(chosen) // _MAX_CELLS))
    row, col = np.divmod(chosen[every], right - left)
    weights = weights[every]
    cells = np.ones((3, len(weights)), np.float32)
    cells[0], cells[1] = col + left, row + top
    return Drawing(cells, weights * (total / max(float(weights.sum()), 1e-6)), total, certainty, evidence)


def _cut(sides: Points, shape: tuple[int, ...], border_inset_cells: float) -> Points | None:
    """The closed ring (N,) round two sides, without what leaves the grid, or None if nothing is left."""
    rows, cols = shape
    low = border_inset_cells - 0.5  # the border is half a cell outside the first cells' centers
    right, top = cols - 0.5 - border_inset_cells, rows - 0.5 - border_inset_cells
    border = np.array([[low, low], [right, low], [right, top], [low, top]], np.float32)
    ring = pairs_of(np.concatenate([sides[0], sides[1][::-1]]))
    area, inner = cv2.intersectConvexConvex(ring, border)
    if area <= 0:
        return None
    return points_of(np.concatenate([inner[:, 0], inner[:1, 0]]))
