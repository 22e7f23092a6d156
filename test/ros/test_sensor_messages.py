"""Filling real message classes: values, speed-critical containers, and types that are not there."""
import array
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: rclpy is not installed")

from mapkd_core.bags import sensor_fields as fields
from mapkd_core.cameras import topics
from mapkd_core.data.images import PixelImage
from mapkd_core.geometry import transform
from mapkd_core.types import CameraView
from mapkd_ros.sensor_messages import clock_message, message_class, to_message

pytestmark = pytest.mark.ros
STAMP_NS = 1_533_201_470_404_874_123


def view_of(width=8, height=6):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    intrinsics = np.array([[10.0, 0, 4.5], [0, 11.0, 3.5], [0, 0, 1]])
    return CameraView("CAM_FRONT", STAMP_NS, (width, height), intrinsics, np.eye(4), PixelImage(pixels))


def same(value, expected):
    if isinstance(expected, dict):
        return all(same(getattr(value, name), inner) for name, inner in expected.items())
    if isinstance(expected, list):
        return len(value) == len(expected) and all(same(a, b) for a, b in zip(value, expected, strict=True))
    return np.array_equal(np.asarray(value), expected) if isinstance(expected, np.ndarray) else value == expected


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        (topics.COMPRESSED_IMAGE, fields.compressed_image(view_of(), STAMP_NS)),
        (topics.IMAGE, fields.raw_image(view_of(), STAMP_NS)),
        (topics.CAMERA_INFO, fields.camera_info(view_of(), STAMP_NS)),
        (fields.POINT_CLOUD, fields.point_cloud(np.arange(15, dtype=np.float32).reshape(3, 5), STAMP_NS)),
        (fields.TF_MESSAGE, fields.transforms("map", {"base_link": transform([1, 2, 3])}, STAMP_NS)),
    ],
)
def test_messages_hold_the_fields_and_survive_serialization(msg_type, content):
    from rclpy.serialization import deserialize_message, serialize_message

    message = to_message(msg_type, content)
    assert same(message, content)
    assert same(deserialize_message(serialize_message(message), type(message)), content)
    assert set(content) == set(message.get_fields_and_field_types()), "no field is left to its default"


@pytest.mark.parametrize(
    "msg_type",
    [topics.COMPRESSED_IMAGE, topics.IMAGE, topics.CAMERA_INFO, fields.POINT_CLOUD, fields.TF_MESSAGE, fields.CLOCK],
)
def test_bags_carry_the_type_hash_of_the_installed_messages(msg_type):
    typesys = pytest.importorskip("rosbags.typesys", reason="rosbags writes the bags")
    index = pytest.importorskip("ament_index_python", reason="finds the installed message definitions")
    package, _, name = msg_type.split("/")
    description = Path(index.get_package_share_directory(package)) / "msg" / f"{name}.json"
    if not description.is_file():
        pytest.skip("this ROS 2 release is older than type hashes (Humble)")
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(description.read_text())["type_hashes"]}
    assert typesys.get_typestore(typesys.Stores.ROS2_HUMBLE).hash_rihs01(msg_type) == hashes[msg_type]


def test_pixels_travel_as_array_because_anything_else_is_checked_byte_by_byte():
    message = to_message(topics.IMAGE, fields.raw_image(view_of(), STAMP_NS))
    assert type(message.data) is array.array and message.data.typecode == "B"


def test_a_point_cloud_is_what_ros_own_reader_and_writer_make_of_it():
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="comes with a ROS 2 installation")
    points = np.arange(15, dtype=np.float32).reshape(3, 5)
    ours = to_message(fields.POINT_CLOUD, fields.point_cloud(points, STAMP_NS))
    read = point_cloud2.read_points(ours)
    assert read.dtype.names == ("x", "y", "z", "intensity", "time")
    sent = points * [1, 1, 1, 1, -1]  # seconds before the stamp become seconds after it
    np.testing.assert_array_equal(np.stack([read[name] for name in read.dtype.names], -1), sent)
    theirs = point_cloud2.create_cloud(ours.header, ours.fields, sent.astype(np.float32))
    assert (theirs.point_step, theirs.row_step, theirs.width, bytes(theirs.data)) == (
        ours.point_step, ours.row_step, ours.width, bytes(ours.data)
    )  # fmt: skip


def test_clock():
    clock = clock_message(STAMP_NS).clock
    assert (clock.sec, clock.nanosec) == divmod(STAMP_NS, 1_000_000_000)


def test_types_that_are_not_installed_are_named_with_the_remedy():
    with pytest.raises(ValueError, match=r"nope_msgs/msg/Thing is not installed .* ros-\$ROS_DISTRO-nope-msgs"):
        message_class("nope_msgs/msg/Thing")
    with pytest.raises(ValueError, match="sensor_msgs/msg/Smell is not installed"):
        message_class("sensor_msgs/msg/Smell")


def test_missing_tf2_msgs_is_reported_and_not_guessed_around(monkeypatch):
    import sys

    message_class.cache_clear()
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    with pytest.raises(ValueError, match=r"tf2_msgs/msg/TFMessage is not installed.*ros-\$ROS_DISTRO-tf2-msgs"):
        message_class(fields.TF_MESSAGE)
    message_class.cache_clear()
