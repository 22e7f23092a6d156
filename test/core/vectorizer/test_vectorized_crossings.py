"""The vectorizer closes crossings, from two edges, filled regions and merged ones, and lets them cut nothing."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_lines import distance, drawn, element

from mapkd_core.grid import GRID_60X30, GRID_60X30_COARSE, GRID_120X60, LINE_CELLS, LINE_THICKNESS, BevGrid
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize


def merged_region(corners: np.ndarray, grid: BevGrid) -> np.ndarray:
    """What a network that is unsure makes of a crossing: all cells within half a pen of its outline, filled."""
    semantic = np.zeros((4, *grid.shape), np.float32)
    cells = [np.rint(grid.cells_from_metres(corners) - 0.5).astype(np.int32)]
    cv2.fillPoly(semantic[2], cells, 1)
    cv2.polylines(semantic[2], cells, True, 1, LINE_THICKNESS)
    semantic[0] = 1 - semantic[2]
    return semantic


@pytest.mark.parametrize("grid", [GRID_60X30, GRID_60X30_COARSE], ids=["15cm", "30cm"])
@pytest.mark.parametrize("turn", [0.0, 0.3, np.pi / 4, 1.3])
def test_a_merged_region_becomes_a_crossing_of_its_place_and_direction(turn: float, grid: BevGrid) -> None:
    c, s = np.cos(turn), np.sin(turn)
    turned = np.array([[c, s], [-s, c]])
    corners = np.array([[-2, -5], [-2, 5], [2, 5], [2, -5]]) @ turned + [6, 2]
    (crossing,) = vectorize(merged_region(corners, grid), grid)
    assert crossing.label == "ped_crossing" and crossing.closed and len(crossing.points_m) == 5
    x, y = ((crossing.points_m[:4] - [6, 2]) @ turned.T).T
    np.testing.assert_allclose([x.mean(), y.mean()], 0, atol=2.5 * grid.cell_m)
    pen_m = LINE_CELLS * grid.cell_m  # of the outline in the region
    assert 10 - pen_m < np.ptp(y) < 10 + 2 * pen_m
    # How broad the two edges were that ran together cannot be seen: any width from half the region's to all of it.
    assert (4 + pen_m) / 2 - grid.cell_m < np.ptp(x) < 4 + pen_m


def test_a_merged_region_that_leaves_the_grid_is_cut_there() -> None:
    corners = np.array([[28, 10], [31, 13], [26, 18], [23, 15]])
    found = vectorize(merged_region(corners, GRID_60X30), GRID_60X30)
    assert found and all((np.abs(e.points_m) <= [30, 15]).all() for e in found)


def test_a_merged_region_that_is_no_rectangle_stays_lines() -> None:
    corners = np.array([[-8, -8], [-8, 8], [-5, 8], [-5, -5], [8, -5], [8, -8]])
    found = vectorize(merged_region(corners, GRID_60X30), GRID_60X30)
    assert not any(e.closed for e in found)


def test_two_edges_become_one_closed_crossing() -> None:
    edges = [element("ped_crossing", [[4, -6], [4, 6]]), element("ped_crossing", [[8, 6], [8, -6]])]
    (crossing,) = vectorize(drawn(edges), GRID_60X30)
    truth = element("ped_crossing", [[4, -6], [4, 6], [8, 6], [8, -6], [4, -6]], closed=True)
    assert crossing.label == "ped_crossing" and crossing.closed
    assert (crossing.points_m[0] == crossing.points_m[-1]).all()
    assert distance(crossing, truth) < GRID_60X30.cell_m


def test_four_crossings_at_a_junction_keep_their_own_edges() -> None:
    edges = []
    for turn in range(4):
        c, s = np.cos(turn * np.pi / 2), np.sin(turn * np.pi / 2)
        for x in (7.0, 10.5):
            edges.append(element("ped_crossing", np.array([[x, -5], [x, 5]]) @ np.array([[c, s], [-s, c]])))
    found = vectorize(drawn(edges), GRID_60X30)
    assert len(found) == 4 and all(e.closed for e in found)
    widths = [min(np.ptp(e.points_m[:, 0]), np.ptp(e.points_m[:, 1])) for e in found]
    np.testing.assert_allclose(widths, 3.5, atol=0.3)


def test_an_edge_without_partner_stays_an_open_line() -> None:
    seen = drawn([element("ped_crossing", [[4, -6], [4, 6]])])
    (edge,) = vectorize(seen, GRID_60X30)
    assert edge.label == "ped_crossing" and not edge.closed
    (single,) = vectorize(seen, GRID_60X30, VectorizeConfig(crossings="edges"))
    assert edge.score == pytest.approx(0.5 * single.score), "half the score of an edge that needs no partner"


def test_filled_crossings_become_rings() -> None:
    semantic = np.zeros((4, *GRID_60X30.shape), np.float32)
    corners = np.array([[4, -6], [4.5, 6], [8, 5.9], [7.5, -6.1]])
    cv2.fillPoly(semantic[2], [np.rint(GRID_60X30.cells_from_metres(corners) - 0.5).astype(np.int32)], 1)
    semantic[0] = 1 - semantic[2]
    (crossing,) = vectorize(semantic, GRID_60X30, VectorizeConfig(crossings="filled"))
    assert crossing.closed and crossing.score == pytest.approx(1, abs=0.02)
    assert distance(crossing, element("ped_crossing", [*corners, corners[0]], closed=True)) < 1.5 * GRID_60X30.cell_m


@pytest.mark.parametrize("grid", [GRID_60X30, GRID_120X60], ids=["60x30", "120x60"])
def test_a_crossing_hides_dividers_but_does_not_cut_them(grid: BevGrid) -> None:
    dividers = [element("divider", [[-25, y], [25, y + 1]]) for y in (-4.0, 0.0, 4.0)]
    edges = [element("ped_crossing", [[x, -7], [x, 8]]) for x in (5.0, 9.0)]
    found = vectorize(drawn([*dividers, *edges], grid), grid)
    assert sorted(e.label for e in found) == ["divider"] * 3 + ["ped_crossing"]
    for truth in dividers:
        assert min(distance(e, truth) for e in found if e.label == "divider") < 0.6 * grid.cell_m
