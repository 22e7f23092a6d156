"""How well the ring of a crossing explains what a network drew, and the rectangle that explains it best (ours).

A crossing is drawn as its two long edges. A good network draws them as two clean lines, which become a precise ring; an
unsure one draws them broad, ragged, bent towards each other or run together, and a ring through such lines is a poor
one. Every ring is therefore held against the drawing: the model of two straight strokes of equal width along its
sides, and the probabilities of the class, are compared by their soft intersection over union. Where some rectangle
explains the drawing clearly better, it takes the ring's place; and rings that explain little get low scores.

Legend: K candidates, S strokes, N cells. All lengths in cells; points are col + 1j * row, integers being cell centres.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.vectorizer.centerline import CLASS_BITS, CROSSING, OUTSIDE, PEN_CELLS, Evidence
from mapkd_core.vectorizer.crossings import Areas, Edge, Ring, Sides

Floats = NDArray[np.float32]

_REACH, _HINT = 8, 0.1 * 255
"""Probabilities above this count, up to so many cells round the box of an area in which the class wins."""
_MOST_CELLS = 500
"""Of more cells only every second, third, ... is looked at."""
_MOST_FITS = 3
"""Rectangles are sought for so many drawings, the largest first: bounds the time on noise."""
_GOOD = 0.5
"""A ring that explains this much stays: its lines are more precise than any rectangle."""
_CLEARLY, _SIMPLER = 0.05, 0.3
"""A rectangle takes a ring's place only if it agrees better by this; for every further ring it may agree less."""
_LEAST_LENGTH, _PENS = 8.0, (4.0, 20.0)
_STEPS = np.array([2, 2, 0.08, 3, 2, 2])
"""By which a rectangle is changed: centre, angle (radians), length, width, pen."""
_ROUNDS = (2.0, 1.0, 0.5)
_RING_PENS = np.arange(5, 17, 2, dtype=np.float32)
_ALONG = (np.arange(12, dtype=np.float32) - 5.5) / 6
_PLAIN = np.isin(np.arange(2 * OUTSIDE) & (OUTSIDE | CLASS_BITS), (0, CROSSING)).astype(np.float32)
"""By bits of `Evidence.look`: 1 where strokes of a crossing would show, 0 where another class hides them."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """What was drawn of one crossing, or of several that run together."""

    cells: Floats
    """(3, N) column, row, 1."""
    weights: Floats
    """(N,) probabilities of the class, summing up to those of all cells."""
    total: float
    """Their sum."""
    sure: float
    """Mean probability where the class wins."""
    evidence: Evidence

    def agreement(self, strokes: Sides, pens: Floats) -> Floats:
        """(K,) soft intersection over union with strokes (K, S, 2), given by their ends, drawn `pens` (K,) wide."""
        beyond, aside, length, shown = self._placed(strokes.reshape(-1, 2))
        inside = np.maximum(beyond, aside / np.repeat(pens / 2, strokes.shape[1])[:, None]) < 1
        found = (inside.astype(np.float32) @ self.weights).reshape(strokes.shape[:2]).sum(1)
        area = (length * shown).reshape(strokes.shape[:2]).sum(1) * pens
        # Strokes that are hidden have no area, yet cells may lie in them.
        return np.asarray(found / (self.total + np.maximum(area - found, 0)), np.float32)

    def agreement_of(self, rings: list[Ring]) -> float:
        """Of the sides of rings, with the pen that suits them best."""
        beyond, aside, length, shown = self._placed(np.concatenate([ring.sides for ring in rings]))
        distance = np.where(beyond < 1, aside, np.inf).min(0)
        found = (distance < _RING_PENS[:, None] / 2).astype(np.float32) @ self.weights
        area = (length @ shown) * _RING_PENS
        return float((found / (self.total + np.maximum(area - found, 0))).max())

    def _placed(self, strokes: Sides) -> tuple[Floats, Floats, Floats, Floats]:
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
        look = self.evidence.look_at(places.astype(np.complex64))
        return distance[: len(strokes)], distance[len(strokes) :], 2 * reach, _PLAIN[look].mean(1)

    def best_rectangle(self, rings: list[Ring], widths: tuple[float, float]) -> tuple[NDArray[np.float64], float]:
        """Centre, angle, length, width and pen of the rectangle that agrees best, and how well it does.

        The search climbs, with three ever smaller steps, from the best of the drawing's moments and of the given rings.
        """
        low = np.array([-np.inf, -np.inf, -np.inf, _LEAST_LENGTH, widths[0], _PENS[0]])
        high = np.array([np.inf, np.inf, np.inf, np.inf, widths[1], _PENS[1]])

        def judged(candidates: NDArray[np.float64]) -> tuple[NDArray[np.float64], Floats]:
            candidates = np.clip(candidates, low, high)
            candidates[:, 5] = np.minimum(candidates[:, 5], candidates[:, 4])  # broader strokes would overlap
            return candidates, self.agreement(_strokes(candidates), candidates[:, 5].astype(np.float32))

        candidates, values = judged(np.array([*self._moments(), *(c for ring in rings for c in _rectangles(ring))]))
        best = int(values.argmax())
        found, value = candidates[best], float(values[best])
        for share in _ROUNDS:
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
        """Rectangles with the second moments of the cells: lying and upright, as two strokes and as one blot."""
        middle = self.cells[:2].mean(1)
        variances, axes = np.linalg.eigh(np.cov(self.cells[:2]) + np.eye(2) / 12)
        for across, along in ((0, 1), (1, 0)):
            angle = float(np.arctan2(axes[1, along], axes[0, along]))
            length = float(np.sqrt(12 * variances[along]))
            blot = np.sqrt(12 * variances[across]) - PEN_CELLS
            strokes = 2 * np.sqrt(max(variances[across] - PEN_CELLS**2 / 12, 0))
            yield from ([*middle, angle, length, width, PEN_CELLS] for width in (blot, strokes))


def _strokes(rectangles: NDArray[np.float64]) -> Sides:
    """(K, 2, 2) ends of the two long sides."""
    middle, turn = rectangles[:, 0] + 1j * rectangles[:, 1], np.exp(1j * rectangles[:, 2])
    half = turn * rectangles[:, 3] / 2
    aside = 1j * turn * rectangles[:, 4] / 2
    sides = [[middle + i * aside - half, middle + i * aside + half] for i in (-1, 1)]
    return np.moveaxis(np.array(sides, np.complex64), -1, 0)


def _rectangles(ring: Ring) -> Iterator[list[float]]:
    """The rectangles nearest to a ring, with its sides as the long and as the short ones."""
    (a, b), (c, d) = ring.sides.tolist()
    middle, sides = (a + b + c + d) / 4, ((b - a + d - c) / 2, (c - a + d - b) / 2)
    for along, across in (sides, sides[::-1]):
        yield [middle.real, middle.imag, np.angle(along), abs(along), abs(across), PEN_CELLS]


def checked(
    rings: list[Ring], edges: list[Edge], areas: Areas, evidence: Evidence, widths: tuple[float, float], inset: float
) -> tuple[list[Ring], list[Edge]]:
    """The rings with scores that say how well they explain what was drawn, or better rectangles in their place.

    A score is the mean probability where the class wins times the root of the agreement. Rings that share an area are
    judged together, and no single edges are left on it. Where a rectangle reaches within `inset` of the grid's border
    it is cut.
    """
    kept: list[Ring] = []
    groups = _groups(rings, areas)
    for fits, (numbers, members) in enumerate(groups):
        if not numbers:
            kept += members
            continue
        drawing = _drawing(numbers, areas, evidence)
        agreement = drawing.agreement_of(members)
        if agreement < _GOOD and fits < _MOST_FITS:
            rectangle, better = drawing.best_rectangle(members, widths)
            sides = _strokes(rectangle[None])[0]
            points = _cut(sides, areas.number.shape, inset)
            if better > agreement + _CLEARLY - _SIMPLER * (len(members) - 1) and points is not None:
                # Where lines and rectangle differ much, neither is certain: the score is between the two.
                members, agreement = [Ring(points, sides, 0.0)], (agreement + better) / 2
        score = drawing.sure * float(np.sqrt(agreement))
        kept += [replace(ring, score=score) for ring in members]
    return kept, areas.without(edges, set().union(*(numbers for numbers, _ in groups)))


def _groups(rings: list[Ring], areas: Areas) -> list[tuple[set[int], list[Ring]]]:
    """Rings that share areas, with the areas' numbers; the largest first."""
    groups: list[tuple[set[int], list[Ring]]] = []
    for ring, own in zip(rings, areas.under_rings(rings), strict=True):
        numbers, members, others = own, [ring], []
        for group in groups:
            if group[0] & numbers:
                numbers, members = numbers | group[0], group[1] + members
            else:
                others.append(group)
        groups = [*others, (numbers, members)]
    return sorted(groups, key=lambda group: -areas.cells[list(group[0])].sum())


