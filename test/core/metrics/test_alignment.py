import itertools

import numpy as np
import pytest

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.alignment import AlignBounds, Alignment, best_alignment
from mapkd_core.metrics.line_places import LinePlaces, distances_m
from mapkd_core.types import MapElement

GRID = BevGrid()
BOUNDS = AlignBounds(2.0, 1.0, 1.5)


def street():
    """Lines in two directions, so that no motion along them is free."""
    lines = [("divider", [(-25, 0), (6, 0)]), ("boundary", [(-25, 5), (7, 5), (7, 14)]),
             ("boundary", [(-25, -5), (25, -6)]), ("divider", [(11, 13), (11, -4)])]
    return [MapElement(label, np.array(points, np.float32)) for label, points in lines]


@pytest.mark.parametrize("motion", [
    Alignment(), Alignment(1.2, -0.4, 0.0), Alignment(-2.0, 1.0, 0.0), Alignment(0.7, 0.3, 1.25),
    Alignment(-0.6, -0.8, -1.5),
])  # fmt: skip
def test_a_known_motion_is_found(motion):
    found = best_alignment(motion.moved(street()), street(), BOUNDS, GRID)
    assert (found.x_m, found.y_m, found.yaw_deg) == pytest.approx((motion.x_m, motion.y_m, motion.yaw_deg), abs=1e-6)


def test_points_go_and_come_back():
    motion = Alignment(1.0, -2.0, 30.0)
    np.testing.assert_allclose(motion.points(np.array([(2.0, 0.0)])), [(1 + np.sqrt(3), -1)])
    points = np.random.default_rng(0).normal(0, 10, (7, 2))
    np.testing.assert_allclose(motion.points_back(motion.points(points)), points)


def test_never_beyond_the_bounds_and_still_where_nothing_is_gained():
    far = Alignment(3.0, 0.0, 0.0)
    assert best_alignment(far.moved(street()), street(), AlignBounds(0.5, 0.5, 0.2), GRID).x_m <= 0.5
    assert best_alignment(street(), street(), BOUNDS, GRID) == Alignment()
    assert best_alignment([], street(), BOUNDS, GRID) == best_alignment(street(), [], BOUNDS, GRID) == Alignment()
    alone = [MapElement("divider", np.array([(-30, 0), (30, 0)], np.float32))]
    assert best_alignment(alone, alone, BOUNDS, GRID) == Alignment()  # any motion along it is as good
    assert best_alignment(far.moved(street()), street(), AlignBounds(0, 0, 0), GRID) == Alignment()


def test_the_search_reads_the_agreement_that_it_promises():
    """Exact distances in place of fields, every motion of the first search tried one by one."""
    rng = np.random.default_rng(1)
    true = street()
    predicted = [MapElement(e.label, (e.points_m + rng.normal(0, 0.3, e.points_m.shape)).astype(np.float32))
                 for e in Alignment(0.8, 0.4, 0.5).moved(true)[:3]]  # fmt: skip

    def agreement(motion):
        near = whole = 0.0
        for label in ("divider", "boundary"):
            for mine, theirs, at in (
                (motion.moved(true), predicted, lambda p: p), (predicted, motion.moved(true), motion.points_back)
            ):
                places = LinePlaces.of(mine, label)
                counted = places.length_m * GRID.contains(at(places.points_m))
                distance = distances_m(places.points_m, theirs, label)
                near += (counted * np.clip(1 - distance / 1.5, 0, None)).sum()
                whole += counted.sum()
        return near / whole

    tried = [Alignment(x, y, yaw) for x, y, yaw in itertools.product(
        np.arange(-1, 1.01, 0.2), np.arange(-0.8, 0.81, 0.2), np.arange(-1, 1.01, 0.5))]  # fmt: skip
    found = best_alignment(predicted, true, AlignBounds(1.0, 0.8, 1.0), GRID)
    assert agreement(found) >= max(map(agreement, tried)) - 0.015


@pytest.mark.parametrize("bounds", [(-1, 0, 0), (0, 11, 0), (0, 0, float("nan"))])
def test_bounds_that_mean_nothing_are_refused(bounds):
    with pytest.raises(ValueError, match="expected 0 to 10"):
        AlignBounds(*bounds)
