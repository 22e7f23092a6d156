"""BevGrid: metres <-> cells, and which way is forward."""
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapkd_core.grid import GRID_60X30, GRID_120X60, GRID_240X60, LINE_CELLS, LINE_THICKNESS, BevGrid


def test_papers_canvases():
    assert (GRID_60X30.shape, GRID_120X60.shape, GRID_240X60.shape) == ((200, 400), (200, 400), (200, 800))


def test_forward_is_growing_column_and_left_is_growing_row():
    """Draws an arrow from the car forward with a barb to its left, and looks where the paint is."""
    canvas = np.zeros(GRID_60X30.shape, np.uint8)
    arrow_m = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 4.0]])  # 10 m ahead, then 4 m to the left
    cells = GRID_60X30.cells_from_metres(arrow_m).astype(np.int32)
    cv2.polylines(canvas, [cells[:, None]], False, 1)
    rows, cols = np.nonzero(canvas)
    middle_row, middle_col = 100, 200
    assert cols.min() == middle_col and cols.max() == middle_col + int(10 / 0.15)  # forward: to the right
    assert rows.min() == middle_row and rows.max() == middle_row + int(4 / 0.15)  # left: growing row
    assert canvas[rows.max(), cols.max()] == 1 and canvas[rows.max(), middle_col] == 0


@given(st.floats(-29.9, 29.9), st.floats(-14.9, 14.9))
def test_round_trip(x, y):
    cells = GRID_60X30.cells_from_metres(np.array([x, y]))
    assert np.allclose(GRID_60X30.metres_from_cells(cells), [x, y])
    assert GRID_60X30.contains(np.array([x, y]))


def test_centres_lie_half_a_cell_in():
    centres = BevGrid((-1.0, 1.0), (-0.5, 0.5), 0.5).cell_centres_m()
    assert centres.shape == (2, 4, 2)
    assert np.allclose(centres[0, 0], [-0.75, -0.25]) and np.allclose(centres[1, 3], [0.75, 0.25])


def test_outside_is_not_contained():
    assert not GRID_60X30.contains(np.array([[30.0, 0.0], [0.0, 15.0], [-30.01, 0.0]])).any()


@pytest.mark.parametrize("values", [((1.0, 1.0), (0.0, 1.0), 0.1), ((0.0, 1.0), (0.0, 1.0), 0.3)])
def test_refuses_ranges_that_are_no_whole_number_of_cells(values):
    with pytest.raises(ValueError, match="whole number of cells"):
        BevGrid(*values)


def test_a_grid_that_takes_all_memory_is_refused():
    with pytest.raises(ValueError, match=r"4000 x 4000 cells of 0\.25 m; at most 4194304 in all"):
        BevGrid((-500.0, 500.0), (-500.0, 500.0), 0.25)


def test_dict_round_trip():
    assert BevGrid.from_dict(GRID_240X60.as_dict()) == GRID_240X60


def test_line_of_a_label_covers_as_many_cells_as_the_constant_says():
    for points in ([[10, 30], [50, 30]], [[30, 10], [30, 50]]):
        canvas = np.zeros((60, 60), np.uint8)
        cv2.polylines(canvas, [np.array(points, np.int32)], False, (1,), LINE_THICKNESS)
        assert canvas.sum(0 if points[0][1] == 30 else 1)[30] == LINE_CELLS
