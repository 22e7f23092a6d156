"""Maps of others that are gone on with: what the drive did not see, or found as it was, stays vertex for vertex."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from street_drives import built, poses, sets, street

from mapkd_core.geometry import distances_along
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.crossing_cells import AGAINST, CELL_M, FAVOR, CrossingCells
from mapkd_core.mapping.line_samples import LineSamples
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.prior import PriorElements
from mapkd_core.mapping.seeding import builder_from, merged
from mapkd_core.mapping.street_map import StreetElement, StreetMap
from mapkd_core.types import MapElement


def surveyed(key: int, label: str, *points: tuple[float, float], closed: bool = False) -> StreetElement:
    corners = np.array([*points, *points[:1]] if closed else points, np.float64)
    solid = np.column_stack([corners, np.full(len(corners), 0.25)])
    return StreetElement(key, label, solid, 1.0, 0, closed, {"lanelet2:subtype": f"kind {key}", "paint": "dashed"})


def box(key: int, x: float, y: float, width: float = 4.0, height: float = 10.0) -> StreetElement:
    corners = (x, y), (x + width, y), (x + width, y + height), (x, y + height)
    return surveyed(key, "ped_crossing", *corners, closed=True)


def town(y: float) -> list[StreetElement]:
    """What a drive's own lines never are: corners, twins, shorter than a sighting, areas that touch each other."""
    lines = [
        surveyed(1, "divider", (0.0, y), (40.0, y), (40.0, y + 30.0), (90.123, y + 30.0)),
        surveyed(2, "divider", (0.0, y + 0.3), (39.0, y + 0.3)),
        surveyed(3, "divider", (0.0, y + 0.3), (-30.0, y + 0.3)),
        surveyed(4, "boundary", (0.0, y + 8), (2.0, y + 8)), surveyed(5, "boundary", (5.0, y + 8), (5.2, y + 8)),
        surveyed(6, "boundary", (50, y), (54, y), (54, y + 4), (50, y + 4), closed=True),
        surveyed(7, "ped_crossing", (60.0, y), (64.0, y), (64.0, y + 3)),
    ]  # fmt: skip
    return lines + [box(10 + k, 4.0 * k, y + 12) for k in range(11)]


def same(one: StreetElement, other: StreetElement) -> bool:
    return not StreetMap((one,)).differences(StreetMap((other,)))


def by_id(builder: MapBuilder) -> dict[int, StreetElement]:
    return {element.id: element for element in builder.street_map().elements}


def test_what_the_drive_never_saw_stays() -> None:
    there = town(200.0)
    builder = built(builder_from(StreetMap(tuple(there))), sets(street(), poses()))
    found = by_id(builder)
    assert all(same(found.pop(element.id), element) for element in there)
    assert sorted(element.label for element in found.values()) == ["boundary"] * 2 + ["divider"] + ["ped_crossing"] * 3


def test_what_the_drive_found_as_it_was_stays() -> None:
    corners = [(-40, 5.1), (17, 5.1), (160, 5.1)], [(-40, 0), (31, 0.1), (160, 0)], [(-40, -5), (160, -5)]
    labels = ("boundary", "divider", "boundary")
    there = [surveyed(k, label, *line) for k, (label, line) in enumerate(zip(labels, corners, strict=True), 1)]
    there += [box(10 + k, 20.0 + 40 * k, -5.0) for k in range(3)]
    there_and_back = [*poses(step_m=4), *poses(step_m=4, back=True)]
    found = by_id(built(builder_from(StreetMap(tuple(there))), sets(street(), there_and_back)))
    assert len(found) == 6 and all(same(found[element.id], element) for element in there)


def test_what_is_gone_goes_and_the_rest_of_its_line_stays() -> None:
    """A divider that was removed from 40 m on is seen so as far as the drive goes, and unknown from there on."""
    line = surveyed(1, "divider", (-300.0, 0.0), (-120.7, 0.0), (20.0, 0.0), (300.0, 0.0), (301.5, 7.0), (420.0, 7.0))
    x = np.arange(-60.0, 41.0)
    shown = [MapElement("divider", np.column_stack([x, 0 * x]).astype(np.float32)), street(300)[0]]
    drive = [pose for pose in poses(160) for _ in range(2)]
    found = by_id(built(builder_from(StreetMap((line,))), sets(shown, drive)))
    pieces = sorted((e for e in found.values() if e.label == "divider"), key=lambda e: e.points_m[0, 0])
    assert [e.attributes for e in pieces] == [line.attributes] * 2 and pieces[0].id == 1
    assert np.array_equal(pieces[0].points_m[:3], line.points_m[:3])
    assert pieces[0].points_m[-1, 0] == pytest.approx(40, abs=3)
    assert np.array_equal(pieces[1].points_m[-3:], line.points_m[-3:])
    assert 150 < pieces[1].points_m[0, 0] < 200 and not pieces[1].points_m[0, 1]


def test_a_line_that_lies_elsewhere_is_moved_where_it_was_seen() -> None:
    line = surveyed(1, "divider", (-400.0, 0.8), (-222.2, 0.8), (400.0, 0.8))
    builder = builder_from(StreetMap((line,)), MappingOptions(align=False))
    built(builder, sets(street()[:3], poses(80, 0.8)))
    (found,) = (e for e in by_id(builder).values() if e.label == "divider")
    assert found.id == 1 and found.attributes == line.attributes
    assert np.array_equal(found.points_m[[0, 1, -1]], line.points_m)
    x, y = found.points_m[:, :2].T
    assert np.interp(50, x, y) < 0.25


