import itertools

import numpy as np
import pytest

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.alignment import AlignBounds, Alignment, _Search, _steps, best_alignment
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


@pytest.mark.parametrize("sign", [1, -1])
def test_half_a_step_beyond_the_last_whole_one_is_found_on_either_side(sign):
    """Whole steps end at 1.0 m, 0.4 m and 1 degree."""
    bounds, motion = AlignBounds(1.1, 0.5, 1.25), Alignment(1.1 * sign, -0.5 * sign, 1.25 * sign)
    found = best_alignment(motion.moved(street()), street(), bounds, GRID)
    assert (found.x_m, found.y_m, found.yaw_deg) == pytest.approx((motion.x_m, motion.y_m, motion.yaw_deg), abs=1e-6)


def test_steps_reach_the_bounds_and_the_search_ends_there():
    assert _steps(0.6, 0.2) == [-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6], "in binary 0.6 / 0.2 is less than 3"
    assert _steps(1.1, 0.2)[-1] == 1.0 and _steps(0.0, 0.5) == [0.0]
    beyond = Alignment(0.5, -0.5, 0.0)
    found = best_alignment(beyond.moved(street()), street(), AlignBounds(0.4, 0.4, 0.0), GRID)
    assert (found.x_m, found.y_m) == (0.4, -0.4)


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


def blurred(true):
    """A prediction beside the truth that lacks its last line."""
    rng = np.random.default_rng(1)
    return [MapElement(e.label, (e.points_m + rng.normal(0, 0.3, e.points_m.shape)).astype(np.float32))
            for e in Alignment(0.8, 0.4, 0.5).moved(true)[:3]]  # fmt: skip


def agreement(motion, predicted, true):
    """Exact distances in place of fields."""
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


@pytest.mark.parametrize("motion", [
    Alignment(), Alignment(0.8, 0.4, 0.5), Alignment(-2, 1, -1.5), Alignment(2, -1, 1.5), Alignment(0, 0.9, 0),
    Alignment(1.9, 0, 0), Alignment(0, 0, 1.4),
])  # fmt: skip
def test_the_search_reads_distances_to_a_cell(motion):
    true = street()
    predicted = blurred(true)
    read = _Search(predicted, true, BOUNDS, GRID).agreement(motion)
    assert read == pytest.approx(agreement(motion, predicted, true), abs=0.025)


def test_what_the_motion_takes_from_the_grid_or_brings_into_it_does_not_count():
    line = [MapElement("divider", np.array([(-30, 2), (30, 2)], np.float32))]
    search = _Search(line, line, BOUNDS, GRID)
    assert search.agreement(Alignment(2.0, 0.0, 0.0)) == pytest.approx(1, abs=0.005)
    assert search.agreement(Alignment(2.0, 0.75, 0.0)) == pytest.approx(0.5, abs=0.005)


def test_of_equals_the_smaller_motion_wins_and_a_degree_counts_as_a_quarter_metre():
    assert Alignment(-1, 2, -4).size == 4 and Alignment().size == 0


def test_a_moved_element_is_flat_and_keeps_what_it_is():
    ring = MapElement("ped_crossing", np.array([(1, 0, 5), (2, 0, 5), (2, 1, 5), (1, 0, 5)], np.float32), 0.25, True)
    (moved,) = Alignment(10, 20, 90).moved([ring])
    assert (moved.label, moved.score, moved.closed, moved.points_m.dtype) == ("ped_crossing", 0.25, True, np.float32)
    np.testing.assert_allclose(moved.points_m, [(10, 21), (10, 22), (9, 22), (10, 21)], atol=1e-6)


def test_bounds_of_a_text():
    assert AlignBounds.parse("2,1,1.5", "--align") == AlignBounds(2.0, 1.0, 1.5)
    for text in ("2,1", "2,1,x", "2;1;1"):
        with pytest.raises(ValueError, match=f"--align {text}: .*expected metres, metres, degrees"):
            AlignBounds.parse(text, "--align")


def test_no_motion_of_the_first_search_agrees_better_than_the_one_found():
    """Every one of them tried one by one."""
    true = street()
    predicted = blurred(true)
    tried = [Alignment(x, y, yaw) for x, y, yaw in itertools.product(
        np.arange(-1, 1.01, 0.2), np.arange(-0.8, 0.81, 0.2), np.arange(-1, 1.01, 0.5))]  # fmt: skip
    found = best_alignment(predicted, true, AlignBounds(1.0, 0.8, 1.0), GRID)
    best = max(agreement(motion, predicted, true) for motion in tried)
    assert agreement(found, predicted, true) >= best - 0.015


@pytest.mark.parametrize("bounds", [(-1, 0, 0), (0, 11, 0), (0, 0, float("nan"))])
def test_bounds_that_mean_nothing_are_refused(bounds):
    with pytest.raises(ValueError, match="expected 0 to 10"):
        AlignBounds(*bounds)
