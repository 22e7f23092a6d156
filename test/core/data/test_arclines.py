"""Lane centre lines of arcs and straight pieces."""
import numpy as np
import pytest

from mapkd_core.data.arclines import ARCLINES, lane_centre
from mapkd_core.schema import Misfit


def path(shape, lengths, radius=10.0, start=(0.0, 0.0, 0.0)):
    return {"start_pose": list(start), "shape": shape, "radius": radius, "segment_length": list(lengths)}


def test_a_left_turn_a_straight_and_a_right_turn():
    quarter = 10 * np.pi / 2
    points = lane_centre([path("LSR", (quarter, 20, quarter))])
    assert len(points) == np.ceil(2 * quarter + 20) + 1
    np.testing.assert_allclose(points[0], [0, 0])
    np.testing.assert_allclose(points[-1], [20, 40], atol=1e-9)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps.max() <= 1 and steps.min() > 0.95
    first = points[points[:, 1] < 9.9]  # on the circle about (0, 10)
    np.testing.assert_allclose(np.linalg.norm(first - [0, 10], axis=1), 10, atol=1e-9)
    straight = points[(points[:, 1] > 10.1) & (points[:, 1] < 29.9)]
    np.testing.assert_allclose(straight[:, 0], 10, atol=1e-9)


def test_paths_follow_each_other_and_a_heading_turns_them():
    points = lane_centre([path("LSL", (0, 3, 0), start=(1, 2, np.pi / 2)), path("LSL", (0, 0.5, 0), start=(1, 5, 0))])
    np.testing.assert_allclose(points, [[1, 2], [1, 3], [1, 4], [1, 5], [1, 5], [1.5, 5]], atol=1e-12)
    assert lane_centre([]).shape == (0, 2)
    np.testing.assert_allclose(lane_centre([path("RSR", (0, 0, 0))]), [[0, 0], [0, 0]])


@pytest.mark.parametrize("change", [{"shape": "XYZ"}, {"radius": 0}, {"segment_length": [1, -1, 1]}])
def test_what_is_no_path_is_refused(change):
    with pytest.raises(Misfit):
        ARCLINES([{**path("LSL", (0, 1, 0)), **change}])
