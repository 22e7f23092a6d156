"""Turns a semantic bird's-eye-view prediction into vector map elements, in about three milliseconds.

    elements = vectorize(softmax_of_logits, grid)

How it works, with an image of each stage: docs/explanation/vectorizer.md.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.vectorizer import (
    bitplane,
    crossings,
    linking,
    skeleton,
)
from mapkd_core.vectorizer import (
    centerline as centerline,
)
from mapkd_core.vectorizer import (
    crossing_fit as ring_fit,
)
from mapkd_core.vectorizer import (
    medians as strips,
)
from mapkd_core.vectorizer.centerline import CROSSING, Evidence, Lines

Array = NDArray[Any]
Points = NDArray[np.float32]
CrossingLine = tuple[Points, float, bool]
"""Points (N, 2) in cells, score, whether it is closed."""

_SHORT_M = 4.0
"""Only lines that were seen over less than this may turn out to be blots in the bed of another line."""
_MIN_PIECE_CELLS = 6
"""A shorter piece has no direction; the gap it leaves is bridged."""
_SPUR_CELLS = 7
"""Side branches up to the width of a drawn line say nothing."""
_CROWD_CELLS = 40
"""More branch cells than this for each chain that may be kept: most of them are crumbs, as noise leaves them."""
_LONE_EDGE = 0.5
"""An edge of a crossing whose other side was not seen is believed half as much."""
_ONE_BITS = int(np.float32(1.001).view(np.uint32))
"""The largest probability, with some room for rounding, as its bits."""


@dataclass(frozen=True)
class VectorizeConfig:
    """How predictions become elements; the defaults fit networks trained on lines drawn five cells wide."""

    crossings: Literal["ring", "edges", "filled"] = "ring"
    """`ring`: crossings are predicted as their two long edges and paired into closed rings (edges run together to a
    blot become a rectangle, an edge without partner stays an open line); `edges`: the edges stay single lines, as the
    HDMapNet label code has them; `filled`: crossings are predicted as filled areas."""
    crossing_width_m: tuple[float, float] = (1.5, 9.0)
    """Smallest and largest distance of the two edges of a crossing."""
    max_gap_m: float = 8.0
    """Longest gap that is joined where another class hides the line (a crossing's edge hides lane dividers)."""
    max_unseen_gap_m: float = 2.5
    """Longest part of such a gap that may lie on plain background."""
    min_length_m: float = 1.0
    """Shorter lines are dropped."""
    doubtful_m: float = 20.0
    """A line's score is its mean probability times 1 - exp(-length / doubtful_m): short lines are more often wrong. The
    score of a ring is told by how well it explains what was drawn (`ring_fit.py`), and does not ask for its length."""
    border_inset_m: float = 0.2
    """How far from the grid's border lines end that leave it: labels are cut to a slightly smaller rectangle."""
    strip_m: float = 1.8
    """A boundary wider than a line for this long is a strip of land with a curb on either side; 0: never."""
    simplify_cells: float = 0.25
    """Largest distance between a line and its simplified vertices (Douglas-Peucker), in cells."""
    max_line_cells: int = 20
    """Wider regions are no lines and are ignored."""
    max_chains: int = 96
    """Only the longest pieces are kept: bounds the time on noise."""

    def __post_init__(self) -> None:
        if self.crossings not in ("ring", "edges", "filled"):
            raise ValueError(f"crossings is {self.crossings!r}; expected 'ring', 'edges' or 'filled'")
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not value >= 0:
                raise ValueError(f"{name} is {value}; expected a number >= 0")


def vectorize(
    semantic: NDArray[np.floating] | NDArray[np.uint8],
    grid: BevGrid,
    config: VectorizeConfig = VectorizeConfig(),
) -> list[MapElement]:
    """Finds the lines in a semantic map and returns them as `MapElement`s in `base_link` metres, best score first.

    `semantic` (4, Y, X) holds background, divider, crossing and boundary, as probabilities 0..1 (softmax, or one
    sigmoid a channel) or as uint8 0..255; in each cell the largest channel wins. A line's score is the mean
    probability of its class along it, less for short lines (`doubtful_m`). Raises ValueError for another shape, for
    values outside 0..1 (such as logits), and for values that are not finite.
    """
    scores = _as_bytes(semantic, grid)
    label = _winner(scores)
    elements: list[MapElement] = []
    if config.crossings == "filled":
        elements += _filled_crossings(scores, label, grid, config)
        label[label == CROSSING] = 0
    evidence = Evidence.of(scores, label)
    pieces = _pieces(evidence, grid, config)
    crossing_lines: list[CrossingLine] = []
    if pieces is not None:
        lines, crossing_lines = _elements(*_joined(pieces, evidence, grid, config), evidence, grid, config)
        elements += lines
    if config.crossings == "ring":
        elements += _crossings(crossing_lines, evidence, grid, config)
    return sorted(elements, key=lambda e: -e.score)


def _as_bytes(semantic: Array, grid: BevGrid) -> Array:
    """(4, Y, X) as 0..255, after checks that a wrong tensor cannot pass."""
    if semantic.shape != (4, *grid.shape):
        raise ValueError(
            f"semantic has shape {semantic.shape}; expected (4, {grid.rows}, {grid.cols}): "
            "background, divider, ped_crossing, boundary on the given grid"
        )
    if semantic.dtype == np.uint8:
        return np.ascontiguousarray(semantic)
    values = np.ascontiguousarray(semantic, np.float32)
    # From 0 up floats sort as their bits do, and negative ones, infinity and NaN come after: one look finds them all.
    if values.view(np.uint32).max() > _ONE_BITS:
        _check_range(values)
    return cv2.convertScaleAbs(values.reshape(-1, grid.cols), alpha=255).reshape(values.shape)


def _check_range(values: Array) -> None:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise ValueError("semantic has values that are not finite; check the network's weights and input")
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"semantic lies in {low:g}..{high:g}; expected probabilities 0..1: apply softmax to logits")