def test_a_crossing_that_is_gone_goes_and_those_that_touch_it_stay() -> None:
    there = [box(1, 40.0, -5.0), box(2, 44.0, -5.0), box(3, 36.0, -5.0)]
    left = [MapElement("ped_crossing", e.points_m[:, :2].astype(np.float32), closed=True) for e in there[1:]]
    builder = built(builder_from(StreetMap(tuple(there))), sets([*street()[:3], *left], poses(80, 0.5)))
    found = {key: e for key, e in by_id(builder).items() if e.label == "ped_crossing"}
    assert found.keys() == {2, 3} and all(same(found[e.id], e) for e in there[1:])


def test_the_map_about_the_vehicle_shows_pieces_of_it_with_ids_that_stay() -> None:
    round_trip = surveyed(1, "divider", (-300, 0.0), (300, 0.0), (300, 30.0), (-300, 30.0))
    builder = builder_from(StreetMap((round_trip, box(2, 10, 5), box(3, 14, 5))))
    bounds = (-40.0, -40.0, 40.0, 40.0)
    first, again = ({e.id: e for e in builder.local_map(bounds)} for _ in range(2))
    assert first.keys() == again.keys() and len(first) == 4 and first.keys() > {1, 2, 3}
    lines = [e for e in first.values() if e.label == "divider"]
    assert all(e.attributes == round_trip.attributes and abs(e.points_m[:, 0]).max() <= 40 for e in lines)
    assert all(len(e.points_m) == 2 and np.ptp(e.points_m[:, 0]) > 78 for e in lines)
    assert same(first[3], box(3, 14, 5)) and same(by_id(builder)[1], round_trip)


def test_of_our_own_map_the_unseen_part_of_a_line_stays_and_the_rest_is_averaged_on() -> None:
    first = built(MapBuilder(), sets(street(300, 1 / 600), poses(300, 4, 1 / 600), noise_m=0.1)).street_map()
    again = by_id(built(builder_from(first), sets(street(300, 1 / 600), poses(60, 3, 1 / 600), noise_m=0.4, seed=1)))
    assert again.keys() == {e.id for e in first.elements}
    for before in first.elements:
        now = again[before.id]
        if before.label == "ped_crossing":
            assert same(now, before) == (before.points_m[:, 0].min() > 95)
            continue
        assert now.sightings > before.sightings or now.sightings >= 10
        kept = before.points_m[before.points_m[:, 0] > 100]
        assert len(kept) > 1 and np.array_equal(now.points_m[-len(kept) :], kept)
        at = np.linspace(0, 60)
        assert np.abs(np.interp(at, *now.points_m.T[:2]) - np.interp(at, *before.points_m.T[:2])).max() > 0.02


def test_a_map_far_off_is_merged_as_it_is() -> None:
    first = built(MapBuilder(), sets(street(), poses())).street_map()
    both, found = merged(first, StreetMap(tuple(town(3000.0))))
    assert found.pairs == 0 and all(any(same(e, one) for e in both.elements) for one in first.elements)
    mine = [e for e in both.elements if e.points_m[0, 1] > 1000]
    assert [e.points_m.tolist() for e in mine] == [e.points_m.tolist() for e in town(3000.0)]
    assert [e.attributes for e in mine] == [e.attributes for e in town(3000.0)]


def test_crossings_on_the_edges_of_tiles_keep_their_ids_and_attributes() -> None:
    there = [replace(box(1 + k, 16.0 * (3 * k + 1) - 2.1 + 0.02 * k, 27.1), sightings=5) for k in range(10)]
    builder = builder_from(StreetMap(tuple(there)))
    for cells in builder.crossings.tiles.values():
        cells[FAVOR] *= 1.01  # seen once more, so that none stays as it is
    found = by_id(builder)
    assert {key: element.attributes for key, element in found.items()} == {e.id: e.attributes for e in there}
    assert all(not np.array_equal(found[element.id].points_m, element.points_m) for element in there)


def test_a_part_of_a_line_runs_from_the_first_sample_to_the_last() -> None:
    prior, (line, *_) = PriorElements(), town(0.0)
    prior.add(line, np.arange(121))  # 120 m: a sample a metre
    forth, back = prior.part(0, 20, 60), prior.part(0, 60, 20)
    assert np.array_equal(forth, back[::-1]) and forth[[0, -1], 0].tolist() != back[[0, -1], 0].tolist()
    step = distances_along(line.points_m)[-1] / 120
    assert forth[0] == pytest.approx([20 * step, 0, 0.25]) and any(np.array_equal(v, line.points_m[1]) for v in forth)
    assert np.array_equal(prior.part(0, 0, 120), line.points_m)


@pytest.mark.parametrize(("others", "kept"), [(3, True), (4, False)])
def test_a_line_has_the_attributes_of_that_of_which_half_of_it_was_made(others: int, kept: bool) -> None:
    prior, lines = PriorElements(), LineSamples()
    prior.add(town(0.0)[0])
    lines.of[:7] = [0] * 3 + [-1] * 4
    found = prior.attributes_of(lines, np.arange(3 + others))
    assert found == (town(0.0)[0].attributes if kept else {}) and prior.attributes_of(lines, np.arange(3, 7)) == {}


@pytest.mark.parametrize(("gone", "stays"), [(0.2, True), (0.4, False)])
def test_a_crossing_of_another_map_stays_while_most_of_its_area_does(gone: float, stays: bool) -> None:
    prior, cells, options = PriorElements(), CrossingCells(), MappingOptions()
    crossing = box(1, 2.0, 2.0)
    prior.add(crossing)
    cells.insert(crossing.points_m, 3.0, 0.0, 10)
    prior.note_crossings(cells)
    (tile,) = cells.tiles.values()
    rows = round((2 + 10 * gone) / CELL_M)
    tile[AGAINST, :rows] += 100.0
    kept = prior.kept(LineSamples(), cells, options)
    assert bool(kept.whole) == stays
