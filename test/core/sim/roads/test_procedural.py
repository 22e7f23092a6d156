"""Procedural maps: every number that a road engineer would check."""
from __future__ import annotations

import numpy as np
import pytest
import shapely

from mapkd_core.sim.roads.polyline import length_m
from mapkd_core.sim.roads.procedural import procedural_map
from mapkd_core.sim.roads.road_network import STYLES
from mapkd_core.vector_map import VectorMap

SEEDS = (0, 1, 2, 3, 7, 8)
"""Three styles of town, both sides of the road."""


@pytest.fixture(scope="module")
def maps() -> list[VectorMap]:
    return [procedural_map(seed) for seed in SEEDS]


def test_the_same_seed_gives_the_same_map_and_another_seed_another():
    one, two, other = procedural_map(3), procedural_map(3), procedural_map(4)
    assert one.road_area.wkb == two.road_area.wkb
    assert all(np.array_equal(a.points_m, b.points_m) for a, b in zip(one.lines, two.lines, strict=True))
    assert one.road_area.wkb != other.road_area.wkb


def test_roads_are_valid_surfaces_with_lanes_inside(maps):
    for road_map in maps:
        assert all(polygon.is_valid for polygon in (*road_map.road_segments, *road_map.lanes, *road_map.crossings))
        assert road_map.road_area.area > 5000
        outside = [lane.difference(road_map.road_area).area for lane in road_map.lanes]
        assert max(outside) < 0.05, road_map.name


def test_lanes_are_as_wide_as_real_ones(maps):
    for road_map in maps:
        for lane, centre in zip(road_map.lanes, road_map.lane_centres_m, strict=False):
            width = lane.area / length_m(centre)
            assert 2.9 < width < 5.2, (road_map.name, width)


def test_lanes_continue_each_other_without_gap_or_kink(maps):
    links = 0
    for road_map in maps:
        for centre, followers in zip(road_map.lane_centres_m, road_map.lane_successors, strict=True):
            for follower in followers:
                after = road_map.lane_centres_m[follower]
                assert np.linalg.norm(after[0] - centre[-1]) < 0.01
                before_way, after_way = centre[-1] - centre[-2], after[1] - after[0]
                cosine = before_way @ after_way / np.linalg.norm(before_way) / np.linalg.norm(after_way)
                assert cosine > 0.97, (road_map.name, follower)
                links += 1
    assert links > 100


def test_dividers_lie_on_the_road_between_lanes(maps):
    for road_map in maps:
        area = road_map.road_area.buffer(0.05)
        for line in road_map.dividers:
            assert shapely.LineString(line.points_m).within(area), road_map.name


def test_crossings_lead_from_curb_to_curb(maps):
    crossings = [(m, c) for m in maps for c in m.crossings]
    assert len(crossings) > 15
    for road_map, crossing in crossings:
        ring = np.asarray(crossing.exterior.coords)
        long = max(np.linalg.norm(np.diff(ring, axis=0), axis=1))
        short = min(np.linalg.norm(np.diff(ring, axis=0), axis=1))
        assert 2.2 < short < 6 and short < long < 45
        assert crossing.intersection(road_map.road_area).area > 0.85 * crossing.area


def test_every_kind_of_thing_appears_among_some_seeds(maps):
    paints = {(line.layer, line.paint) for m in maps for line in m.lines}
    assert {("lane_divider", "dashed"), ("lane_divider", "solid"), ("road_divider", "double")} <= paints
    assert {"stop_line", "road_mark"} <= {layer for layer, _ in paints}
    assert {line.color for m in maps for line in m.lines} == {"white", "yellow"}
    wear = [line.wear for m in maps for line in m.lines]
    assert min(wear) < 0.1 and max(wear) > 0.6
    assert {m.extras["left_hand"] for m in maps} == {True, False}
    holes = [hole for m in maps for polygon in m.road_segments for hole in polygon.interiors]
    assert any(shapely.Polygon(hole).area < 400 for hole in holes), "no median or island"
    assert len({m.extras["style"] for m in maps}) >= 3


def test_traffic_keeps_to_its_side(maps):
    """On a two-way road the oncoming lane lies left of a lane where traffic keeps right."""
    checked = 0
    for road_map in maps:
        left_hand = road_map.extras["left_hand"]
        centres = [c for c, _ in zip(road_map.lane_centres_m, road_map.lanes, strict=False)]
        for line in road_map.lines:
            if line.layer != "road_divider" or len(line.points_m) < 20:
                continue
            middle = line.points_m[len(line.points_m) // 2]
            nearest = min(centres, key=lambda c: np.linalg.norm(c - middle, axis=1).min())
            k = int(np.clip(np.argmin(np.linalg.norm(nearest - middle, axis=1)), 1, len(nearest) - 2))
            along, to_line = nearest[k + 1] - nearest[k - 1], middle - nearest[k]
            line_is_left = along[0] * to_line[1] - along[1] * to_line[0] > 0
            assert line_is_left != left_hand, road_map.name
            checked += 1
    assert checked > 20


def test_sd_roads_are_metres_off_and_incomplete(maps):
    offsets = []
    for road_map in maps:
        lanes = shapely.union_all([shapely.LineString(c) for c in road_map.lane_centres_m])
        points = np.concatenate(road_map.sd_roads_m)
        offsets += shapely.distance(shapely.points(points), lanes).tolist()
        assert shapely.contains_xy(road_map.road_area.buffer(4), *points.T).mean() > 0.9
    assert 0.5 < np.median(offsets) < 4


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_every_style_makes_a_map(style):
    road_map = procedural_map(11, style=style)
    assert road_map.extras["style"] == style.name and road_map.road_area.is_valid
    assert len(road_map.lines) > 20
