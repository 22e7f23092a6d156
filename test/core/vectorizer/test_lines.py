"""Polylines in flat arrays, beside loops over one line after the other."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.vectorizer.evidence import BOUNDARY, CROSSING, Evidence
from mapkd_core.vectorizer.lines import (
    Lines,
    consecutive,
    first_and_last,
    headings,
    pairs_of,
    points_of,
    starts_of,
    unit,
)
from mapkd_core.vectorizer.linking import extend_ends, overlapping

WAYS = [
    np.array([0, 3 + 4j, 3 + 10j], np.complex64),
    np.array([50, 49, 47, 44, 40, 35, 29, 22 + 5j], np.complex64),
    np.array([7 + 7j, 9 + 7j], np.complex64),
]


def lines(ways: list[np.ndarray], label: int = BOUNDARY, width: float = 6.0) -> Lines:
    points = np.concatenate(ways).astype(np.complex64)
    starts, classes = starts_of([len(way) for way in ways]), np.full(len(ways), label)
    return Lines(points, starts, classes, np.full(len(points), width, np.float32), np.zeros(len(ways), bool))


def test_lengths_tips_and_classes_of_each_line() -> None:
    found = lines(WAYS)
    assert found.counts.tolist() == [3, 8, 2] and len(found) == 3
    assert found.lengths == pytest.approx([float(np.abs(np.diff(way)).sum()) for way in WAYS], rel=1e-6)
    assert found.points[found.tips].tolist() == [way[0] for way in WAYS] + [way[-1] for way in WAYS]
    assert found.point_classes.tolist() == [BOUNDARY] * 13 and found.tip_classes.tolist() == [BOUNDARY] * 6


def test_lines_that_are_kept_and_other_ends() -> None:
    found = lines(WAYS)
    kept = found.selected(np.array([True, False, True]))
    assert kept.points.tolist() == [*WAYS[0], *WAYS[2]] and kept.starts.tolist() == [0, 3, 5] and len(kept.widths) == 5
    assert found.selected(np.ones(3, bool)) is found
    moved = found.with_tips(np.arange(6).astype(np.complex64))
    assert [moved.points[at] for at in (0, 3, 11, 2, 10, 12)] == [0, 1, 2, 3, 4, 5]
    assert found.points[0] == 0 and found.points[2] == 3 + 10j, "the lines themselves stay"
    assert moved.points[4:10].tolist() == WAYS[1][1:7].tolist()


def test_an_ends_heading_is_taken_over_five_points_or_all_there_are() -> None:
    found = headings(lines(WAYS))
    for place, (tip, inner) in enumerate([(0, 2), (0, 5), (0, 1), (-1, 0), (-1, 2), (-1, 0)]):
        step = complex(WAYS[place % 3][tip] - WAYS[place % 3][inner])
        assert complex(found[place]) == pytest.approx(step / abs(step), rel=1e-5)


def test_places_in_flat_arrays() -> None:
    starts = starts_of([3, 1, 2])
    assert starts.tolist() == [0, 3, 4, 6]
    assert consecutive(np.array([10, 50, 7]), starts).tolist() == [10, 11, 12, 50, 7, 8]
    first, last = first_and_last(starts)
    assert first.tolist() == [0, 0, 0, 3, 4, 4] and last.tolist() == [2, 2, 2, 3, 5, 5]


def test_points_and_pairs_are_the_same_numbers() -> None:
    pairs = pairs_of(WAYS[0])
    assert pairs.tolist() == [[0, 0], [3, 4], [3, 10]] and points_of(pairs).tolist() == WAYS[0].tolist()
    assert unit(np.array([3 + 4j, 0], np.complex64)).tolist() == pytest.approx([0.6 + 0.8j, 0])


def strip(cols: slice, label: int = BOUNDARY, shape: tuple[int, int] = (40, 120)) -> Evidence:
    """A class drawn seven rows broad, about row 20."""
    class_map = np.zeros(shape, np.uint8)
    class_map[17:24, cols] = label
    return Evidence.of(np.zeros((4, *shape), np.uint8), class_map)


def way(first: float, last: float, row: float = 20) -> np.ndarray:
    return np.arange(first, last + 0.1, 3) + 1j * row


def test_a_line_ends_half_its_width_before_its_class_does() -> None:
    found = extend_ends(lines([way(40, 70)]), strip(slice(30, 86)), 0.5, 20.0)
    assert found.points[[0, -1]].real == pytest.approx([29.5 + 3, 85.5 - 3], abs=0.5)
    assert (found.points.imag == 20).all() and found.points[1:-1].tolist() == way(40, 70)[1:-1].tolist()
    ring = lines([way(40, 70)])
    ring.closed[:] = True
    assert extend_ends(ring, strip(slice(30, 86)), 0.5, 20.0).points.tolist() == ring.points.tolist()


def test_a_line_that_leaves_the_grid_ends_before_its_border() -> None:
    for inset in (0.5, 2.0):
        found = extend_ends(lines([way(3, 117)]), strip(slice(0, 120)), inset, 20.0)
        assert found.points[[0, -1]].real == pytest.approx([-0.5 + inset, 119.5 - inset], abs=0.6)


def test_an_edge_of_a_crossing_runs_on_to_a_curb_close_ahead() -> None:
    evidence = strip(slice(30, 80), CROSSING)
    evidence.flags[:, 86:93] = BOUNDARY  # its own cells begin at column 85; the rim moves all by one
    found = extend_ends(lines([way(40, 70)], CROSSING), evidence, 0.5, 20.0)
    assert found.points[-1].real == pytest.approx(84.5 + 3.5, abs=0.6)
    assert found.points[0].real == pytest.approx(29.5 + 3, abs=0.5)


@pytest.mark.parametrize(
    ("short", "lies_under"),
    [(way(50, 59, 22), True), (way(50, 59, 24), False), (way(100, 109), False), (way(94, 103), False)],
)
def test_a_short_line_within_half_a_pen_of_a_longer_one_lies_under_it(short: np.ndarray, lies_under: bool) -> None:
    both = lines([way(10, 90), short])
    seen = both.lengths
    assert overlapping(both, seen, 30.0).tolist() == [False, lies_under]
    assert not overlapping(both, seen, 5.0).any(), "it was seen over more than that"
    other = lines([way(10, 90), short])
    other.classes[0] = CROSSING
    assert not overlapping(other, seen, 30.0).any(), "another class"
