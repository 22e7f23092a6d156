"""Samples of a map's lines: what one sighting does to one sample, restated number by number."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.data.polylines import Range
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.mapping.line_samples import EDGE_SLACK_M, LEAST_SCORE, MOST_WEIGHT, LineSamples
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.sighting import MISSED_BESIDE_M, Sighting, sighting
from mapkd_core.types import CLASSES, MapElement

OPTIONS = MappingOptions()
VIEW = Range((-30.0, 30.0), (-15.0, 15.0))
DIVIDER = CLASSES.index("divider")


def line(*ends: tuple[float, float], score: float = 0.8) -> MapElement:
    return MapElement("divider", np.array(ends, np.float32), score)


def shown(*elements: MapElement, z_m: float = 0.0) -> Sighting:
    """What a vehicle at the map's origin sees, which stands so high."""
    return sighting(elements, transform_from_yaw(0, 0, 0, z_m), VIEW, OPTIONS.far_m)


def samples(*places: tuple[float, float], way: tuple[float, float] = (1.0, 0.0), weight: float = 2.0,
            favor: float = 2.0, seen: int = 3, z_m: float = 2.0) -> LineSamples:  # fmt: skip
    """Samples at these places that all run one way."""
    found, count = LineSamples(), len(places)
    found.insert(
        np.column_stack([np.array(places, float), np.full(count, z_m)]), np.tile(np.float32(way), (count, 1)),
        np.full(count, DIVIDER), np.full(count, weight), np.full(count, favor), np.full(count, 0.5),
        np.full(count, seen),
    )  # fmt: skip
    return found


def update(lines: LineSamples, sight: Sighting) -> None:
    lines.update(sight, lines.match(sight, OPTIONS), OPTIONS, 0.0)


def distance_weight(x: float, y: float) -> float:
    return 1 / (1 + (x * x + y * y) / OPTIONS.far_m**2)


@pytest.mark.parametrize("score", [0.8, 0.01])
def test_a_sighting_draws_a_sample_towards_it_by_its_weight(score: float) -> None:
    lines = samples((5.0, 0.3))
    update(lines, shown(line((-20, 0), (20, 0), score=score), z_m=5.0))
    weight = distance_weight(5, 0) * max(score, LEAST_SCORE)
    gain = weight / (2 + weight)
    assert lines.xyz_m[0] == pytest.approx([5.0, 0.3 * (1 - gain), 2 + gain * 3], abs=1e-5)
    assert lines.weight[0] == pytest.approx(2 + weight) and lines.favor[0] == pytest.approx(2 + weight)
    assert lines.score[0] == pytest.approx(0.5 + gain * (score - 0.5)) and lines.seen[0] == 4
    assert lines.along[0] == pytest.approx([1, 0]) and lines.touched[0] and not lines.against[0]


def test_a_sample_stays_easy_to_move_however_often_it_was_seen() -> None:
    lines = samples((5.0, 0.3), weight=MOST_WEIGHT, favor=100.0)
    update(lines, shown(line((-20, 0), (20, 0))))
    assert lines.weight[0] == MOST_WEIGHT and lines.favor[0] > 100


def test_it_does_not_matter_which_way_a_line_is_drawn() -> None:
    lines = samples((5.0, 0.3))
    update(lines, shown(line((20, 2), (-20, -2))))
    assert len(lines) > 1 and lines.seen[0] == 4
    there = np.array([20, 2]) / np.hypot(20, 2)
    assert lines.along[0] @ there > np.cos(np.arctan2(2, 20)) and lines.along[0, 0] > 0.9


def test_a_line_that_crosses_a_sample_does_not_show_it() -> None:
    lines = samples((5.0, 0.0), way=(0.0, 1.0))
    match = lines.match(shown(line((-20, 0), (20, 0))), OPTIONS)
    assert not len(match.sample) and not match.explained.any()


def test_a_sighting_is_for_the_nearest_line_and_its_twins_alone() -> None:
    lines = samples((5.0, 0.1), (5.0, 0.6), (5.0, 1.1))
    match = lines.match(shown(line((-20, 0), (20, 0))), OPTIONS)
    assert sorted(match.sample.tolist()) == [0, 1]


def test_what_is_not_seen_is_doubted_less_beside_the_vehicle_and_not_at_all_at_the_edge() -> None:
    places = ((5.0, 0.0), (5.0, 8.0), (29.5, 0.0), (50.0, 0.0))
    lines = samples(*places)
    update(lines, shown())
    for number, (x, y) in enumerate(places):
        doubt = OPTIONS.against * distance_weight(x, y) / (1 + (y / MISSED_BESIDE_M) ** 4) if x < 29 else 0.0
        assert lines.against[number] == pytest.approx(doubt), places[number]
        assert lines.touched[number] == (doubt > 0)
    assert lines.against[1] < 0.06 * lines.against[0]


def test_of_two_samples_that_have_come_together_the_weaker_one_goes() -> None:
    for weak in (0, 1):
        lines = samples((5.0, 0.1), (5.1, -0.1))
        lines.favor[weak] = 0.5
        update(lines, shown(line((-20, 0), (20, 0))))
        left = lines.all()[np.abs(lines.xyz_m[lines.all(), 0] - 5) < 0.3]
        assert lines.favor[left] == pytest.approx([2 + 0.8 * distance_weight(5, 0)])


@pytest.mark.parametrize(("beyond_m", "taken"), [(EDGE_SLACK_M - 0.5, True), (EDGE_SLACK_M + 0.5, False)])
def test_a_line_a_little_beyond_the_view_is_taken(beyond_m: float, taken: bool) -> None:
    lines, y = LineSamples(), VIEW.y_m[1] + beyond_m
    update(lines, shown(line((-5, y), (5, y))))
    assert (len(lines) > 0) == taken


def test_a_sample_belongs_to_the_map_from_so_many_sightings_on() -> None:
    lines = samples(*((float(x), 0.0) for x in range(3)))
    lines.seen[:3] = OPTIONS.least_sightings + np.array([-1, 0, 1])
    assert lines.accepted(lines.all(), OPTIONS).tolist() == [1, 2]
    lines.against[:3] = lines.favor[:3] * (1 / OPTIONS.least_share - 1) * np.array([1, 1.01, 0.99])
    assert lines.accepted(lines.all(), OPTIONS).tolist() == [2]
