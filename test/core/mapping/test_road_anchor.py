"""A drive held to the roads of a navigation map: what drift is left, and what it may not do."""
from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.benchmark.mapping_cases import drifting
from mapkd_core.benchmark.mapping_drives import SeenSet
from mapkd_core.geometry import transform_from_yaw, yaw_of
from mapkd_core.map_formats.earth import EarthFrame, at_place
from mapkd_core.map_formats.navigation_roads import open_anchor, start_pose
from mapkd_core.mapping.road_anchor import GAIN, MOST_SHIFT, MOST_TURN_RAD, TRACE_M, RoadAnchor
from mapkd_core.sim.roads.procedural import procedural_map
from mapkd_core.sim.roads.trajectory import drive_along, lane_path

BESIDE = 2.0
CORNER = (np.array([[-50.0, 0], [300, 0]]), np.array([[300.0, -50], [300, 350]]))


def round_the_corner() -> list[np.ndarray]:
    """Poses two metres to the right of two roads, one after the other."""
    east = [transform_from_yaw(x, -BESIDE, 0) for x in np.arange(0, 300, 2.0)]
    return east + [transform_from_yaw(300 + BESIDE, y, np.pi / 2) for y in np.arange(0, 300, 2.0)]


def off_m(poses: list[np.ndarray], true: list[np.ndarray]) -> np.ndarray:
    return np.linalg.norm(np.array([p[:2, 3] for p in poses]) - np.array([p[:2, 3] for p in true]), axis=1)


def drifted(true: list[np.ndarray], share: float) -> list[np.ndarray]:
    poses = [true[0]]
    for before, after in pairwise(true):
        step = np.linalg.inv(before) @ after
        step[:2, 3] *= 1 + share
        poses.append(poses[-1] @ step)
    return poses


def test_drift_of_length_is_seen_at_the_next_turn() -> None:
    true = round_the_corner()
    odometry = drifted(true, 0.03)
    anchor = RoadAnchor(CORNER)
    corrected = [anchor.corrected(pose) for pose in odometry]
    assert off_m(odometry, true)[160:].min() > 8.5
    across = np.array([pose[0, 3] for pose in corrected[-100:]]) - (300 + BESIDE)
    assert np.abs(across).max() < 4.5, "what runs along a road shows at the next one"
    assert anchor.states["held to a road"] > 100 and not anchor.states["no road in reach"]


def test_poses_that_are_right_stay_where_they_are_to_a_lane() -> None:
    true = round_the_corner()
    anchor = RoadAnchor(CORNER)
    assert off_m([anchor.corrected(pose) for pose in true], true).max() < BESIDE + 1.5


def test_nothing_is_torn_the_way_changes_by_a_twentieth_at_most() -> None:
    anchor = RoadAnchor([line + (0, 12.0) for line in CORNER])
    corrected = np.array([anchor.corrected(pose) for pose in round_the_corner()[:150]])
    steps = np.linalg.norm(np.diff(corrected[:, :2, 3], axis=0), axis=1)
    assert np.abs(steps - 2).max() < 2 * MOST_SHIFT * TRACE_M + 1e-6
    assert corrected[-1, 1, 3] > 5, "it was moved towards the road"


def test_without_a_road_in_reach_the_poses_stand() -> None:
    anchor = RoadAnchor([line + (0, 500.0) for line in CORNER])
    for pose in round_the_corner()[:100]:
        np.testing.assert_array_equal(anchor.corrected(pose), pose)
    assert set(anchor.states) == {"no road in reach"}
    with pytest.raises(ValueError, match="no road to anchor"):
        RoadAnchor([np.zeros((1, 2)), np.ones((3, 2))])


def test_a_drive_in_a_town_whose_roads_are_metres_off() -> None:
    town, rng = procedural_map(300_010), np.random.default_rng(300_010)
    trajectory = drive_along(lane_path(town, rng, 2000, tries=30), rng, 1.0)
    sets = [SeenSet(0, pose, ()) for pose in trajectory.poses(np.arange(0, trajectory.duration_s, 0.5))]
    true = [one.map_from_base for one in sets]
    odometry = drifting(sets, np.random.default_rng(1), 0.03)
    anchor = RoadAnchor(town.sd_roads_m)
    corrected = [anchor.corrected(pose) for pose in odometry]
    assert off_m(odometry, true)[-1] > 20 and off_m(corrected, true)[-20:].max() < 12


