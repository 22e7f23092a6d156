"""VectorMap: every field, the same from rclpy's classes and from rosbags'."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.artifact import ModelCard
from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.grid import BevGrid
from mapkd_core.messages.classes import header_of
from mapkd_core.messages.markers import MarkerBook
from mapkd_core.messages.vector_map import elements_of_message, vector_map
from mapkd_core.types import CLASS_IDS, CLASSES, MapElement

CARD = ModelCard("student", "1.2.3", "student", {}, BevGrid((-10.0, 30.0), (-5.0, 5.0), 0.5), (352, 128))
RING = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]], np.float32)
ELEMENTS = [
    MapElement("boundary", np.array([[0, 1], [2, 3]], np.float32), 0.25),
    MapElement("ped_crossing", RING, 0.5, closed=True),
    MapElement("divider", np.array([[5, 5], [6, 6]], np.float32)),
]
STAMPS = {"CAM_FRONT": 3_000_000_004, "CAM_BACK": 3_030_000_004}


def header(classes):
    return header_of(classes, 3_000_000_004, "base_link")


def message_of(classes):
    stages = {"decode": 1.5, "network": 20.0}
    return vector_map(
        classes, header(classes), ELEMENTS, [7, 8, 9], CARD, STAMPS, stages, 3_100_000_004, ["CAM_X"]
    )


def test_every_field_of_a_vector_map_is_filled():
    pytest.importorskip("rosbags", reason="rosbags has the message classes")
    classes = PlainMessages()
    message = message_of(classes)
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (3, 4, "base_link")
    element = classes("mapkd_ros/msg/MapElement")
    assert [(e.id, e.label, e.label_name, e.closed) for e in message.elements] == [
        (7, element.LABEL_BOUNDARY, "boundary", False),
        (8, element.LABEL_PED_CROSSING, "ped_crossing", True),
        (9, element.LABEL_DIVIDER, "divider", False),
    ]
    assert [e.score for e in message.elements] == [0.25, 0.5, 1.0]
    assert {name: getattr(element, f"LABEL_{name.upper()}") for name in CLASSES} == CLASS_IDS
    assert [(p.x, p.y, p.z) for p in message.elements[0].points] == [(0, 1, 0), (2, 3, 0)]
    assert [p.z for p in message.elements[1].points] == [1, 1, 1, 1]
    assert (message.x_min, message.x_max, message.y_min, message.y_max, message.cell_size) == (-10, 30, -5, 5, 0.5)
    assert (message.model_name, message.model_version) == ("student", "1.2.3")
    assert message.camera_names == ["CAM_FRONT", "CAM_BACK"]
    assert [(t.sec, t.nanosec) for t in message.source_stamps] == [(3, 4), (3, 30_000_004)]
    np.testing.assert_allclose(message.camera_ages, [0.1, 0.07], rtol=1e-6)
    assert message.missing_cameras == ["CAM_X"]
    assert (message.stamp_spread.sec, message.stamp_spread.nanosec) == (0, 30_000_000)
    assert message.stage_names == ["decode", "network"]
    np.testing.assert_array_equal(message.stage_latency_ms, [1.5, 20.0])


@pytest.mark.ros
def test_rclpy_and_rosbags_serialize_the_same_messages():
    pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")
    pytest.importorskip("rosbags", reason="rosbags has the message classes")
    from rclpy.serialization import deserialize_message, serialize_message

    from mapkd_ros.sensor_messages import message_class

    plain = PlainMessages()
    for build in (message_of, lambda classes: MarkerBook(2.5).array(classes, header(classes), ELEMENTS, [7, 8, 9])):
        live = build(message_class)
        read = deserialize_message(plain.serialized(build(plain)), type(live))
        assert read == deserialize_message(serialize_message(live), type(live))


@pytest.mark.parametrize(
    ("x_m", "words"),
    [(float("nan"), "not finite"), (float("inf"), "not finite"), (1e9, "far out of where was looked"),
     (-2000.0, "far out of where was looked"), (60.0, "")],
)  # fmt: skip
def test_a_line_that_cannot_be_is_refused_before_memory_is_taken_for_it(x_m, words):
    pytest.importorskip("rosbags", reason="rosbags has the message classes")
    message = message_of(PlainMessages())
    message.elements[2].points[1].x = x_m
    if not words:
        assert elements_of_message(message)[1][2].points_m[1, 0] == x_m
        return
    with pytest.raises(ValueError, match=words):
        elements_of_message(message)


def test_a_rectangle_that_nobody_looks_at_is_refused():
    pytest.importorskip("rosbags", reason="rosbags has the message classes")
    message = message_of(PlainMessages())
    message.x_max = 1e9
    with pytest.raises(ValueError, match="of the rectangle"):
        elements_of_message(message)
