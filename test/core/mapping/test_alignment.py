"""Fits to lines of the map: taken where they are better by their own evidence, and where nothing else fits as well."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from street_drives import SECOND_NS, built, poses, sets, street

from mapkd_core.geometry import transform_from_yaw
from mapkd_core.mapping.alignment import HOLD, Lines, aligned, fitted
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


def crossed(turn: float = 0.0, way_m: tuple[float, float] = (0.0, 0.0)) -> Lines:
    """A line along x and one along y, turned about (0, 0) and moved; so dense that little holds them back."""
    at = np.arange(-20.0, 20.0, 0.05)
    level = np.concatenate([np.column_stack([at, 0 * at - 5]), np.column_stack([0 * at + 3, at])])
    way = np.repeat([[1.0, 0.0], [0.0, 1.0]], len(at), axis=0)
    rotation = transform_from_yaw(0, 0, turn)[:2, :2]
    label = np.repeat([0, 2], len(at))
    return Lines(level @ rotation.T + way_m, way @ rotation.T, label, np.ones(len(level)))


@pytest.mark.parametrize(("bound_m", "bound_rad", "refused"), [
    (3.0, 0.15, ""), (3.0, 0.05, "beyond the bounds: 0.00 m and 5."), (0.7, 0.15, "beyond the bounds: 0.8"),
])  # fmt: skip
def test_a_motion_beyond_the_bounds_is_refused(bound_m: float, bound_rad: float, refused: str) -> None:
    seen = crossed(-0.1) if bound_m > 1 else crossed(0.0, (-0.6, -0.6))
    result = aligned(seen, crossed(), np.zeros(2), bound_m, bound_rad)
    assert result.refused.startswith(refused) and bool(result.refused) == bool(refused)


def test_it_does_not_matter_which_way_lines_are_drawn() -> None:
    known = crossed()
    turned = replace(known, along=-known.along)
    results = [aligned(crossed(-0.02, (0.3, 0.2)), lines, np.zeros(2), 1.5, 0.1) for lines in (known, turned)]
    assert not results[0].refused and np.allclose(results[0].shift, results[1].shift)
    assert results[0].pairs == results[1].pairs > 100


def test_what_weighs_more_decides() -> None:
    seen = parallel(0.0, 5.0)
    weighed = replace(seen, weight=np.repeat([1.0, 0.05], len(seen.weight) // 2))
    result = aligned(weighed, parallel(0.4, 4.6), np.zeros(2), 1.5, 0.05)
    assert not result.refused and result.way_m(np.zeros(2))[1] > 0.25
    evenly = aligned(seen, parallel(0.4, 4.6), np.zeros(2), 1.5, 0.05)
    assert abs(evenly.way_m(np.zeros(2))[1]) < 0.01


def test_a_line_that_lies_elsewhere_draws_little() -> None:
    result = aligned(parallel(0, 6, 12, 18), parallel(0.2, 6.2, 12.2, 19.4), np.zeros(2), 4.0, 0.0001)
    assert not result.refused and result.way_m(np.zeros(2))[1] < 0.3, "not the mean, 0.5"


def test_a_motion_is_held_back_by_so_many_pairs() -> None:
    """At rest a hundred pairs draw by their residual, each less the farther it is off, as twenty hold at none."""
    for off_m in (0.3, 0.5):
        result = aligned(parallel(0.0), parallel(off_m), np.zeros(2), 1.5, 0.05)
        way = result.way_m(np.zeros(2))[1]
        residual = off_m - way
        assert not result.refused and result.pairs == 100
        assert 100 * residual / (1 + (residual / 0.3) ** 2) == pytest.approx(HOLD * way, rel=0.05)


def test_a_far_shift_and_a_turn_are_found_together() -> None:
    """Every point comes to its place, not only the middle of them."""
    known, motion = crossed(), transform_from_yaw(3.1, -2.2, 0.06)
    back = np.linalg.inv(motion)
    seen = replace(known, xy_m=known.xy_m @ back[:2, :2].T + back[:2, 3], along=known.along @ back[:2, :2].T)
    result = fitted(seen, known, 5.0, 0.1)
    placed = seen.xy_m @ result.shift[:2, :2].T + result.shift[:2, 3]
    assert not result.refused and np.linalg.norm(placed - known.xy_m, axis=1).max() < 0.1


def test_shifts_along_all_lines_are_no_second_way_to_fit() -> None:
    assert not fitted(parallel(0.0, 5.0), parallel(0.5, 5.5), 4.0, 0.05).refused
    lines = crossed()
    across = fitted(lines, replace(lines, xy_m=lines.xy_m + 0.5), 4.0, 0.05)
    assert not across.refused and across.way_m(np.zeros(2)) == pytest.approx([0.5, 0.5], abs=0.1)
