"""Targets of vector networks: orders of vertices, places on the grid, what a batch gives."""
import numpy as np
import pytest
import torch

from mapkd_core.grid import BevGrid
from mapkd_core.types import Batch, MapElement
from mapkd_core.vector_loss.targets import batch_targets, orders_of, vector_targets

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def element(label, points, closed=False):
    return MapElement(label, np.array(points, np.float32), closed=closed)


LINE = element("divider", [(-12, 0), (0, 0), (12, 0)])
RING = element("ped_crossing", [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0)], closed=True)


def test_an_open_line_runs_both_ways():
    points = np.arange(8.0).reshape(4, 2)
    assert np.array_equal(orders_of(points, closed=False), [points, points[::-1]])


def test_a_ring_begins_at_each_of_its_vertices_and_runs_both_ways():
    ring = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], float)
    found = orders_of(ring, closed=True)
    corners = {tuple(corner) for corner in ring}
    assert len(found) == 8 and len({order.tobytes() for order in found}) == 8
    for order in found:
        assert np.array_equal(order[0], order[-1]) and {tuple(corner) for corner in order} == corners
        assert np.abs(np.diff(order, axis=0)).sum(1).tolist() == [1, 1, 1, 1], "neighbours stay neighbours"


def test_places_are_shares_of_the_grid_at_equal_distances():
    targets = vector_targets([LINE, RING], GRID, 5)
    assert targets.labels.tolist() == [0, 1] and targets.places.shape == (2, 8, 5, 2)
    line = targets.places[0]
    assert torch.allclose(line[0], torch.tensor([[0, 0.5], [0.25, 0.5], [0.5, 0.5], [0.75, 0.5], [1, 0.5]]))
    assert torch.equal(line[1], line[0].flip(0)) and torch.equal(line[2:], line[:2].repeat(3, 1, 1))
    corner = (np.array([3.0, 3.0]) + [12, 6]) / [24, 12]
    assert (targets.places[1] - torch.tensor(corner).float()).abs().sum(-1).min() < 1e-6


def batch(**changes):
    return Batch(
        torch.zeros(2, 1, 3, 2, 2), torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 4, 4),
        **{"elements": [(LINE, element("ped_crossing", [(0, 0), (3, 0)])), ()], "outlines": [(RING,), ()], **changes},
    )


def test_crossings_of_a_batch_are_its_outlines_and_unknown_labels_are_none():
    first, second = batch_targets(batch(), GRID, 4)
    assert first.labels.tolist() == [0, 1] and first.places.shape == (2, 6, 4, 2)
    assert len(second.labels) == 0 and second.places.shape == (0, 2, 4, 2)
    known = batch_targets(batch(labelled=torch.tensor([True, False])), GRID, 4)
    assert known[0] is not None and known[1] is None
    with pytest.raises(ValueError, match="crossings as outlines"):
        batch_targets(batch(outlines=None), GRID, 4)
