"""VectorMap and the image of the grid: every field, and which way is forward and left."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.artifact import ModelCard
from mapkd_core.draw import CLASS_COLORS
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASS_IDS, CLASSES, MapElement
from mapkd_ros.node.map_messages import semantic_rgb

CARD = ModelCard("student", "1.2.3", "student", {}, BevGrid((-10.0, 30.0), (-5.0, 5.0), 0.5), (352, 128))


@pytest.mark.ros
def test_every_field_of_a_vector_map_is_filled():
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    msg = pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    from mapkd_ros.node.map_messages import vector_map

    header = Header(stamp=Time(sec=3, nanosec=4), frame_id="base_link")
    ring = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]], np.float32)
    elements = [
        MapElement("boundary", np.array([[0, 1], [2, 3]], np.float32), 0.25),
        MapElement("ped_crossing", ring, 0.5, closed=True),
        MapElement("divider", np.array([[5, 5], [6, 6]], np.float32)),
    ]
    stamps = {"CAM_FRONT": 3_000_000_004, "CAM_BACK": 3_030_000_004}
    stages = {"decode": 1.5, "network": 20.0}
    message = vector_map(header, elements, [7, 8, 9], CARD, stamps, stages, 3_100_000_004, ["CAM_X"])
    assert message.header == header
    assert [(e.id, e.label, e.label_name, e.closed) for e in message.elements] == [
        (7, msg.MapElement.LABEL_BOUNDARY, "boundary", False),
        (8, msg.MapElement.LABEL_PED_CROSSING, "ped_crossing", True),
        (9, msg.MapElement.LABEL_DIVIDER, "divider", False),
    ]
    assert [e.score for e in message.elements] == [0.25, 0.5, 1.0]
    constants = {name: getattr(msg.MapElement, f"LABEL_{name.upper()}") for name in CLASSES}
    assert constants == CLASS_IDS
    assert [(p.x, p.y, p.z) for p in message.elements[0].points] == [(0, 1, 0), (2, 3, 0)]
    assert [p.z for p in message.elements[1].points] == [1, 1, 1, 1]
    assert (message.x_min, message.x_max, message.y_min, message.y_max, message.cell_size) == (-10, 30, -5, 5, 0.5)
    assert (message.model_name, message.model_version) == ("student", "1.2.3")
    assert message.camera_names == ["CAM_FRONT", "CAM_BACK"]
    assert message.source_stamps == [Time(sec=3, nanosec=4), Time(sec=3, nanosec=30_000_004)]
    np.testing.assert_allclose(message.camera_ages, [0.1, 0.07], rtol=1e-6)
    assert message.missing_cameras == ["CAM_X"]
    assert (message.stamp_spread.sec, message.stamp_spread.nanosec) == (0, 30_000_000)
    assert message.stage_names == ["decode", "network"]
    np.testing.assert_array_equal(message.stage_latency_ms, [1.5, 20.0])


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
    from mapkd_ros.node.map_messages import semantic_image

    semantic = np.arange(24, dtype=np.uint8).reshape(4, 6) % 4
    message = semantic_image(Header(frame_id="base_link"), semantic)
    assert (message.encoding, message.header.frame_id) == ("rgb8", "base_link")
    np.testing.assert_array_equal(rgb_from_image(message), semantic_rgb(semantic))
