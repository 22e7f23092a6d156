"""Maps that are gone on with, and maps that are merged."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from street_drives import built, poses, sets, street

from mapkd_core.geometry import apply, transform_from_yaw
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.seeding import WEIGHT_A_SIGHTING, builder_from, lines_of, merged, moved
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap


@pytest.fixture(scope="module")
def first() -> StreetMap:
    return built(MapBuilder(), sets(street(), poses(80))).street_map()


@pytest.fixture(scope="module")
def second() -> StreetMap:
    """The same street from its other end, and further."""
    return built(MapBuilder(), sets(street(200), poses(200)[20:])).street_map()


def test_a_map_that_was_saved_is_gone_on_with(first: StreetMap) -> None:
    again = builder_from(first)
    same = again.street_map()
    assert {e.id: (e.label, e.closed) for e in same.elements} == {e.id: (e.label, e.closed) for e in first.elements}
    for one, other in zip(sorted(same.elements, key=lambda e: e.id), sorted(first.elements, key=lambda e: e.id),
                          strict=True):  # fmt: skip
        assert one.score == pytest.approx(other.score, abs=0.05) and one.sightings == other.sightings
        assert np.abs(one.points_m.min(0) - other.points_m.min(0)).max() < 0.5
    built(again, sets(street(200), poses(200)[30:]))
    ids = {e.id: np.ptp(e.points_m[:, 0]) for e in again.street_map().elements if e.label != "ped_crossing"}
    before = {e.id: np.ptp(e.points_m[:, 0]) for e in first.elements if e.label != "ped_crossing"}
    assert ids.keys() == before.keys() and all(ids[key] > before[key] + 60 for key in ids)


def test_what_is_gone_from_the_street_goes_from_the_map(first: StreetMap) -> None:
    again = built(builder_from(first), sets([e for e in street() if e.label != "divider"], [*poses(80)] * 3))
    assert first.of("divider")
    assert all(e.points_m[:, 0].max() < 5 or e.points_m[:, 0].min() > 70 for e in again.street_map().of("divider"))


def test_two_maps_become_one(first: StreetMap, second: StreetMap) -> None:
    shift = transform_from_yaw(1.0, -2.4, 0.03)
    way = apply(shift, second.paths_m[0]).tolist()
    elements = tuple(moved(e, shift) for e in second.elements)
    other = replace(second, elements=elements, metadata={**second.metadata, "paths_m": [way]})
    both, found = merged(first, other)
    assert not found.refused
    assert {e.id for e in first.elements} <= {e.id for e in both.elements}
    (divider,) = both.of("divider")
    assert np.ptp(divider.points_m[:, 0]) > 230 and np.abs(divider.points_m[:, 1]).max() < 0.4
    assert len(both.of("boundary")) == 2 and len(both.of("ped_crossing")) == 5
    assert len(both.paths_m) == 2 and np.array_equal(both.paths_m[0], first.paths_m[0])
    assert np.abs(both.paths_m[1] - second.paths_m[0])[:, 1].max() < 0.3
    assert both.metadata["sets"] == first.metadata["sets"] + second.metadata["sets"]


def test_maps_that_lie_apart_are_put_side_by_side(first: StreetMap) -> None:
    far = replace(first, elements=tuple(moved(e, transform_from_yaw(5000, 0, 0)) for e in first.elements))
    both, found = merged(first, far)
    assert found.pairs == 0 and len(both.elements) == 2 * len(first.elements)


def test_maps_that_do_not_fit_are_refused(first: StreetMap) -> None:
    across = replace(first, elements=tuple(moved(e, transform_from_yaw(0, 0, 0.2)) for e in first.elements))
    with pytest.raises(ValueError, match="do not fit"):
        merged(first, across)


def test_maps_that_fit_in_two_ways_are_refused() -> None:
    def ladder(shift: float, reach: float = 9.0) -> StreetMap:
        x = np.arange(0.0, 100.0)
        lines = [np.column_stack([x, np.full(100, y + shift), 0 * x]) for y in np.arange(-reach, reach + 1, 3)]
        return StreetMap(tuple(StreetElement(k, "divider", line, 0.8, 20) for k, line in enumerate(lines)))

    with pytest.raises(ValueError, match="two shifts fit about as well"):
        merged(ladder(0.0), ladder(1.5, 3.0))
    both, found = merged(ladder(0.0), ladder(0.4))
    assert not found.refused and len(both.elements) == 7


def test_maps_in_other_frames_are_refused(first: StreetMap) -> None:
    for other in (replace(first, frame="odom"), replace(first, origin=MapOrigin(1, 2))):
        with pytest.raises(ValueError, match="one frame"):
            merged(first, other)


def divider(score: float, sightings: int, key: int = 1) -> StreetElement:
    points = np.column_stack([np.arange(0.0, 60.0), np.zeros(60), np.zeros(60)])
    return StreetElement(key, "divider", points, score, sightings)


@pytest.mark.parametrize(("score", "sightings"), [(0.6, 5), (0.5, 8), (0.8, 40)])
def test_a_map_that_was_saved_keeps_its_scores(score: float, sightings: int) -> None:
    (again,) = builder_from(StreetMap((divider(score, sightings),))).street_map().elements
    builder = builder_from(StreetMap((divider(score, sightings),)))
    builder.lines.touched[:] = True  # seen again, so that it is made of its samples anew
    builder.lines.xyz_m[:, 1] += 0.1
    (anew,) = builder.street_map().elements
    assert again.score == score and anew.score == pytest.approx(score, abs=0.005)
    assert anew.sightings == sightings and not np.array_equal(anew.points_m, again.points_m)


def test_what_speaks_against_a_line_in_either_map_counts_in_both() -> None:
    both, _ = merged(StreetMap((divider(0.9, 10),)), StreetMap((divider(0.5, 20, 2),)))
    (found,) = both.elements
    favor, against = [], []
    for score, seen in ((0.9, 10), (0.5, 20)):
        share = score * (seen + 1) / seen
        favor.append(WEIGHT_A_SIGHTING * seen)
        against.append(favor[-1] * (1 - share) / share)
    expected = sum(favor) / (sum(favor) + sum(against)) * 30 / 31
    assert found.sightings == 30 and found.score == pytest.approx(expected, abs=0.01) and expected < 0.65


def test_edges_of_crossings_fit_onto_edges_of_crossings_alone() -> None:
    ring = np.array([[0, 0, 0], [4, 0, 0], [4, 10, 0], [0, 10, 0], [0, 0, 0]], np.float64)
    found = lines_of([StreetElement(2, "ped_crossing", ring, closed=True), divider(0.5, 3)])
    assert found.label.tolist() == [0] * 119 + [1] * 57
    assert found.xy_m[found.label == 1].max(0) == pytest.approx([4, 10])
