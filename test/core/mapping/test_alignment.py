"""Fits to lines of the map: taken where they are better by their own evidence, and where nothing else fits as well."""
from __future__ import annotations

import numpy as np
import pytest
from street_drives import SECOND_NS, built, poses, sets, street

from mapkd_core.geometry import transform_from_yaw
from mapkd_core.mapping.alignment import Lines, aligned
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.types import MapElement


def parallel(*at_y: float) -> Lines:
    x = np.arange(-25.0, 25.0, 0.5)
    count = len(at_y) * len(x)
    xy = np.concatenate([np.column_stack([x, np.full(len(x), y)]) for y in at_y])
    return Lines(xy, np.tile([1.0, 0.0], (count, 1)), np.zeros(count, int), np.ones(count))


def test_a_motion_that_does_not_bring_the_lines_nearer_is_refused() -> None:
    """The first line fits already, and pulling at the second makes it worse."""
    result = aligned(parallel(0.0, 5.0), parallel(0.0, 5.6), np.zeros(2), 1.5, 0.05)
    assert result.refused == "no better than before" and np.array_equal(result.shift, np.eye(4))
    whole = aligned(parallel(0.0, 5.0), parallel(0.6, 5.6), np.zeros(2), 1.5, 0.05)
    assert not whole.refused and whole.way_m(np.zeros(2))[1] == pytest.approx(0.6, abs=0.1)
    assert whole.before_m == pytest.approx(0.5) and whole.after_m < 0.1


def second_pass(elements: list[MapElement], again: list[MapElement], off_m: float) -> MapBuilder:
    builder = built(MapBuilder(), sets(elements, poses(80, 5)))
    builder.begin_drive()
    for k, (shown, pose, _) in enumerate(sets(again, poses(60, 4, back=True), noise_m=0.05)):
        builder.add(shown, transform_from_yaw(0, off_m, 0) @ pose, (60 + k) * SECOND_NS // 10)
    return builder


@pytest.mark.parametrize(("off_m", "left_m"), [(2.3, 0.1), (3.6, 3.6)])
def test_a_pass_that_is_off_by_more_than_the_bound_is_found_within_twice_of_it(off_m: float, left_m: float) -> None:
    y = second_pass(street(), street(), off_m).correction[1, 3] + off_m
    assert abs(y) == pytest.approx(left_m, abs=0.11)


def test_a_pass_between_lines_that_are_all_alike_is_left_alone() -> None:
    x = np.arange(-60.0, 140.0)
    alike = [MapElement("divider", np.column_stack([x, 0 * x + y]).astype(np.float32)) for y in range(-12, 13, 3)]
    builder = second_pass(alike, alike[2:-2], 1.5)
    assert np.abs(builder.correction[:2, 3]).max() < 0.01
    assert any("two shifts fit about as well" in what for what in builder.alignments)
