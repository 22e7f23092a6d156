"""Which camera sees a point best."""
from __future__ import annotations

import numpy as np

from mapkd_core.cameras.ground_view import best_camera
from mapkd_core.geometry import transform, transform_from_yaw

K = np.array([[80.0, 0, 79.5], [0, 80, 44.5], [0, 0, 1]])
SIZE = (160, 90)
LEVEL = transform((0, 0, 1.5), (0.5, -0.5, 0.5, -0.5))
"""base_from_camera of one that looks ahead."""
BEHIND = transform_from_yaw(0, 0, np.pi) @ LEVEL


def test_the_camera_with_most_image_around_the_point():
    points = np.array([[20.0, 0, 0], [-20.0, 0, 0], [0.0, 20, 0], [20.0, 5, 0]])
    assert best_camera(points, [K, K], [BEHIND, LEVEL], [SIZE] * 2).tolist() == [1, 0, -1, 1]
    turned = transform_from_yaw(0, 0, 0.5) @ LEVEL
    assert best_camera(np.array([[20.0, 8, 0]]), [K, K], [LEVEL, turned], [SIZE] * 2).tolist() == [1]


def test_a_mask_of_any_size_hides_what_lies_under_it():
    mask = np.ones((45, 80), bool)
    mask[30:] = False  # the lower third: 4 m ahead and nearer
    points = np.array([[3.5, 0, 0], [20.0, 0, 0]])
    assert best_camera(points, [K], [LEVEL], [SIZE]).tolist() == [0, 0]
    assert best_camera(points, [K], [LEVEL], [SIZE], [mask]).tolist() == [-1, 0]


def test_a_share_of_the_image_counts_not_pixels():
    """Of a small image a point is in the middle, in a large one it lies nearer to the border, by more pixels."""
    middle, turned = np.array([[20.0, 0, 1.5]]), transform_from_yaw(0, 0, np.deg2rad(30)) @ LEVEL
    large = np.array([[800.0, 0, 799.5], [0, 800, 449.5], [0, 0, 1]])
    assert best_camera(middle, [K, large], [LEVEL, turned], [SIZE, (1600, 900)]).tolist() == [0]
    assert best_camera(middle, [K, large], [turned, LEVEL], [SIZE, (1600, 900)]).tolist() == [1]
