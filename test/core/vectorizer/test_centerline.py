"""From chains of cells to centre lines, one step after the other, beside slow restatements and shapes by hand."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.vectorizer.centerline import STEP_CELLS, centered, resample, smooth, split_at_corners, straighten_ends
from mapkd_core.vectorizer.evidence import BOUNDARY, CROSSING, Evidence
from mapkd_core.vectorizer.lines import Lines, starts_of

SHAPE = (60, 160)


def flat(*ways: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(ways).astype(np.complex64), starts_of([len(way) for way in ways])


def lines(*ways: np.ndarray, label: int = CROSSING) -> Lines:
    points, starts = flat(*ways)
    classes = np.full(len(ways), label)
    return Lines(points, starts, classes, np.arange(len(points), dtype=np.float32), np.zeros(len(ways), bool))


def turned(degrees: float, count: int = 12) -> np.ndarray:
    """A way along a row that turns in its middle."""
    legs = np.arange(count + 1) * STEP_CELLS
    return np.concatenate([20 + 20j + legs[:-1], 20 + 20j + legs[-1] + legs * np.exp(1j * np.deg2rad(degrees))])


def test_an_edge_of_a_crossing_is_cut_where_it_turns_sharply() -> None:
    way, straight = turned(80), np.arange(0, 60, 3) + 5j
    found = split_at_corners(lines(straight, way, straight), CROSSING)
    assert found.starts.tolist() == [0, 20, 32, 45, 65] and found.classes.tolist() == [CROSSING] * 4
    assert found.points.tolist() == lines(straight, way, straight).points.tolist() and len(found.closed) == 4
    assert found.points[32] == way[12], "the corner begins the second piece"


@pytest.mark.parametrize("degrees", [-150, -60, 60, 150])
def test_a_corner_is_cut_whichever_way_it_turns(degrees: float) -> None:
    assert len(split_at_corners(lines(turned(degrees)), CROSSING)) == 2


def test_what_is_cut_and_what_is_not() -> None:
    arc = 60 + 60j + 60 * np.exp(1j * np.arange(0, 2, 0.05))
    for way in (turned(30), turned(0), arc):
        assert split_at_corners(lines(way), CROSSING).starts.tolist() == [0, len(way)]
    assert len(split_at_corners(lines(turned(40)), CROSSING)) == 2
    other = lines(turned(80), label=BOUNDARY)
    assert split_at_corners(other, CROSSING) is other
    both = lines(turned(80), turned(80))
    both.classes[0] = BOUNDARY
    assert split_at_corners(both, CROSSING).starts.tolist() == [0, 25, 37, 50]
    twice = np.concatenate([turned(80), turned(80)[-1] + STEP_CELLS * (1 + np.arange(10))])
    assert split_at_corners(lines(twice), CROSSING).starts.tolist() == [0, 12, 24, 35]


def test_a_corner_between_two_points_is_cut_once() -> None:
    left = np.array([-2 - 3 * k - 4j * k for k in range(11, -1, -1)])
    way = 50 + 50j + np.concatenate([left, -left[::-1].conj()])
    assert split_at_corners(lines(way), CROSSING).starts.tolist() == [0, 12, 24], "both turn as much"


def test_the_ends_come_in_line_with_what_lies_before_them() -> None:
    way = np.arange(0, 40, 2).astype(complex)
    bent = way.copy()
    bent[[0, 1, -2, -1]] += [3j, 1j, -2j, -5j]
    found = straighten_ends(*flat(way + 10j, bent, bent[:6]))
    assert found[:20].tolist() == (way + 10j).tolist()
    np.testing.assert_allclose(found[20:40], way, atol=1e-5)
    assert found[40:].tolist() == bent[:6].tolist(), "too short to tell a direction"
    slope = np.exp(0.5j)
    np.testing.assert_allclose(straighten_ends(*flat(slope * bent)), slope * way, atol=1e-4)


def test_a_chain_becomes_points_three_cells_apart_between_its_ends() -> None:
    row, diagonal = np.arange(10, 52) + 4j, np.arange(0, 31) * (1 + 1j)
    points, starts = resample(*flat(row, diagonal, np.array([7 + 7j, 8 + 7j])), radius=3)
    assert starts.tolist() == [0, 15, 30, 32] and points[[0, 14, 15, 29]].tolist() == [10 + 4j, 51 + 4j, 0, 30 + 30j]
    steps = np.abs(np.diff(points[:15])), np.abs(np.diff(points[15:30]))
    assert all(2 <= step.min() and step.max() <= 4.3 and step.mean() == pytest.approx(3, abs=0.1) for step in steps)
    assert points[30:].tolist() == [7 + 7j, 8 + 7j]


def test_points_of_a_staircase_are_means_over_cells_each_way() -> None:
    stairs = np.arange(30) + 1j * (np.arange(30) // 2)
    points, _ = resample(*flat(stairs), radius=3)
    for point in points[1:-1]:
        place = int(np.rint(point.real))
        reach = min(place, 29 - place, 3)
        assert complex(point) == pytest.approx(stairs[place - reach : place + reach + 1].mean(), abs=1e-5)


@pytest.mark.parametrize("radius", [1, 2])
def test_moving_averages_narrow_toward_the_ends(radius: int) -> None:
    rng = np.random.default_rng(radius)
    ways = [rng.normal(size=n) + 1j * rng.normal(size=n) for n in (9, 2, 5)]
    points, starts = flat(*ways)
    widths = rng.uniform(3, 9, len(points)).astype(np.float32)
    mean, wide = smooth(points, widths, starts, radius)
    at = 0
    for way in ways:
        for k in range(len(way)):
            reach = min(k, len(way) - 1 - k, radius)
            assert complex(mean[at + k]) == pytest.approx(way[k - reach : k + reach + 1].mean(), abs=1e-5)
            assert wide[at + k] == pytest.approx(widths[at + k - reach : at + k + reach + 1].mean(), rel=1e-5)
        at += len(way)


def drawn(*rows: float, half: float = 3.0) -> Evidence:
    """Bands along rows, of a whole probability."""
    probability = np.zeros((4, *SHAPE), np.uint8)
    for row in rows:
        probability[BOUNDARY, np.abs(np.arange(SHAPE[0]) - row) <= half] = 255
    return Evidence.of(probability, np.where(probability[BOUNDARY] > 0, BOUNDARY, 0).astype(np.uint8))


@pytest.mark.parametrize(("aside", "middle"), [(-2, 29.5), (-1, 30), (0, 30), (1, 30), (2, 30.5)])
def test_points_move_to_the_middle_of_the_band_and_measure_its_width(aside: float, middle: float) -> None:
    """Of the band, seven cells, four to either side are looked at."""
    points, starts = flat(np.arange(20, 80, 3) + 1j * (30 + aside))
    found, widths = centered(points, starts, np.full(len(points), BOUNDARY), drawn(30))
    np.testing.assert_allclose(found.imag, middle, atol=1e-4)
    np.testing.assert_allclose(found.real, points.real, atol=1e-4)
    np.testing.assert_allclose(widths, 7 if abs(aside) < 2 else 6, atol=0.01)


def test_a_point_moves_two_cells_at_most_and_none_where_its_class_is_not() -> None:
    points, starts = flat(np.arange(20, 80, 3) + 27j)
    found, _ = centered(points, starts, np.full(len(points), BOUNDARY), drawn(30))
    assert 28 < found.imag.min() and found.imag.max() <= 29.0001
    still, widths = centered(points, starts, np.full(len(points), CROSSING), drawn(30))
    assert still.tolist() == points.tolist() and not widths.any()


@pytest.mark.parametrize("other", [26, 34])
def test_a_parallel_line_does_not_pull(other: int) -> None:
    """On either side: behind a valley the profile is at most as high as the valley."""
    points, starts = flat(np.arange(20, 80, 3) + 30j)
    alone, beside = (
        centered(points, starts, np.full(len(points), BOUNDARY), evidence)[0].imag
        for evidence in (drawn(30, half=1), drawn(30, other, half=1))
    )
    np.testing.assert_allclose(alone, 30, atol=1e-4)
    np.testing.assert_allclose(beside, 30, atol=1e-4)


@pytest.mark.parametrize("row", [1, 2, SHAPE[0] - 3, SHAPE[0] - 2])
def test_beyond_the_image_there_is_no_line(row: int) -> None:
    """At its first row as at its last: only cells that are there count, and draw the point to their middle."""
    points, starts = flat(np.arange(20, 80, 3) + 1j * row)
    found, widths = centered(points, starts, np.full(len(points), BOUNDARY), drawn(row))
    cells = np.arange(max(row - 3, 0), min(row + 4, SHAPE[0]))
    np.testing.assert_allclose(found.imag, cells.mean(), atol=1e-4)
    np.testing.assert_allclose(widths, len(cells), atol=0.01)


def test_beyond_the_first_and_last_column_there_is_none_either() -> None:
    for col in (1, SHAPE[1] - 2):
        probability = np.zeros((4, *SHAPE), np.uint8)
        probability[BOUNDARY, :, max(col - 3, 0) : col + 4] = 255
        evidence = Evidence.of(probability, np.where(probability[BOUNDARY] > 0, BOUNDARY, 0).astype(np.uint8))
        points, starts = flat(col + 1j * np.arange(10, 50, 3))
        found, widths = centered(points, starts, np.full(len(points), BOUNDARY), evidence)
        cells = np.arange(max(col - 3, 0), min(col + 4, SHAPE[1]))
        np.testing.assert_allclose(found.real, cells.mean(), atol=1e-4)
        np.testing.assert_allclose(widths, len(cells), atol=0.01)
