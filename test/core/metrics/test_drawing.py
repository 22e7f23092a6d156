import numpy as np
import pytest

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.drawing import draw, instances
from mapkd_core.types import MapElement

GRID = BevGrid()


def line(label, points, score):
    return MapElement(label, np.array(points, float), score)


def test_ids_count_over_classes_and_read_their_confidence():
    drawing = draw(
        [line("boundary", [(-5, 5), (5, 5)], 0.3), line("divider", [(-5, 0), (5, 0)], 0.7)], GRID
    )
    assert set(np.unique(drawing.ids[0])) == {0, 1} and set(np.unique(drawing.ids[2])) == {0, 2}
    assert np.allclose([drawing.confidence_of(i) for i in (1, 2, 3)], [0.7, 0.3, -1])


def test_a_vertex_falls_into_the_cell_that_holds_it():
    ids = draw([line("divider", [(0.1, 0.1), (0.12, 0.1)], 1)], GRID, thickness=1).ids[0]
    assert np.argwhere(ids).tolist() == [[100, 200]]  # row of y, column of x


def test_cut_lines_shift_confidences_in_the_compatible_form_only():
    leaves = line("divider", [(-20, 14), (0, 16), (20, 14)], 0.9)
    after = line("divider", [(-20, 0), (20, 0)], 0.4)
    compatible, corrected = draw([leaves, after], GRID), draw([leaves, after], GRID, one_id_per_line=True)
    identity = compatible.ids[0, 100, 200]
    assert identity == 3 and compatible.confidence_of(identity) == -1
    assert corrected.ids[0, 100, 200] == 2 and np.isclose(corrected.confidence_of(2), 0.4)


def test_more_than_255_lines_merge_only_in_the_compatible_form():
    lines = [line("divider", [(-29, y), (-20, y)], 0.5) for y in np.linspace(-14.9, 14.9, 190)]
    lines += [line("divider", [(20, y), (29, y)], 0.5) for y in np.linspace(-14.9, 14.9, 190)]
    assert draw(lines, GRID, thickness=1).ids.max() == 255
    assert draw(lines, GRID, thickness=1, one_id_per_line=True).ids.max() == 380


def test_lines_off_the_grid_draw_nothing_and_take_no_id():
    drawing = draw([line("divider", [(100, 0), (120, 0)], 0.9), line("divider", [(0, 0), (9, 0)], 0.2)], GRID)
    assert set(np.unique(drawing.ids)) == {0, 1} and np.isclose(drawing.confidence_of(1), 0.2)


@pytest.mark.parametrize("one_id_per_line", [False, True])
def test_a_line_that_touches_the_grid_in_a_corner_draws_nothing(one_id_per_line):
    """The compatible form notes its confidence all the same, which later lines then read; its id is not taken."""
    corner = line("divider", [(29, 16), (31, 14)], 0.9)
    drawing = draw([corner, line("divider", [(0, 0), (9, 0)], 0.25)], GRID, one_id_per_line=one_id_per_line)
    assert set(np.unique(drawing.ids)) == {0, 1}
    assert drawing.confidence_of(1) == np.float32(0.25 if one_id_per_line else 0.9)


def test_instances_lists_every_pixel_once():
    canvas = np.array([[0, 2, 2], [7, 0, 2]], np.uint8)
    found = {i: list(zip(r.tolist(), c.tolist(), strict=True)) for i, r, c in instances(canvas)}
    assert found == {2: [(0, 1), (0, 2), (1, 2)], 7: [(1, 0)]}
    assert list(instances(np.zeros((2, 2), np.uint8))) == []
