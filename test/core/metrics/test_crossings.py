from itertools import pairwise

import numpy as np
import pytest

from mapkd_core.metrics.crossings import closed_line, crossing_sides, in_side_form
from mapkd_core.types import MapElement


def crossing(corners):
    ring = np.array([*corners, corners[0]], np.float32)
    return MapElement("ped_crossing", ring, 0.6, closed=True)


def ends(element):
    return sorted(tuple(p) for p in np.round(element.points_m[[0, -1]], 3).tolist())


def test_the_two_long_sides_of_a_ring():
    sides = crossing_sides(crossing([(0, -7), (4, -7), (4, 7), (0, 7)]))
    assert [ends(s) for s in sides] == [[(4, -7), (4, 7)], [(0, -7), (0, 7)]]
    assert all(s.score == 0.6 and not s.closed for s in sides)


def test_a_resampled_ring_has_the_same_sides():
    corners = np.array([(0, -7), (4, -7), (4, 7), (0, 7), (0, -7)], float)
    dense = np.concatenate([np.linspace(a, b, 9)[:-1] for a, b in pairwise(corners)])
    sides = crossing_sides(crossing([tuple(p) for p in np.roll(dense, 5, axis=0)]))
    assert sorted(ends(s) for s in sides) == [[(0, -7), (0, 7)], [(4, -7), (4, 7)]]
    assert all(len(s.points_m) == 9 for s in sides)


def test_open_crossings_and_other_classes_stay():
    side = MapElement("ped_crossing", np.array([(0, 0), (0, 9)], np.float32), 0.5)
    island = MapElement("boundary", np.array([(0, 0), (5, 0), (5, 5), (0, 0)], np.float32), 1.0, closed=True)
    result = in_side_form([side, island, crossing([(0, 0), (3, 0), (3, 9), (0, 9)])])
    assert result[:2] == [side, island] and len(result) == 4


def test_sides_are_long_on_the_ground_whatever_their_heights():
    corners = [(0, -7, 0), (4, -7, 40), (4, 7, 0), (0, 7, 40)]
    sides = crossing_sides(crossing(corners))
    assert [ends(s) for s in sides] == [[(4, -7, 40), (4, 7, 0)], [(0, -7, 0), (0, 7, 40)]]


@pytest.mark.parametrize(("turn_deg", "corners"), [(15, 4), (25, 5)])
def test_an_outline_has_a_corner_where_it_turns_by_more_than_20_degrees(turn_deg, corners):
    """The longest side bends in its middle: one side of 20 m, or two of 10 m beside the other one."""
    turn = np.deg2rad(turn_deg)
    bend = np.array([10, 0]) + 10 * np.array([np.cos(turn), np.sin(turn)])
    sides = crossing_sides(crossing([(0, 0), (10, 0), tuple(bend), tuple(bend + (0, 6)), (0, 6)]))
    assert sorted(len(s.points_m) for s in sides) == ([2, 3] if corners == 4 else [2, 2])


def test_a_smooth_blob_has_edges_between_its_vertices():
    angle = np.linspace(0, 2 * np.pi, 37)[:-1]
    radius = np.where(np.arange(36) % 18 < 2, 3.02, 3.0)
    sides = crossing_sides(crossing([tuple(p) for p in np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)]))
    assert [len(s.points_m) for s in sides] == [2, 2]


def test_an_outline_without_its_first_vertex_at_the_end_and_one_that_is_none():
    corners = [(0, -7), (4, -7), (4, 7), (0, 7)]
    whole = crossing_sides(crossing(corners))
    bare = crossing_sides(MapElement("ped_crossing", np.array(corners, np.float32), 0.6, closed=True))
    assert [ends(s) for s in bare] == [ends(s) for s in whole]
    (flat,) = crossing_sides(crossing([(0, 0), (3, 0)]))
    assert not flat.closed and flat.score == 0.6 and len(flat.points_m) == 3


def test_a_side_that_runs_over_the_rings_first_vertex_is_in_one_piece():
    ring = [(4, 0), (4, 7), (0, 7), (0, -7), (4, -7)]  # the first vertex lies in the middle of a long side
    sides = crossing_sides(crossing(ring))
    assert sorted(ends(s) for s in sides) == [[(0, -7), (0, 7)], [(4, -7), (4, 7)]]
    assert sorted(len(s.points_m) for s in sides) == [2, 3]


def test_the_line_of_a_ring_ends_where_it_begins_and_that_of_an_open_line_does_not():
    square = np.array([(0, 0, 9), (3, 0, 9), (3, 4, 9)], np.float32)
    assert closed_line(MapElement("boundary", square, closed=True)).tolist() == [[0, 0], [3, 0], [3, 4], [0, 0]]
    assert closed_line(MapElement("boundary", square)).tolist() == [[0, 0], [3, 0], [3, 4]]
    repeated = np.concatenate([square, square[:1]])
    assert len(closed_line(MapElement("boundary", repeated, closed=True))) == 4
