"""Pedestrian crossings as closed rings, from their two drawn edges or from filled areas (docs/vectorizer.md)."""
from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

_FILLED = 0.75
"""A blot that covers less of its rectangle is of another shape."""


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


def ring_of(edge: Points, other: Points) -> Points:
    """The closed ring round two edges: along the first, across, back along the second, and home."""
    (a, b), (c, d) = edge[[0, -1]].tolist(), other[[0, -1]].tolist()
    crossed, straight = math.dist(b, c) + math.dist(a, d), math.dist(b, d) + math.dist(a, c)
    back = other if crossed < straight else other[::-1]
    return np.concatenate([edge, back, edge[:1]])


def blot_rings(
    mask: NDArray[np.uint8], scores: NDArray[np.uint8], pen: float, widths: tuple[float, float]
) -> tuple[NDArray[np.int32], dict[int, tuple[Points, float]]]:
    """Rectangles in place of blots: where a network is unsure, the two edges of a crossing run together.

    The area of a blot is that of its two edges drawn with a pen of `pen` cells, so its rectangle, which has the same
    second moments, is that much smaller. All in cells; returns a number for every cell (0 outside these blots), and by
    number a closed ring (5, 2) in cell-centre coordinates with the blot's mean score 0..255. Blots whose rectangle's
    shorter side is not within `widths`, or that do not fill theirs, get none. Ours.
    """
    contours, nesting = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    blot = np.zeros(mask.shape, np.int32)
    rings: dict[int, tuple[Points, float]] = {}
    least = _FILLED * (pen + widths[0]) ** 2
    for k, contour in enumerate(contours):
        left, top, width, height = cv2.boundingRect(contour)
        if width * height <= least or nesting[0, k, 3] >= 0:  # too small, or the rim of a hole
            continue
        window = np.s_[top : top + height, left : left + width]
        inside = np.zeros((height, width), np.uint8)
        cv2.drawContours(inside, contours, k, 1, cv2.FILLED, 8, nesting, 1, (-left, -top))
        moments = cv2.moments(inside, binaryImage=True)
        off, area = moments["mu11"], moments["m00"]
        if area <= least:
            continue
        spread = np.array([[moments["mu20"], off], [off, moments["mu02"]]]) / area + np.eye(2) / 12
        variances, axes = np.linalg.eigh(spread)
        sides = np.sqrt(12 * variances)  # a rectangle's variance is side^2 / 12; the shorter side first
        if not widths[0] <= sides[0] - pen <= widths[1] or area < _FILLED * sides.prod():
            continue
        half = axes * (sides - pen) / 2  # columns: half the short side, half the long one
        corners = [i * half[:, 0] + j * half[:, 1] for i, j in ((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))]
        middle = np.array([left + moments["m10"] / area, top + moments["m01"] / area])
        on_grid = np.clip(corners + middle, 0, np.array(mask.shape[::-1]) - 1)
        blot[window][inside > 0] = k + 1
        rings[k + 1] = (on_grid.astype(np.float32), cv2.mean(scores[window], inside)[0])
    return blot, rings


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
