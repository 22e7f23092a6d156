"""Turns a semantic bird's-eye-view prediction into vector map elements, in about three milliseconds.

    elements = vectorize(softmax_of_logits, grid)

`vectorize` below is the whole way, step by step; docs/explanation/vectorizer.md describes each step. Inside this folder
lengths are in cells and points are complex numbers `col + 1j * row`; metres are in the config and in what comes out.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BOUNDARY_INSET_M, BevGrid
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.vectorizer.centerline import center_chains
from mapkd_core.vectorizer.crossing_fit import fit_rings
from mapkd_core.vectorizer.crossings import Regions, add_merged_regions, outline_filled, pair_edges, ring_of_outline
from mapkd_core.vectorizer.evidence import BACKGROUND, CROSSING, Evidence, probability_bytes, winning_class
from mapkd_core.vectorizer.lines import Floats, Lines, Points, Polyline, pairs_of, points_of
from mapkd_core.vectorizer.linking import extend_ends, link, overlapping
from mapkd_core.vectorizer.medians import hollow_medians
from mapkd_core.vectorizer.skeleton import trace_chains

_MAX_OVERLAP_M = 4.0
"""Only lines that were seen over less than this may turn out to be stretches of a longer one."""
_LONE_EDGE = 0.5
"""An edge of a crossing whose other side was not seen keeps this share of its score."""


@dataclass(frozen=True)
class VectorizeConfig:
    """How predictions become elements; the defaults fit networks trained on lines drawn seven cells wide."""

    crossings: Literal["ring", "edges", "filled"] = "ring"
    """`ring`: crossings are predicted as their two long edges and paired into closed rings (edges merged into one
    region become a rectangle, an edge without partner stays an open line); `edges`: the edges stay single lines, as
    the HDMapNet label code has them; `filled`: crossings are predicted as filled areas."""
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
    score of a ring tells how well it explains the prediction (`crossing_fit.py`), whatever its length."""
    border_inset_m: float = BOUNDARY_INSET_M
    """How far from the grid's border lines end that leave it: labels are cut to a slightly smaller rectangle."""
    strip_m: float = 1.8
    """A boundary wider than a line for this long is a strip of land (a median) with a curb on either side; 0: never."""
    simplify_cells: float = 0.25
    """Largest distance between a line and its simplified vertices (Douglas-Peucker), in cells."""
    max_line_cells: int = 20
    """Wider regions are no lines and are ignored."""
    max_chains: int = 96
    """Only the longest pieces of lines are kept: bounds the time on noise."""

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
    elements: list[MapElement] = []
    edges: list[Polyline] = []  # lines of crossings that are to become rings
    max_gap_cells, inset_cells = config.max_gap_m / grid.cell_m, config.border_inset_m / grid.cell_m

    probability = probability_bytes(semantic, grid)                                     # 4 Y X
    class_map = winning_class(probability)                                              # Y X
    if config.crossings == "filled":
        min_cells = config.min_length_m * config.crossing_width_m[0] / grid.cell_m**2
        filled = outline_filled(probability, class_map, min_cells, config.max_chains)
        elements += [_crossing(outline, grid) for outline in filled]
        class_map[class_map == CROSSING] = BACKGROUND
    evidence = Evidence.of(probability, class_map)

    line_map = class_map
    if config.strip_m > 0:
        line_map = hollow_medians(evidence, round(config.strip_m / grid.cell_m), 2 * config.max_line_cells)
    chains = trace_chains(line_map, config.max_line_cells, config.max_chains)
    if chains:
        pieces = center_chains(chains, evidence)
        joined = link(pieces, evidence, max_gap_cells, config.max_unseen_gap_m / grid.cell_m)
        extended = extend_ends(joined, evidence, inset_cells, max_gap_cells)
        keep = extended.lengths >= config.min_length_m / grid.cell_m
        keep &= ~overlapping(extended, joined.lengths, _MAX_OVERLAP_M / grid.cell_m)
        lines = extended.selected(keep)
        scores = score_lines(lines, evidence, grid.cell_m, config.doubtful_m)
        of_ring = (lines.classes == CROSSING) & (config.crossings == "ring")
        elements += line_elements(lines.selected(~of_ring), scores[~of_ring], grid, config.simplify_cells)
        edges = simplify(lines.selected(of_ring), scores[of_ring], config.simplify_cells)

    if config.crossings == "ring":
        low_m, high_m = config.crossing_width_m
        found = close_crossings(edges, evidence, (low_m / grid.cell_m, high_m / grid.cell_m), inset_cells)
        elements += [_crossing(outline, grid) for outline in found]
    return sorted(elements, key=lambda element: -element.score)