def test_odometry_begins_where_the_user_says_and_a_jump_forgets_the_way_before() -> None:
    true = round_the_corner()
    begin = true[0].copy()
    odometry = [np.linalg.inv(transform_from_yaw(100, 40, 1.0)) @ pose for pose in true]
    anchor = RoadAnchor(CORNER, start_pose("100,40,57.29577951308232"))
    np.testing.assert_allclose(anchor.corrected(odometry[0]), begin, atol=1e-9)
    assert off_m([anchor.corrected(pose) for pose in odometry], true).max() < 3
    seen = sum(anchor.states.values())
    anchor.corrected(odometry[0])  # 500 m away
    anchor.corrected(odometry[2])
    assert sum(anchor.states.values()) == seen
    for text in ("1,2", "a,b,c", "1,2,nan", "1e9,0,0"):
        with pytest.raises(ValueError, match="is not X,Y,DEGREES"):
            start_pose(text)


def test_roads_in_degrees_lie_where_the_map_has_them(tmp_path: Path) -> None:
    pytest.importorskip("pyproj")
    origin = at_place(48.1, 11.5, 520.0)
    there = EarthFrame(origin).degrees(np.column_stack([CORNER[0] * 3, np.full(2, 0.0)]))[:, :2]
    road = {"type": "Feature", "properties": {"highway": "primary"},
            "geometry": {"type": "LineString", "coordinates": there.tolist()}}  # fmt: skip
    path = tmp_path / "roads.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [road]}))
    anchor, found = open_anchor(path, (48.1, 11.5, 520.0))
    assert found == origin
    x = anchor._points[:, 0]
    assert x.min() == pytest.approx(-150, abs=0.01) and x.max() == pytest.approx(900, abs=0.01)
    assert np.abs(anchor._points[:, 1]).max() < 0.05
    with pytest.raises(ValueError, match="map's origin"):
        open_anchor(path)
    with pytest.raises(ValueError, match=r"begins at 48.1000000,11.5000000,520, the anchor's origin is 48.2,11.5"):
        open_anchor(path, (48.2, 11.5), origin)
    assert open_anchor(path, (48.1, 11.5), origin)[1] == origin, "said twice, it is the same"


def test_roads_that_cross_the_way_are_not_those_it_is_held_to() -> None:
    anchor = RoadAnchor([np.array([[x, -60.0], [x, 60.0]]) for x in np.arange(-10, 320, 15.0)])
    for pose in round_the_corner()[:140]:
        np.testing.assert_array_equal(anchor.corrected(pose), pose)
    assert set(anchor.states) == {"no road in reach"}


@pytest.mark.parametrize(("motion", "share"), [
    ((10.0, 0.0, 0.0), MOST_SHIFT * TRACE_M / 10), ((0.0, 0.5, 0.0), GAIN),
    ((0.1, 0.0, 0.1), MOST_TURN_RAD * TRACE_M / 0.1),
])  # fmt: skip
def test_a_step_takes_one_share_of_shift_and_turn_about_the_vehicle(
    monkeypatch: pytest.MonkeyPatch, motion: tuple[float, float, float], share: float
) -> None:
    anchor = RoadAnchor(CORNER)
    poses = [transform_from_yaw(x, -BESIDE, 0.3) for x in np.arange(0, 4 * TRACE_M, TRACE_M)]
    for pose in poses[:-1]:
        anchor.corrected(pose)
    monkeypatch.setattr("mapkd_core.mapping.road_anchor.LEAST_M", TRACE_M)
    monkeypatch.setattr(anchor, "_fit", lambda *_: np.array([*motion, 1.0]))
    moved = anchor.corrected(poses[-1])
    assert moved[:2, 3] - poses[-1][:2, 3] == pytest.approx(share * np.array(motion[:2]))
    assert yaw_of(moved) - 0.3 == pytest.approx(share * motion[2]) and anchor.beside_m == pytest.approx(GAIN)
