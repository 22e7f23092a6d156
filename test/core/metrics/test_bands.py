import numpy as np
import pytest

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.bands import Band, bands_of
from mapkd_core.types import MapElement

GRID = BevGrid()


def test_bands_cover_every_cell_once():
    bands = bands_of(GRID)
    assert [b.name for b in bands] == ["0-10 m", "10-20 m", "20-34 m"]
    assert np.all(sum(b.cells(GRID).astype(int) for b in bands) == 1)
    assert bands[0].cells(GRID).sum() == pytest.approx(np.pi * 100 / 0.15**2, rel=0.01)


def test_lines_are_cut_at_the_ring_and_keep_their_score():
    line = MapElement("divider", np.array([(-30, 0), (30, 0)], np.float32), 0.7)
    pieces = Band(10, 20).cut([line])
    ends = sorted(sorted(p.points_m[:, 0].tolist()) for p in pieces)
    np.testing.assert_allclose(ends, [[-20, -10], [10, 20]], atol=0.02)
    assert all(p.score == 0.7 for p in pieces)
    assert Band(40, 50).cut([line]) == []


def test_rings_become_sides_before_they_are_cut():
    ring = np.array([(8, -7), (12, -7), (12, 7), (8, 7), (8, -7)], np.float32)
    pieces = Band(0, 10).cut([MapElement("ped_crossing", ring, 1.0, closed=True)])
    assert len(pieces) == 1 and np.allclose(pieces[0].points_m[:, 0], 8) and not pieces[0].closed
    ring = np.array([(2, -7), (5, -7), (5, 7), (2, 7), (2, -7)], np.float32)
    pieces = Band(0, 10).cut([MapElement("ped_crossing", ring, 0.5, closed=True)])
    assert sorted(p.points_m[:, 0].tolist() for p in pieces) == [[2, 2], [5, 5]] and pieces[1].score == 0.5


def test_a_cell_at_a_rings_very_edge_belongs_to_the_outer_ring():
    row = BevGrid((-10.5, 10.5), (-0.5, 0.5), 1.0)
    near, far = Band(0, 10).cells(row)[0], Band(10, 20).cells(row)[0]
    assert near.tolist() == [False] + 19 * [True] + [False] and far.tolist() == [True] + 19 * [False] + [True]


def test_short_pieces_at_a_rings_edge_are_no_lines():
    for beyond, count in ((0.45, 0), (0.55, 1)):
        line = MapElement("divider", np.array([(5, 0), (10 + beyond, 0)], np.float32))
        assert len(Band(10, 20).cut([line])) == count
