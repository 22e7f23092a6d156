"""Elements with ids and scores, out of the evidence of a few sets."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.map_elements import SAME_CROSSING_M, ElementMaker
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.types import MapElement

RING = np.array([[2, 1], [6, 1], [6, 11], [2, 11], [2, 1]], np.float32)


def standing(count: int, *elements: MapElement) -> MapBuilder:
    """The builder of a vehicle that sees the same thing again and again."""
    builder = MapBuilder()
    for k in range(count):
        builder.add(list(elements), np.eye(4), k * 10_000_000_000)
    return builder


def crossing(x_m: float) -> MapElement:
    return MapElement("ped_crossing", RING + np.float32([x_m, 0]), 0.8, True)


def test_a_score_is_the_share_for_it_less_while_seen_seldom() -> None:
    line = MapElement("divider", np.array([[-10, 3], [10, 3]], np.float32), 0.8)
    builder = standing(6, line, crossing(0.0))
    assert {e.label: (e.sightings, e.score) for e in builder.street_map().elements} == {
        "divider": (6, pytest.approx(6 / 7)), "ped_crossing": (6, pytest.approx(6 / 7)),
    }  # fmt: skip
    builder.add([], np.eye(4), 60_000_000_000)
    for element in builder.street_map().elements:
        assert 0.7 < element.score / (6 / 7) < 0.95 and element.sightings == 6


def test_the_longest_part_keeps_the_id() -> None:
    maker = ElementMaker(MappingOptions())
    maker.next_id = 50
    held = [np.array(ids) for ids in ([5, 5], [5, 5, 5, 0], [7, 9, 9], [0, 0], [7])]
    assert maker._ids(held, {9}) == [50, 5, 7, 51, 52]
    assert maker._ids([np.array([5])], {5}) == [53]


@pytest.mark.parametrize(("away_m", "same"), [(SAME_CROSSING_M - 0.5, True), (SAME_CROSSING_M + 0.5, False)])
def test_a_crossing_keeps_its_id_where_its_middle_stays(away_m: float, same: bool) -> None:
    builder = standing(6, crossing(0.0))
    builder.maker.next_id = 8
    builder.maker.remember_crossing(7, np.array([4.0 + away_m, 6.0]))
    (found,) = builder.street_map().elements
    assert found.id == (7 if same else 8)


def test_a_crossing_is_remembered_at_its_newest_place_alone() -> None:
    maker = ElementMaker(MappingOptions())
    for x in (15.9, 16.1, 17.0):
        maker.remember_crossing(7, np.array([x, 5.0]))
    (place,) = [known[7] for known in maker._crossings.values() if 7 in known]
    assert place.tolist() == [17.0, 5.0]