def _winner(scores: Array) -> Array:
    """The class (0 background, 1..3) of every cell, with touching classes one cell apart."""
    best, label = scores[0], None
    for index in range(1, len(scores)):
        # A later winner has the larger index, so the maximum keeps it.
        won = cv2.compare(scores[index], best, cv2.CMP_GT) & np.uint8(index)
        label = won if label is None else cv2.max(label, won)
        best = cv2.max(best, scores[index])
    # All classes are thinned in one image, so they must not touch; the later one keeps the cell, as in the labels.
    alone = cv2.compare(cv2.dilate(label, np.ones((3, 3), np.uint8)), label, cv2.CMP_EQ)
    return cv2.bitwise_and(label, alone)


def _pieces(evidence: Evidence, grid: BevGrid, config: VectorizeConfig) -> Lines | None:
    """The centre lines of all branches between junctions, or None if there is nothing."""
    label, stride = evidence.label, bitplane.stride_of(evidence.label.shape)
    thin = skeleton.thin(bitplane.pack(_traced(evidence, grid, config)), stride, max(config.max_line_cells // 2, 1))
    branches, junctions = skeleton.split_at_junctions(thin, stride)
    if branches.bit_count() > _CROWD_CELLS * config.max_chains:
        branches = skeleton.without_crumbs(branches, stride, (_MIN_PIECE_CELLS - 1) // 2)
    chains = skeleton.chains(bitplane.unpack(branches, label.shape), _MIN_PIECE_CELLS, config.max_chains)
    if chains and len(chains[-1]) <= _SPUR_CELLS:
        near_junction = bitplane.unpack(bitplane.grow(junctions, stride), label.shape)
        chains = [chain for chain in chains if not _is_spur(chain, near_junction)]
    if not chains:
        return None
    starts = centerline.starts_of([len(chain) for chain in chains])
    col, row = np.concatenate(chains).T
    classes = label[row[starts[:-1]], col[starts[:-1]]].astype(np.intp)
    points, starts = centerline.resample((col + 1j * row).astype(np.complex64), starts, 3)
    points, widths = centerline.centre(points, starts, np.repeat(classes, np.diff(starts)), evidence.scores)
    points, widths = centerline.smooth(points, widths, starts, 2)
    points = centerline.straighten_ends(points, starts)
    return centerline.split_at_corners(Lines(points, starts, classes, widths), CROSSING)


def _traced(evidence: Evidence, grid: BevGrid, config: VectorizeConfig) -> Array:
    """The winning classes (Y, X) as they are thinned: strips of land hollow."""
    if config.strip_m <= 0:
        return evidence.label
    shortest, widest = round(config.strip_m / grid.cell_m), 2 * config.max_line_cells
    return strips.hollowed(evidence.label, evidence.scores, centerline.BOUNDARY, shortest, widest)


def _joined(
    pieces: Lines, evidence: Evidence, grid: BevGrid, config: VectorizeConfig
) -> tuple[Lines, NDArray[np.bool_]]:
    """Pieces linked to whole lines with their true ends, and which of them are rings."""
    max_gap = config.max_gap_m / grid.cell_m
    lines, closed = linking.link(pieces, evidence, max_gap, config.max_unseen_gap_m / grid.cell_m)
    seen_lengths = lines.lengths
    ends = centerline.end_points(lines, evidence, config.border_inset_m / grid.cell_m, max_gap)
    lines.points[lines.tips] = np.where(np.concatenate([closed, closed]), lines.points[lines.tips], ends)
    kept = lines.lengths >= config.min_length_m / grid.cell_m
    kept &= ~linking.overrun(lines, seen_lengths, short=_SHORT_M / grid.cell_m)
    return lines.chosen(kept), closed[kept]


def _is_spur(chain: skeleton.Cells, near_junction: Array) -> bool:
    """A short side branch of a wide line: one end at a junction, the other loose, no longer than a line is wide."""
    if len(chain) > _SPUR_CELLS:
        return False
    (x0, y0), (x1, y1) = chain[0], chain[-1]
    return bool(near_junction[y0, x0]) != bool(near_junction[y1, x1])


def _elements(
    lines: Lines, closed: NDArray[np.bool_], evidence: Evidence, grid: BevGrid, config: VectorizeConfig
) -> tuple[list[MapElement], list[CrossingLine]]:
    """Lines as elements, scored, with few vertices; those of crossings, where rings are wanted, apart and in cells."""
    elements: list[MapElement] = []
    crossing_lines: list[CrossingLine] = []
    if len(lines.classes) == 0:
        return elements, crossing_lines
    points, starts, classes = lines.points, lines.starts, lines.classes
    probability = centerline.sample(evidence.scores, points.real[None], points.imag[None], lines.point_classes)[0]
    confidence = np.add.reduceat(probability.astype(np.float32), starts[:-1]) / np.diff(starts) / 255
    confidence *= _trust(lines.lengths * grid.cell_m, config)
    cells = points.view(np.float32).reshape(-1, 2)
    points_m = _metres(cells, grid)
    tolerance = config.simplify_cells
    for k, label in enumerate(classes.tolist()):
        line, score, ring = np.s_[starts[k] : starts[k + 1]], float(confidence[k]), bool(closed[k])
        if label == CROSSING and config.crossings == "ring":
            crossing_lines.append((_simplified(cells[line], ring, tolerance), score, ring))
        else:
            simple_m = _simplified(points_m[line], ring, tolerance * grid.cell_m)
            elements.append(MapElement(CLASSES[label - 1], simple_m, score, ring))
    return elements, crossing_lines


def _crossings(
    lines: list[CrossingLine], evidence: Evidence, grid: BevGrid, config: VectorizeConfig
) -> list[MapElement]:
    """Edges of crossings paired to rings, blots of both edges as rectangles, each held against what was drawn."""
    mask = cv2.compare(evidence.label, CROSSING, cv2.CMP_EQ)
    if not mask.any():
        return []
    low, high = (width / grid.cell_m for width in config.crossing_width_m)
    rings, edges = crossings.paired([(points, score) for points, score, closed in lines if not closed], (low, high))
    rings += [crossings.loop(points, score) for points, score, closed in lines if closed]
    areas = crossings.Areas(mask)
    scores = evidence.scores[CROSSING]
    rings, edges = crossings.with_blots(rings, edges, areas, scores, centerline.PEN_CELLS, (low, high))
    inset = config.border_inset_m / grid.cell_m
    rings, edges = ring_fit.checked(rings, edges, areas, evidence, (low, high), inset)
    found = [(ring.points, ring.score, True) for ring in rings]
    found += [(points, _LONE_EDGE * score, False) for points, score in edges]
    return [MapElement("ped_crossing", _metres(points, grid), score, closed) for points, score, closed in found]


def _metres(cells: Points, grid: BevGrid) -> Points:
    """Points in cell-centre coordinates -> `base_link`."""
    return grid.metres_from_cells(cells + 0.5).astype(np.float32)


def _trust(length_m: NDArray[np.floating], config: VectorizeConfig) -> NDArray[np.floating]:
    """How far lines of these lengths are believed, 0..1."""
    return 1 - np.exp(-length_m / max(config.doubtful_m, 1e-6))


def _simplified(line: NDArray[np.float32], closed: bool, tolerance: float) -> NDArray[np.float32]:
    simple: NDArray[Any] = cv2.approxPolyDP(line[: len(line) - closed, None], tolerance, closed)[:, 0]
    return np.concatenate([simple, simple[:1]]) if closed else simple


def _filled_crossings(
    scores: Array, label: Array, grid: BevGrid, config: VectorizeConfig
) -> list[MapElement]:
    """Rings round the areas of the crossing class, scored by the mean probability inside."""
    mask = (label == CROSSING).astype(np.uint8)
    smallest = config.min_length_m * config.crossing_width_m[0] / grid.cell_m**2
    elements = []
    for ring in crossings.filled_rings(mask, smallest, config.max_chains):
        inside = cv2.fillPoly(np.zeros(grid.shape, np.uint8), [np.rint(ring).astype(np.int32)], 1)
        score = cv2.mean(scores[CROSSING], cv2.bitwise_and(inside, mask))[0] / 255
        elements.append(MapElement("ped_crossing", _metres(ring, grid), score, True))
    return elements
