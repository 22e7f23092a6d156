"""Which ends are joined first: what each cost is for, on lines that are laid out by hand."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

from mapkd_core.vectorizer.evidence import BOUNDARY, CROSSING, Evidence
from mapkd_core.vectorizer.lines import Lines, Points, starts_of
from mapkd_core.vectorizer.linking import _fitting_gaps, link

SHAPE, PEN = (200, 300), 7.0
MAX_GAP, MAX_UNSEEN = 40.0, 20.0
MAIN = -60 + 0j, 0j
"""A line that comes from the left and ends in the middle of the map, where another one is to go on."""


def evidence(everywhere: int) -> Evidence:
    """A map in which nothing tells one gap from another."""
    probability = np.zeros((4, *SHAPE), np.uint8)
    probability[everywhere] = 255
    return Evidence.of(probability, np.full(SHAPE, everywhere, np.uint8))


def joined(*others: tuple[complex, complex], everywhere: int = BOUNDARY) -> int | None:
    """Which of the other straight lines, given by their ends, MAIN goes on with."""
    ways: list[Points] = []
    for begin, end in (MAIN, *others):
        steps = max(round(abs(end - begin) / 3), 1)
        ways.append((150 + 100j + begin + (end - begin) * np.linspace(0, 1, steps + 1)).astype(np.complex64))
    points, classes = np.concatenate(ways), np.full(len(ways), BOUNDARY)
    lines = Lines(
        points, starts_of([len(way) for way in ways]), classes, np.full(len(points), PEN, np.float32),
        np.zeros(len(ways), bool),
    )  # fmt: skip
    found = link(lines, evidence(everywhere), MAX_GAP, MAX_UNSEEN)
    line = next(part.tolist() for part in np.split(found.points, found.starts[1:-1]) if ways[0][-1] in part)
    at = line.index(ways[0][-1])
    beside = set(line[max(at - 1, 0) : at + 2]) - set(ways[0].tolist())
    return next((number for number, way in enumerate(ways[1:]) if beside & set(way.tolist())), None)


AHEAD_FAR = 20 + 0j, 80 + 0j
STUB = 4 + 0j, 13 + 0j
CORNER = 2 - 2j, 2 - 62j


@pytest.mark.parametrize("other", [AHEAD_FAR, STUB, CORNER])
def test_an_end_takes_what_there_is(other: tuple[complex, complex]) -> None:
    assert joined(other) == 0


@pytest.mark.parametrize(
    ("tempting", "right"),
    [
        pytest.param((4 + 3.7j, 64 + 3.7j), AHEAD_FAR, id="what lies ahead before what lies aside"),
        pytest.param((1 + 0j, 54 + 28j), (17 + 0j, 77 + 0j), id="what goes straight on before what turns"),
        pytest.param(STUB, AHEAD_FAR, id="a line before a stub that is nearer"),
        pytest.param(CORNER, AHEAD_FAR, id="straight on before round a corner"),
        pytest.param(CORNER, STUB, id="a stub straight on before round a corner"),
        pytest.param(AHEAD_FAR, (12 + 0j, 72 + 0j), id="the nearer one"),
    ],
)
def test_of_two_joins_an_end_takes_the_likelier(
    tempting: tuple[complex, complex], right: tuple[complex, complex]
) -> None:
    assert joined(tempting, right) == 1
    assert joined(right, tempting) == 0


def test_a_gap_on_plain_background_may_not_be_long() -> None:
    """The same gap is bridged where the class shows in it."""
    assert joined((30 + 0j, 90 + 0j)) == 0
    assert joined((30 + 0j, 90 + 0j), everywhere=0) is None


@pytest.mark.parametrize(("gap_cells", "closes"), [(15, True), (25, False)])
def test_only_over_a_short_gap_does_a_line_become_a_ring(gap_cells: float, closes: bool) -> None:
    """Even where the class shows in the gap, and a second line would be joined over it."""
    half = np.arcsin(gap_cells / 2 / 90)
    way = (150 + 100j + 90 * np.exp(1j * np.linspace(half, 2 * np.pi - half, 180))).astype(np.complex64)
    line = Lines(
        way, starts_of([180]), np.array([BOUNDARY]), np.full(180, PEN, np.float32), np.zeros(1, bool)
    )
    found = link(line, evidence(BOUNDARY), MAX_GAP, MAX_UNSEEN)
    assert found.closed.tolist() == [closes] and (found.points[0] == found.points[-1]) == closes


@pytest.mark.parametrize(("apart", "fit"), [(4.0, False), (3.5, True)])
@pytest.mark.parametrize("swapped", [False, True])
def test_ends_must_not_have_passed_each_other_as_seen_from_either(apart: float, fit: bool, swapped: bool) -> None:
    """From one end the other lies at 110 degrees, from the other at 140: 4 cells are 3.06 behind it."""
    ahead = np.exp(1j * np.deg2rad([0, -30]))
    tips = np.array([0, apart * np.exp(1j * np.deg2rad(110))])
    ways = [tips[0] - 3 * ahead[0] * np.arange(10), tips[1] + 3 * ahead[1] * np.arange(10)]  # both begin there
    points = (100 + 100j + np.concatenate(ways[::-1] if swapped else ways)).astype(np.complex64)
    lines = Lines(points, starts_of([10, 10]), np.full(2, CROSSING), np.full(20, PEN, np.float32), np.zeros(2, bool))
    assert len(_fitting_gaps(lines, MAX_GAP).first) == fit


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_arcs_of_a_ring_close_in_whichever_order_their_gaps_are_joined(order: tuple[int, ...]) -> None:
    gaps = np.deg2rad(9.0 + 2 * np.array(order))  # 6 to 11 cells at a radius of 40
    arcs = [np.linspace(np.pi / 2 * k, np.pi / 2 * (k + 1) - gaps[k], 18) for k in range(4)]
    points = (150 + 100j + 40 * np.exp(1j * np.concatenate(arcs))).astype(np.complex64)
    lines = Lines(
        points, starts_of([18] * 4), np.full(4, BOUNDARY), np.full(72, PEN, np.float32), np.zeros(4, bool)
    )  # fmt: skip
    ring = link(lines, evidence(BOUNDARY), MAX_GAP, MAX_UNSEEN)
    assert ring.closed.tolist() == [True] and ring.points[0] == ring.points[-1] and len(ring.points) == 73
