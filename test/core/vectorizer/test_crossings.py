"""Which drawn edges make one crossing."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely

from mapkd_core.vectorizer.crossing_fit import _rectangles
from mapkd_core.vectorizer.crossings import Regions, add_merged_regions, pair_edges, ring_of_outline
from mapkd_core.vectorizer.evidence import CROSSING, Evidence
from mapkd_core.vectorizer.lines import Polyline, points_of
from mapkd_core.vectorizer.vectorize import close_crossings

WIDTHS = (10.0, 60.0)


def edge(left: float, right: float, row: float) -> Polyline:
    """A straight edge along a row, in cells."""
    return Polyline(np.array([left + 1j * row, right + 1j * row], np.complex64), 0.7, False)


def pairs(*edges: Polyline) -> list[set[int]]:
    """The edges of each ring that is found, by their numbers."""
    rings, _ = pair_edges(list(edges), WIDTHS)
    return [{k for k, one in enumerate(edges) if set(one.points.tolist()) <= set(ring.points.tolist())}
            for ring in rings]  # fmt: skip


@pytest.mark.parametrize(
    ("nearer", "farther"),
    [
        pytest.param(edge(6, 46, 12), edge(0, 40, 20), id="slid by 6, which sticks out at both ends"),
        pytest.param(edge(5, 30, 12), edge(0, 40, 20), id="shorter by 15"),
        pytest.param(edge(-8, 48, 12), edge(0, 40, 20), id="longer by 16"),
    ],
)
def test_edges_whose_corners_lie_opposite_go_together_before_nearer_ones(nearer: Polyline, farther: Polyline) -> None:
    one = edge(0, 40, 0)
    assert pairs(one, nearer) == [{0, 1}]
    assert pairs(one, nearer, farther) == [{0, 2}]


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        (edge(0, 40, 9), False), (edge(0, 40, 11), True), (edge(0, 40, 59), True), (edge(0, 40, 61), False),
        (edge(19, 59, 20), True), (edge(21, 61, 20), False),
        (Polyline(np.array([20j, 40 + 38j], np.complex64), 0.7, False), True),
        (Polyline(np.array([20j, 40 + 40j], np.complex64), 0.7, False), False),
    ],
)  # fmt: skip
def test_edges_of_one_crossing_are_parallel_side_by_side_and_of_a_crossing_s_width(
    other: Polyline, fits: bool
) -> None:
    assert pairs(edge(0, 40, 0), other) == ([{0, 1}] if fits else [])


@pytest.mark.parametrize("turn", [0.0, 2.0])
@pytest.mark.parametrize("slant", [-9, 9])
@pytest.mark.parametrize("step", [1, 2], ids=["three vertices", "two vertices"])
@pytest.mark.parametrize("ways", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_a_ring_does_not_cross_itself_whichever_way_its_edges_run(
    ways: tuple[int, int], step: int, slant: float, turn: float
) -> None:
    corners = np.array([0, 20, 40, 40 + slant + 25j, 20 + 25j, slant + 25j]) * np.exp(1j * turn)
    edges = [Polyline(part.astype(np.complex64)[:: way * step], score, False)
             for part, way, score in zip((corners[:3], corners[3:]), ways, (0.5, 0.9), strict=True)]  # fmt: skip
    (ring,), rest = pair_edges(edges, WIDTHS)
    outline = shapely.Polygon([(p.real, p.imag) for p in ring.points.tolist()])
    assert rest == [] and ring.points[0] == ring.points[-1] and len(ring.points) == (7 if step == 1 else 5)
    assert outline.is_valid and outline.area == pytest.approx(40 * 25, rel=1e-5)
    assert ring.score == pytest.approx(0.7)
    first, second = ring.sides
    assert {first[0], first[1]} == set(edges[0].points[[0, -1]].tolist())
    assert {second[0], second[1]} == set(edges[1].points[[0, -1]].tolist())
    assert ((first[1] - first[0]) * (second[1] - second[0]).conj()).real > 0, "its sides run the same way"


def test_a_short_edge_beside_the_end_of_a_long_one_is_its_other_side() -> None:
    """Their middles are 10 apart, which leaves 19 beside each other: half of the shorter one, not of the longer."""
    assert pairs(edge(0, 40, 0), edge(21, 39, 15)) == [{0, 1}]
    assert pairs(edge(0, 40, 0), edge(36, 54, 15)) == []


def test_an_outline_that_was_drawn_has_the_long_sides_of_its_rectangle() -> None:
    for corners in ([0, 40, 40 + 15j, 15j], [0, 15, 15 + 40j, 40j]):
        outline = np.array([*corners, corners[0]], np.complex64) * np.complex64(np.exp(0.4j))
        ring = ring_of_outline(Polyline(outline, 0.6, True))
        assert ring.points.tolist() == outline.tolist() and ring.score == 0.6
        (a, b), (c, d) = ring.sides
        assert [abs(b - a), abs(d - c), abs(a - c)] == pytest.approx([40, 40, 15], rel=1e-2)
        assert ((b - a) * (d - c).conj()).real > 0


def seen(mask: np.ndarray) -> Evidence:
    """A network that is sure of crossings on a mask (Y, X) of 0 and 1."""
    probability = np.zeros((4, *mask.shape), np.uint8)
    probability[CROSSING], probability[0] = 255 * mask, 255 * (1 - mask)
    return Evidence.of(probability, CROSSING * mask)


def test_a_merged_region_becomes_a_ring_unless_it_holds_one() -> None:
    mask = np.zeros((60, 100), np.uint8)
    mask[15:45, 20:80] = 1
    regions = Regions(255 * mask)
    (ring,), lines = add_merged_regions([], [edge(20, 79, 18), edge(20, 79, 50)], regions, seen(mask), WIDTHS)
    assert ring.points[0] == ring.points[-1] and [one.points[0].imag for one in lines] == [50]
    held, _ = pair_edges([edge(20, 79, 18), edge(20, 79, 41)], WIDTHS)
    assert add_merged_regions(held, [], regions, seen(mask), WIDTHS) == (held, [])


def test_an_outline_that_was_drawn_becomes_a_ring() -> None:
    corners = np.array([[20, 15], [80, 15], [80, 45], [20, 45], [20, 15]], np.int32)
    mask = cv2.polylines(np.zeros((60, 100), np.uint8), [corners], True, 1, 7)
    outline = Polyline(points_of(corners), 0.8, True)
    (found,) = close_crossings([outline], seen(mask), WIDTHS, 0.0)
    assert found.closed and found.points.tolist() == outline.points.tolist()


def test_a_fit_starts_at_the_rings_own_middle_and_sides() -> None:
    ring = pair_edges([edge(0, 40, 10), edge(4, 44, 30)], WIDTHS)[0][0]
    (col, row, angle, length, width, _), other = _rectangles(ring)
    assert (col, row) == pytest.approx((22, 20)) and np.cos(angle) ** 2 == pytest.approx(1)
    assert (length, width) == pytest.approx((40, abs(4 + 20j)))
    assert other[:2] == pytest.approx([22, 20]) and other[3:5] == pytest.approx([abs(4 + 20j), 40])
