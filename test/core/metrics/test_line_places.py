import numpy as np
import pytest

from mapkd_core.metrics.line_places import STEP_M, LinePlaces, distances_m
from mapkd_core.types import MapElement


def line(points, label="divider", closed=False):
    return MapElement(label, np.array(points, np.float32), closed=closed)


def test_places_are_the_middles_of_equal_pieces():
    places = LinePlaces.of([line([(0, 0), (1, 0)]), line([(5, 5), (6, 5)], "boundary")], "divider")
    np.testing.assert_allclose(places.points_m, [(0.125, 0), (0.375, 0), (0.625, 0), (0.875, 0)])
    np.testing.assert_allclose(places.length_m, 0.25)


def test_the_length_of_bent_and_closed_lines_is_kept():
    square = line([(0, 0), (3.1, 0), (3.1, 2), (0, 2)], "ped_crossing", closed=True)
    places = LinePlaces.of([square], "ped_crossing")
    assert places.length_m.sum() == pytest.approx(10.2, abs=1e-6) and places.length_m.max() <= STEP_M + 1e-9
    assert (places.points_m[:, 0] < 1e-6).sum() == 8  # the edge that closes it, 2 m


def test_distances_are_those_to_segments_not_to_vertices():
    lines = [line([(0, 0), (10, 0)]), line([(0, 8), (10, 8)]), line([(5, 1), (6, 1)], "boundary")]
    np.testing.assert_allclose(distances_m(np.array([(5, 1.5), (5, 7), (13, 4.0)]), lines, "divider"), [1.5, 1, 5])
    assert np.isinf(distances_m(np.zeros((1, 2)), lines, "ped_crossing")).all()
    assert distances_m(np.zeros((0, 2)), lines, "divider").shape == (0,)
