"""Lanes between lines: where they are, what they share, which way they go."""
from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from street_maps import bent, element, street, two_blocks

from mapkd_core.map_formats import lane_strips, lane_ways
from mapkd_core.map_formats.lane_map import Lane, Lanes, Piece
from mapkd_core.map_formats.lane_strips import Strip
from mapkd_core.map_formats.lanes import lanes_of
from mapkd_core.mapping.street_map import StreetMap

DRIVEN = np.array([[-4.0, -1.7], [70.0, 0.0]])


def headings(street_map: StreetMap, paths: tuple[np.ndarray, ...] = (), traffic: str = "right") -> dict[tuple, int]:
    """Which way along x each lane goes, by its middle in metres."""
    lanes = lanes_of(street_map, paths, traffic)  # type: ignore[arg-type]
    result = {}
    for lane in lanes.lanes:
        left, right = lanes.bounds_m(lane)
        middle = np.concatenate([left, right]).mean(0)
        ahead = left[-1] - left[0]
        assert ahead @ (right[-1] - right[0]) > 0
        assert ahead[0] * (right[0] - left[0])[1] - ahead[1] * (right[0] - left[0])[0] < 0  # right is on the right
        result[tuple(middle[:2].round(0))] = int(np.sign(ahead[0]))
    return result


def test_lanes_lie_between_the_lines_and_share_them() -> None:
    lanes = lanes_of(street())
    assert len(lanes.lanes) == 5
    sections = sorted(len(roadway) for roadway in lanes.roadways)
    assert sections == [1, 1, 3]
    used = [piece for lane in lanes.lanes for piece in (lane.left, lane.right)]
    assert len(used) - len(set(used)) == 2  # two lines of the middle section are bounds of two lanes


def test_pieces_make_the_line_again() -> None:
    lanes = lanes_of(street())
    for one in street().elements[:4]:
        mine = sorted((p for p in lanes.pieces if p.element.id == one.id), key=lambda piece: piece.number)
        points = [mine[0].points_m[:1], *(piece.points_m[1:] for piece in mine)]
        for place, piece in enumerate(mine, 1):
            points[place] = points[place][:-1] if piece.added[1] else points[place]
        assert np.array_equal(np.concatenate(points), one.points_m)


def test_the_driven_way_counts_in_all_that_follows() -> None:
    forward, back = headings(street(), (DRIVEN,)), headings(street(), (DRIVEN[::-1],))
    right = [key for key in forward if key[1] < 0]
    assert len(right) == 3
    assert [forward[key] for key in right] == [1, 1, 1]
    assert [back[key] for key in right] == [-1, -1, -1]


def test_from_one_drive_to_the_next_nobody_drove() -> None:
    """Both drives go forward on the left half; from the end of the first the second begins far behind."""
    first, second = np.array([[60.0, 2.9], [78.0, 3.7]]), np.array([[2.0, 1.7], [30.0, 2.0]])
    left = {key: way for key, way in headings(two_blocks(), (first, second)).items() if key[1] > key[0] ** 2 / 3000}
    assert set(left.values()) == {1}
    joined = headings(two_blocks(), (np.concatenate([first, second]),))
    assert {joined[key] for key in left} == {-1}


@pytest.mark.parametrize(("traffic", "way"), [("right", 1), ("left", -1)])
def test_each_half_of_a_road_keeps_to_its_side(traffic: str, way: int) -> None:
    found = headings(two_blocks(), traffic=traffic)
    assert len(found) == 4
    for (x, y), heading in found.items():
        assert heading == (way if y < x * x / 3000 else -way)


def test_a_yellow_line_parts_the_ways() -> None:
    """Three lanes; yellow is the left line, so that two lanes go with the right boundary."""
    def colored(key: int) -> StreetMap:
        lines = [(1, "boundary", 7.0), (2, "divider", 3.5), (3, "divider", 0.0), (4, "boundary", -3.5)]
        return StreetMap(tuple(
            element(k, label, bent(y), attributes={"color": "yellow"} if k == key else {}) for k, label, y in lines
        ))  # fmt: skip

    left, right = headings(colored(2)), headings(colored(3))
    assert sorted(left.values()) == [-1, 1, 1]
    assert sorted(right.values()) == [-1, -1, 1]


def test_too_wide_too_narrow_too_oblique() -> None:
    def pair(other: np.ndarray) -> int:
        lines = (element(1, "boundary", bent(0)), element(2, "divider", other))
        return len(lanes_of(StreetMap(lines)).lanes)

    assert pair(bent(3.0)) == 1
    assert pair(bent(1.8)) == 0
    assert pair(bent(6.5)) == 0
    turned = bent(0) @ np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1.0]]) + [0, 3, 0]
    assert pair(turned) == 0


def test_nothing_and_a_ring() -> None:
    assert lanes_of(StreetMap()).lanes == ()
    angle = np.linspace(0, 2 * np.pi, 40)
    rings = [np.stack([r * np.cos(angle), r * np.sin(angle), 0 * angle], 1) for r in (20.0, 23.5)]
    elements = []
    for key, ring in enumerate(rings):
        ring[-1] = ring[0]
        elements.append(element(key, "boundary", ring))
    assert len(lanes_of(StreetMap(tuple(elements))).lanes) >= 1


