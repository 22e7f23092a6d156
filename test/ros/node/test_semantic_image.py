"""The image of the grid: which way is forward and left."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.artifact import ModelCard
from mapkd_core.draw import CLASS_COLORS
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES
from mapkd_ros.node.semantic_image import semantic_rgb

CARD = ModelCard("student", "1.2.3", "student", {}, BevGrid((-10.0, 30.0), (-5.0, 5.0), 0.5), (352, 128))


def test_in_the_image_forward_is_up_and_left_is_left():
    grid = CARD.grid
    semantic = np.zeros(grid.shape, np.uint8)
    for x_m, y_m, label in ((25.0, 0.0, 1), (0.0, 4.0, 2)):  # ahead of the vehicle; to its left
        col, row = grid.cells_from_metres(np.array([x_m, y_m])).astype(int)
        semantic[row, col] = label
    image = semantic_rgb(semantic)
    assert image.shape == (grid.cols, grid.rows, 3) and image.dtype == np.uint8
    (ahead,) = np.argwhere((image == CLASS_COLORS[CLASSES[0]]).all(-1))
    (left,) = np.argwhere((image == CLASS_COLORS[CLASSES[1]]).all(-1))
    assert ahead[0] < 0.2 * grid.cols and abs(ahead[1] - grid.rows / 2) <= 1  # (image row, image column)
    assert left[1] < 0.2 * grid.rows and left[0] > 0.5 * grid.cols


@pytest.mark.ros
def test_the_image_as_a_message():
    pytest.importorskip("sensor_msgs.msg", reason="needs ROS 2 (sensor_msgs)")
    from std_msgs.msg import Header

    from mapkd_ros.conversions import rgb_from_image
    from mapkd_ros.node.semantic_image import semantic_image

    semantic = np.arange(24, dtype=np.uint8).reshape(4, 6) % 4
    message = semantic_image(Header(frame_id="base_link"), semantic)
    assert (message.encoding, message.header.frame_id) == ("rgb8", "base_link")
    np.testing.assert_array_equal(rgb_from_image(message), semantic_rgb(semantic))
