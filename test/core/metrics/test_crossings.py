from itertools import pairwise

import numpy as np

from mapkd_core.metrics.crossings import crossing_sides, in_side_form
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
