"""Scores and vertices become elements, best first, and a raster with their scores."""
import numpy as np

from mapkd_core.grid import BevGrid
from mapkd_core.vector_elements import MOST_ELEMENTS, drawn, elements_of

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def test_the_best_come_first_whatever_their_class():
    scores = np.array([[0.1, 0.2, 0.9], [0.8, 0.05, 0.4]], np.float32)
    points = np.stack([np.array([[-5.0, 1], [5, 1]]), np.array([[-5.0, -2], [5, -2]])]).astype(np.float32)
    elements = elements_of(scores, points)
    assert [(e.label, round(e.score, 2)) for e in elements[:3]] == [
        ("boundary", 0.9), ("divider", 0.8), ("boundary", 0.4)
    ]
    assert np.array_equal(elements[0].points_m, points[0]) and np.array_equal(elements[1].points_m, points[1])
    assert len(elements_of(scores, points, float(np.float32(0.4)))) == 3, "the least score itself is shown"
    assert [e.score for e in elements_of(scores, points, 0.3)] == [e.score for e in elements[:3]]


def test_at_most_so_many_are_kept():
    rng = np.random.default_rng(0)
    elements = elements_of(rng.random((100, 3), np.float32), rng.random((100, 4, 2), np.float32))
    assert len(elements) == MOST_ELEMENTS
    assert elements[-1].score >= 0.8, "the best fifty of three hundred"


def test_crossings_become_rings():
    ring = np.array([[0.0, 0], [3, 0], [3, 2], [0, 2]], np.float32)
    for points in (ring, np.concatenate([ring, ring[:1]])):
        (crossing,) = elements_of(np.array([[0, 0.9, 0]], np.float32), points[None], 0.5)
        assert crossing.closed and np.array_equal(crossing.points_m, np.concatenate([ring, ring[:1]]))


def test_the_raster_shows_the_best_score_where_lines_cross():
    scores = np.array([[0.4, 0, 0], [0.9, 0, 0], [0, 0, 0.7]], np.float32)
    along, across = np.array([[-9.0, 0.1], [9, 0.1]]), np.array([[0.1, -5.0], [0.1, 5.0]])
    elements = elements_of(scores, np.stack([along, across, along]).astype(np.float32), 0.3)
    planes = drawn(elements, GRID)
    assert planes.shape == (4, *GRID.shape)
    col, row = GRID.cells_from_metres(np.array([0.1, 0.1])).astype(int)
    assert np.allclose(planes[:, row, col], [0.1, 0.9, 0, 0.7], atol=1e-6)
    far = GRID.cells_from_metres(np.array([6.0, 0.1])).astype(int)
    assert planes[1, far[1], far[0]] == np.float32(0.4) and planes[0, 2, 2] == 1