def score_lines(lines: Lines, evidence: Evidence, cell_m: float, doubtful_m: float) -> NDArray[np.float64]:
    """(L,) scores 0..1: the mean probability of a line's class along it, times 1 - exp(-length / `doubtful_m`)."""
    if len(lines) == 0:
        return np.zeros(0)
    col, row = lines.points.real[None], lines.points.imag[None]
    probability = evidence.probability_at(col, row, lines.point_classes)[0].astype(np.float32)     # P, 0..255
    scores = np.add.reduceat(probability, lines.starts[:-1]) / lines.counts / 255
    scores *= 1 - np.exp(-lines.lengths * cell_m / max(doubtful_m, 1e-6))
    return scores


def line_elements(
    lines: Lines, scores: NDArray[np.float64], grid: BevGrid, simplify_cells: float
) -> list[MapElement]:
    """Lines as map elements in metres, with few vertices."""
    points_m = _metres(lines.points, grid)
    tolerance_m = simplify_cells * grid.cell_m
    return [
        MapElement(CLASSES[index - 1], _simplified(points_m[start:end], closed, tolerance_m), score, closed)
        for index, start, end, closed, score in zip(
            lines.classes.tolist(), lines.starts[:-1].tolist(), lines.starts[1:].tolist(), lines.closed.tolist(),
            scores.tolist(), strict=True,
        )
    ]  # fmt: skip


def simplify(lines: Lines, scores: NDArray[np.float64], simplify_cells: float) -> list[Polyline]:
    """Lines as single polylines in cells, with few vertices."""
    pairs = pairs_of(lines.points)
    return [
        Polyline(points_of(_simplified(pairs[start:end], closed, simplify_cells)), score, closed)
        for start, end, closed, score in zip(
            lines.starts[:-1].tolist(), lines.starts[1:].tolist(), lines.closed.tolist(), scores.tolist(), strict=True
        )
    ]


def close_crossings(
    drawn: list[Polyline], evidence: Evidence, widths_cells: tuple[float, float], inset_cells: float
) -> list[Polyline]:
    """Crossings from their drawn edges: pairs and merged regions as rings, compared with the prediction; single edges.

    `widths_cells` are the smallest and largest distance of two edges; `drawn` may hold whole outlines too.
    """
    mask = cv2.compare(evidence.class_map, CROSSING, cv2.CMP_EQ)
    if not mask.any():
        return []
    regions = Regions(mask)
    rings, edges = pair_edges([line for line in drawn if not line.closed], widths_cells)
    rings += [ring_of_outline(line) for line in drawn if line.closed]
    rings, edges = add_merged_regions(rings, edges, regions, evidence, widths_cells)
    rings, edges = fit_rings(rings, edges, regions, evidence, widths_cells, inset_cells)
    found = [Polyline(ring.points, ring.score, True) for ring in rings]
    return found + [edge._replace(score=_LONE_EDGE * edge.score) for edge in edges]


def _crossing(outline: Polyline, grid: BevGrid) -> MapElement:
    return MapElement("ped_crossing", _metres(outline.points, grid), outline.score, outline.closed)


def _metres(points: Points, grid: BevGrid) -> Floats:
    """Points (N,) in cells -> (N, 2) in `base_link`; the grid counts from the corners of cells."""
    return grid.metres_from_cells(pairs_of(points) + 0.5).astype(np.float32)


def _simplified(pairs: Floats, closed: bool, tolerance: float) -> Floats:
    """The vertices (N, 2) that Douglas-Peucker leaves, all within `tolerance` of the line, in its unit."""
    simple = cv2.approxPolyDP(pairs[: len(pairs) - closed, None], tolerance, closed)[:, 0]
    return np.concatenate([simple, simple[:1]]) if closed else simple
