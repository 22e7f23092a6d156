"""The vehicle's side of the boundaries."""
from __future__ import annotations

import numpy as np

from mapkd_core.drivable_side import BOUNDARY, FREE, UNKNOWN, drivable_side
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

GRID = BevGrid((-30.0, 30.0), (-15.0, 15.0), 0.3)


def boundary(*points: tuple[float, float], label: str = "boundary") -> MapElement:
    return MapElement(label, np.array(points, np.float32))


def at(cells: np.ndarray, x: float, y: float) -> int:
    col, row = np.floor(GRID.cells_from_metres(np.array([x, y]))).astype(int)
    return int(cells[row, col])


def test_between_two_boundaries_whatever_way_they_run_it_is_free_and_beyond_unknown():
    left, right = boundary((-28, 6), (28, 6)), boundary((28, -4), (-28, -4))
    cells = drivable_side([left, right, boundary((-28, 1), (28, 1), label="divider")], GRID)
    assert cells.dtype == np.int8 and cells.shape == GRID.shape
    for x in (-25.0, 0.0, 25.0):
        assert [at(cells, x, y) for y in (-10, -4, -2, 1, 5, 6, 9)] == [
            UNKNOWN, BOUNDARY, FREE, FREE, FREE, BOUNDARY, UNKNOWN
        ]  # fmt: skip


def test_a_gap_in_a_boundary_does_not_let_the_road_run_out():
    cells = drivable_side([boundary((-28, 5), (-3, 5)), boundary((3, 5), (28, 5))], GRID)
    assert at(cells, 0, 3) == FREE and at(cells, 0, 8) == UNKNOWN


def test_what_lies_behind_a_wall_is_unknown_even_on_the_vehicles_side_of_the_nearest():
    cells = drivable_side([boundary((-28, 4), (28, 4)), boundary((-28, 12), (28, 12))], GRID)
    assert at(cells, 0, 2) == FREE and at(cells, 0, 10) == UNKNOWN


def test_around_a_corner_and_an_island():
    corner = boundary((-28, 6), (10, 6), (12, 8), (12, 14))
    island = boundary((5, -6), (9, -6), (9, -9), (5, -9), (5, -6))
    cells = drivable_side([corner, island], GRID)
    assert at(cells, 20, 12) == FREE and at(cells, 5, 10) == UNKNOWN
    assert at(cells, 7, -7.5) == UNKNOWN and at(cells, 7, -12) == FREE


def test_nothing_is_free_without_a_boundary_or_where_nobody_sees():
    assert (drivable_side([boundary((0, 1), (9, 1), label="divider")], GRID) == UNKNOWN).all()
    seen = np.ones(GRID.shape, bool)
    seen[:, : GRID.cols // 2] = False
    cells = drivable_side([boundary((-28, 5), (28, 5))], GRID, seen)
    assert at(cells, -10, 0) == UNKNOWN and at(cells, 10, 0) == FREE and at(cells, -10, 5) == BOUNDARY