def _drawing(numbers: set[int], areas: Areas, evidence: Evidence) -> Drawing:
    boxes = areas.boxes[list(numbers)].tolist()
    rows, cols = areas.number.shape
    top, left = (max(min(box[k] for box in boxes) - _REACH, 0) for k in (0, 2))
    bottom, right = (min(max(box[k] for box in boxes) + _REACH, end) for k, end in ((1, rows), (3, cols)))
    window = np.s_[top:bottom, left:right]
    number, scores = areas.number[window], evidence.scores[CROSSING][window]
    allowed = np.zeros(areas.count, np.bool_)
    allowed[[0, *numbers]] = True
    chosen = np.flatnonzero((scores > _HINT) | (number > 0))
    owner = number.ravel()[chosen]
    taken = allowed[owner]
    chosen, own = chosen[taken], (owner[taken] > 0).astype(np.float32)
    weights = scores.ravel()[chosen] * np.float32(1 / 255)
    total, sure = float(weights.sum()), float(weights @ own / own.sum())
    every = slice(None, None, -(-len(chosen) // _MOST_CELLS))
    row, col = np.divmod(chosen[every], right - left)
    weights = weights[every]
    cells = np.ones((3, len(weights)), np.float32)
    cells[0], cells[1] = col + left, row + top
    return Drawing(cells, weights * (total / max(float(weights.sum()), 1e-6)), total, sure, evidence)


def _cut(sides: Sides, shape: tuple[int, ...], inset: float) -> Floats | None:
    """The closed ring (N, 2) round two sides, without what leaves the grid, or None if nothing is left."""
    rows, cols = shape
    corners = np.array([*sides[0], *sides[1][::-1]])
    low, right, top = inset - 0.5, cols - 0.5 - inset, rows - 0.5 - inset
    border = np.array([[low, low], [right, low], [right, top], [low, top]], np.float32)
    ring = np.stack([corners.real, corners.imag], 1).astype(np.float32)
    area, inner = cv2.intersectConvexConvex(ring, border)
    if area <= 0:
        return None
    return np.concatenate([inner[:, 0], inner[:1, 0]])
