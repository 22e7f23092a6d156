"""One set in the map's frame: weights, heights, and what a motion of it moves."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.data.polylines import Range
from mapkd_core.geometry import apply, flattened, transform, transform_from_yaw
from mapkd_core.mapping.sighting import EDGE_M, MISSED_BESIDE_M, Sighting, distance_weight, sighting
from mapkd_core.types import MapElement

VIEW = Range((-30.0, 30.0), (-15.0, 15.0))
FAR_M = 12.0
SLOPE = 0.1
"""Of the ground, uphill along the vehicle's own x."""
LEFT_TURN = transform_from_yaw(100.0, 50.0, np.pi / 2)


def uphill(x_m: float, y_m: float, yaw: float) -> np.ndarray:
    pitch = -np.arctan(SLOPE)
    return transform_from_yaw(x_m, y_m, yaw, 7.0) @ transform([0, 0, 0], [np.cos(pitch / 2), 0, np.sin(pitch / 2), 0])


def at(pose: np.ndarray) -> Sighting:
    ring = np.array([[4, -2], [6, -2], [6, 2], [4, 2], [4, -2]], np.float32)
    elements = [MapElement("divider", np.array([[-10, 3], [10, 3]], np.float32), 0.6),
                MapElement("ped_crossing", ring, 0.7, True)]  # fmt: skip
    return sighting(elements, pose, VIEW, FAR_M)


def test_a_sighting_far_away_weighs_half() -> None:
    weights = distance_weight(np.array([[0.0, 0], [FAR_M, 0], [0, -FAR_M], [3 * FAR_M, 0]]), FAR_M)
    assert weights == pytest.approx([1, 0.5, 0.5, 0.1])


def test_weights_follow_the_vehicle_as_it_is_turned() -> None:
    sight = at(LEFT_TURN)
    ahead, beside = np.array([[100.0, 58.0]]), np.array([[92.0, 50.0]])  # 8 m each
    full = 1 / (1 + 64 / FAR_M**2)
    assert sight.seen_weight(ahead)[0] == pytest.approx(full) == sight.seen_weight(beside)[0]
    assert sight.missed_weight(ahead)[0] == pytest.approx(full)
    assert sight.missed_weight(beside)[0] == pytest.approx(full / (1 + (8 / MISSED_BESIDE_M) ** 4))
    edge = np.array([[100.0, 80.0 - EDGE_M + 0.1], [100.0, 80.0 - EDGE_M - 0.1], [85.0 + EDGE_M - 0.1, 50.0]])
    assert (sight.seen_weight(edge) > 0).tolist() == [False, True, False]
    assert sight.bounds_m(2.0) == pytest.approx((83, 18, 117, 82))


def test_places_follow_from_position_and_heading_and_heights_from_the_ground() -> None:
    pose = uphill(20.0, -5.0, 0.7)
    sight = at(pose)
    assert sight.map_from_base == pytest.approx(flattened(pose))
    ends = apply(flattened(pose), [[-10, 3, 0], [10, 3, 0]])[:, :2]
    assert sight.xyz_m[[0, -1], :2] == pytest.approx(ends) and len(sight.xyz_m) == 41
    for places in (sight.xyz_m, sight.crossings[0][0]):
        along = (places[:, :2] - pose[:2, 3]) @ [np.cos(0.7), np.sin(0.7)]
        assert places[:, 2] == pytest.approx(7 + SLOPE * along)
    assert sight.along == pytest.approx(np.tile([np.cos(0.7), np.sin(0.7)], (41, 1)))


def test_heights_of_the_elements_themselves_are_taken() -> None:
    points = np.array([[0, 3, 0.5], [10, 3, 1.5]], np.float32)
    pose = uphill(0, 0, 0)
    sight = sighting([MapElement("divider", points)], pose, VIEW, FAR_M)
    assert sight.xyz_m[[0, -1], 2] == pytest.approx(apply(pose, points)[:, 2])


def test_a_motion_moves_lines_crossings_and_the_ground() -> None:
    motion = transform_from_yaw(3.0, -4.0, 0.5)
    sight, again = at(uphill(20, -5, 0.7)).moved(motion), at(motion @ uphill(20, -5, 0.7))
    assert sight.xyz_m == pytest.approx(again.xyz_m) and sight.along == pytest.approx(again.along)
    assert sight.crossings[0][0] == pytest.approx(again.crossings[0][0]) and sight.crossings[0][1] == 0.7
    assert sight.map_from_base == pytest.approx(again.map_from_base)
    assert sight.height == pytest.approx(again.height)
    assert np.array_equal(sight.weight, at(uphill(20, -5, 0.7)).weight)