def test_length_counts_where_lanes_disagree() -> None:
    whole = street()
    lanes = lanes_of(replace(whole, elements=whole.elements[:4]))
    ways = [np.sign((lanes.bounds_m(lane)[0][-1] - lanes.bounds_m(lane)[0][0])[0]) for lane in lanes.lanes
            if lanes.pieces[lane.right].element.id == 40]  # fmt: skip
    assert len(set(ways)) == 1


def across(*labels: str) -> list[Piece]:
    line = np.array([[0.0, 0, 0], [50, 0, 0]])
    return [Piece(element(k, label, line), 0, line, (False, False)) for k, label in enumerate(labels)]


@pytest.mark.parametrize(("labels", "driven", "ways"), [
    ("bdddb", [0, 0, 0, 0], [-1, -1, 1, 1]), ("bddb", [0, 0, 0], [-1, 1, 1]), ("bdb", [0, 0], [-1, 1]),
    ("dddb", [0, 0, 0], [1, 1, 1]), ("bddd", [0, 0, 0], [-1, -1, -1]), ("ddd", [0, 0], [1, 1]), ("bb", [0], [1]),
    ("bdddb", [0, 1, 0, 0], [-1, 1, 1, 1]), ("bdddb", [0, 0, -1, 0], [-1, -1, -1, 1]),
])  # fmt: skip
def test_the_middle_of_an_odd_number_of_lanes_goes_with_the_larger_half(
    labels: str, driven: list[int], ways: list[int]
) -> None:
    lines = across(*({"b": "boundary", "d": "divider"}[letter] for letter in labels))
    assert lane_ways._ways(lines, driven, "right") == ways
    mirrored = lane_ways._ways(lines[::-1], driven[::-1], "left")
    assert mirrored == ways[::-1] or labels in ("ddd", "bb", "bddb"), "where nothing tells, all go with the last"


@pytest.mark.parametrize(("ends", "way"), [((0, 100, 110, 120), -1), ((0, 50, 90, 120), 1)])
def test_lanes_that_follow_each_other_go_the_way_of_the_greater_length(
    monkeypatch: pytest.MonkeyPatch, ends: tuple[float, ...], way: int
) -> None:
    """Two sections of a lane want to go ahead, the first one back."""
    pieces, lanes = [], []
    for k, (begin, end) in enumerate(pairwise(ends)):
        for y in (0.0, 3.5):
            line = np.array([[begin, y, 0.0], [end, y, 0]])
            pieces.append(Piece(element(len(pieces), "divider", line), 0, line, (False, False)))
        lanes.append(Lane(2 * k + 1, 2 * k, False, False))
    monkeypatch.setattr(lane_ways, "_ways", lambda across, *_: [-1 if across[0].points_m[0, 0] == 0 else 1])
    found = lane_ways.directed(Lanes(tuple(pieces), tuple(lanes), ()))
    ahead = {int(np.sign((found.bounds_m(lane)[0][-1] - found.bounds_m(lane)[0][0])[0])) for lane in found.lanes}
    assert ahead == {way}


def test_a_path_that_only_cuts_a_corner_of_a_lane_says_nothing() -> None:
    lanes = lanes_of(StreetMap((element(1, "boundary", bent(0)), element(2, "divider", bent(3.0)))))
    (lane,) = lanes.lanes
    left, right = lanes.bounds_m(lane)
    middle, ahead = (left[0] + right[0]) / 2, (left[-1] - left[0]) / np.linalg.norm(left[-1] - left[0])
    for steps, way in (((5.0, 9.0), 1), ((9.0, 5.0), -1), ((5.0, 6.0), 0)):
        path = np.array([middle + at * ahead for at in steps])
        assert lane_ways._PathTree([path]).way(lanes, lane) == way


def test_a_strip_knows_both_its_lines_by_each_other() -> None:
    at, other_at = np.array([0.0, 10, 20]), np.array([30.0, 22, 10])  # the other line runs against it
    strip = Strip(4, 7, True, at, other_at)
    assert strip.mapped(4, 5) == 26 and strip.mapped(7, 26) == 5 and strip.mapped(7, 16) == 15
    assert strip.mapped(4, 20.5) is None and strip.mapped(7, 9) is None and strip.mapped(7, 30) == 0


def test_cuts_that_lie_near_each_other_are_one() -> None:
    lines = [bent(0), bent(3)]
    length = lane_strips.length_m(lines[0])
    strip = Strip(0, 1, True, np.array([10.0, 30]), np.array([10.0, 30]))
    near, far = (Strip(0, 1, True, np.array([at, 40.0]), np.array([at, 40.0])) for at in (11.5, 13.0))
    assert lane_strips.cuts_of(lines, [strip])[0] == pytest.approx([0, 10, 30, length])
    assert len(lane_strips.cuts_of(lines, [strip, near])[0]) == 5
    assert len(lane_strips.cuts_of(lines, [strip, far])[0]) == 6
