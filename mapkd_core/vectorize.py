"""Turns a semantic bird's-eye-view prediction into vector map elements, in about a millisecond or two.

    elements = vectorize(softmax_of_logits, grid)

How it works, with a picture of each stage: docs/vectorizer.md.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core import centreline, crossings, linking, skeleton
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement

_CROSSING = CLASSES.index("ped_crossing") + 1
_MIN_PIECE_CELLS = 6
"""A shorter piece has no direction; the gap it leaves is bridged."""


@dataclass(frozen=True)
class VectorizeConfig:
    """How predictions become elements; the defaults fit networks trained on lines drawn five cells wide."""

    crossings: Literal["ring", "edges", "filled"] = "ring"
    """`ring`: crossings are predicted as their two long edges and paired into closed rings (an edge without partner
    stays an open line); `edges`: the edges stay single lines, as the HDMapNet label code has them; `filled`:
    crossings are predicted as filled areas."""
    crossing_width_m: tuple[float, float] = (1.5, 9.0)
    """Smallest and largest distance of the two edges of a crossing."""
    max_gap_m: float = 9.0
    """Longest gap that is joined where another class hides the line (a crossing's edge hides lane dividers)."""
    max_unseen_gap_m: float = 4.0
    """Longest part of such a gap that may lie on plain background."""
    min_length_m: float = 2.0
    """Shorter lines are dropped."""
    simplify_cells: float = 0.25
    """Largest distance between a line and its simplified vertices (Douglas-Peucker), in cells."""
    max_line_cells: int = 20
    """Wider regions are no lines and are ignored."""
    max_chains: int = 96
    """Only the longest pieces are kept: bounds the time on noise."""

    def __post_init__(self) -> None:
        if self.crossings not in ("ring", "edges", "filled"):
            raise ValueError(f"crossings is {self.crossings!r}; expected 'ring', 'edges' or 'filled'")
        for name in ("max_gap_m", "max_unseen_gap_m", "min_length_m", "simplify_cells", "max_line_cells", "max_chains"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a number >= 0")


def vectorize(
    semantic: NDArray[np.floating] | NDArray[np.uint8],
    grid: BevGrid,
    config: VectorizeConfig = VectorizeConfig(),
) -> list[MapElement]:
    """Finds the lines in a semantic map and returns them as `MapElement`s in `base_link` metres, best score first.

    `semantic` (4, Y, X) holds background, divider, crossing and boundary, as probabilities 0..1 (softmax, or one
    sigmoid a channel) or as uint8 0..255; in each cell the largest channel wins. A line's score is the mean
    probability of its class along it. Raises ValueError for another shape, for values outside 0..1 (such as
    logits), and for values that are not finite.
    """
    scores = _as_bytes(semantic, grid)
    label = _winner(scores)
    elements: list[MapElement] = []
    if config.crossings == "filled":
        elements += _filled_crossings(scores, label, grid, config)
        label[label == _CROSSING] = 0
    chains, classes = _pieces(scores, label, grid, config)
    if not chains:
        return elements
    cell = grid.cell_m
    lines, classes, closed = linking.link(
        chains, classes, label, config.max_gap_m / cell, config.max_unseen_gap_m / cell
    )
    elements += _elements(lines, classes, closed, scores, label, grid, config)
    return sorted(elements, key=lambda e: -e.score)


def _as_bytes(semantic: NDArray, grid: BevGrid) -> NDArray[np.uint8]:
    """(4, Y, X) as 0..255, after checks that a wrong tensor cannot pass."""
    if semantic.shape != (4, *grid.shape):
        raise ValueError(
            f"semantic has shape {semantic.shape}; expected (4, {grid.rows}, {grid.cols}): "
            "background, divider, ped_crossing, boundary on the given grid"
        )
    if semantic.dtype == np.uint8:
        return np.ascontiguousarray(semantic)
    values = np.ascontiguousarray(semantic, np.float32)
    flat = values.reshape(-1, grid.cols)
    total = float(np.dot(values.ravel(), values.ravel()))
    low, high, _, _ = cv2.minMaxLoc(flat)
    if not np.isfinite(total):
        raise ValueError("semantic has values that are not finite; check the network's weights and input")
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"semantic lies in {low:g}..{high:g}; expected probabilities 0..1: apply softmax to logits")
    return cv2.convertScaleAbs(flat, alpha=255).reshape(values.shape)  # type: ignore[no-any-return]


def _winner(scores: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The class (0 background, 1..3) of every cell after a 3x3 mean, with touching classes one cell apart."""
    soft = [cv2.blur(channel, (3, 3), borderType=cv2.BORDER_REPLICATE) for channel in scores]
    best, label = soft[0], np.zeros(scores.shape[1:], np.uint8)
    for index in (1, 2, 3):
        wins = cv2.compare(soft[index], best, cv2.CMP_GT)
        label = np.where(wins, np.uint8(index), label)
        best = cv2.max(best, soft[index])
    # All classes are thinned in one picture, so they must not touch; the later one keeps the cell, as in the labels.
    crowded = cv2.compare(cv2.dilate(label, np.ones((3, 3), np.uint8)), label, cv2.CMP_GT)
    label[crowded > 0] = 0
    return label


def _pieces(
    scores: NDArray[np.uint8], label: NDArray[np.uint8], grid: BevGrid, config: VectorizeConfig
) -> tuple[list[NDArray[np.float32]], NDArray[np.intp]]:
    """Centre lines of all branches between junctions, and their classes."""
    mask = cv2.min(label, 1)
    thinned = skeleton.thin(mask, max(config.max_line_cells // 2, 1))
    branches, junctions = skeleton.split_at_junctions(thinned)
    found = skeleton.chains(branches, _MIN_PIECE_CELLS, config.max_chains)
    near_junction = cv2.dilate(junctions, np.ones((3, 3), np.uint8))
    kept = [c for c in found if not _is_spur(c, near_junction)]
    if not kept:
        return [], np.zeros(0, np.intp)
    starts = np.concatenate([[0], np.cumsum([len(c) for c in kept])])
    cells = np.concatenate(kept)
    classes = label[cells[starts[:-1], 1], cells[starts[:-1], 0]].astype(np.intp)
    points, starts = centreline.resample(centreline.smooth(cells.astype(np.float32), starts, 3), starts)
    points, _ = centreline.centre(points, starts, np.repeat(classes, np.diff(starts)), scores)
    points = centreline.smooth(points, starts, 2)
    # Near an end the skeleton leans into a corner or a junction: leave that out, the end is found again later.
    pieces = [p[1:-1] if len(p) > 5 else p for p in np.split(points, starts[1:-1])]
    return pieces, classes


def _is_spur(chain: NDArray[np.int32], near_junction: NDArray[np.uint8]) -> bool:
    """A short side branch of a wide line: one end at a junction, the other loose, no longer than a line is wide."""
    if len(chain) > 7:
        return False
    (x0, y0), (x1, y1) = chain[0], chain[-1]
    return bool(near_junction[y0, x0]) != bool(near_junction[y1, x1])


def _elements(
    lines: list[NDArray[np.float32]],
    classes: NDArray[np.intp],
    closed: NDArray[np.bool_],
    scores: NDArray[np.uint8],
    label: NDArray[np.uint8],
    grid: BevGrid,
    config: VectorizeConfig,
) -> list[MapElement]:
    """Final lines in cells -> elements: ends found, scored, crossings closed, simplified, in metres."""
    lines = centreline.extend_ends(lines, classes, closed, scores, label)
    starts = np.concatenate([[0], np.cumsum([len(line) for line in lines])])
    probability = centreline.sample(scores, np.concatenate(lines), np.repeat(classes, np.diff(starts)))
    confidence = np.add.reduceat(probability, starts[:-1]) / np.diff(starts) / 255
    lengths = np.array([np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines]) * grid.cell_m
    keep = np.flatnonzero(lengths >= config.min_length_m)

    elements = []
    edges = [k for k in keep if classes[k] == _CROSSING and not closed[k]] if config.crossings == "ring" else []
    width = [w / grid.cell_m for w in config.crossing_width_m]
    pairs, _ = crossings.pair_edges([lines[k] for k in edges], *width)
    for a, b in pairs:
        a, b = edges[a], edges[b]
        ring = crossings.ring_of(*(_simplified(lines[k], config, False) for k in (a, b)))
        score = np.average(confidence[[a, b]], weights=lengths[[a, b]])
        elements.append(_element(_CROSSING, ring, score, True, grid))
    paired = {edges[k] for pair in pairs for k in pair}
    for k in keep:
        if k not in paired:
            line = _simplified(lines[k], config, bool(closed[k]))
            elements.append(_element(int(classes[k]), line, confidence[k], bool(closed[k]), grid))
    return elements


def _simplified(line: NDArray[np.float32], config: VectorizeConfig, closed: bool) -> NDArray[np.float32]:
    if closed:
        simple = cv2.approxPolyDP(line[:-1, None], config.simplify_cells, True)[:, 0]
        return np.concatenate([simple, simple[:1]])
    return cv2.approxPolyDP(line[:, None], config.simplify_cells, False)[:, 0]  # type: ignore[no-any-return]


def _element(index: int, cells: NDArray[np.float32], score: float, closed: bool, grid: BevGrid) -> MapElement:
    points = grid.metres_from_cells(cells + 0.5).astype(np.float32)
    return MapElement(CLASSES[index - 1], points, float(min(score, 1.0)), closed)


def _filled_crossings(
    scores: NDArray[np.uint8], label: NDArray[np.uint8], grid: BevGrid, config: VectorizeConfig
) -> list[MapElement]:
    """Rings round the areas of the crossing class, scored by the mean probability inside."""
    mask = (label == _CROSSING).astype(np.uint8)
    smallest = config.min_length_m * config.crossing_width_m[0] / grid.cell_m**2
    elements = []
    for ring in crossings.filled_rings(mask, smallest, config.max_chains):
        inside = cv2.fillPoly(np.zeros(grid.shape, np.uint8), [np.rint(ring).astype(np.int32)], 1)
        score = cv2.mean(scores[_CROSSING], inside)[0] / 255
        elements.append(_element(_CROSSING, ring, score, True, grid))
    return elements
