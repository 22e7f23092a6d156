"""Moving stamps inside serialized messages, against messages that ROS itself serializes."""
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: rclpy is not installed")

from rclpy.serialization import deserialize_message, serialize_message

from mapkd_ros.player.restamp import Restamper
from mapkd_ros.sensor_messages import message_class

pytestmark = pytest.mark.ros
SECOND_NS = 1_000_000_000


def stamped(msg_type, sec, nanosec):
    message = message_class(msg_type)()
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    return message


def ns(stamp):
    return stamp.sec * SECOND_NS + stamp.nanosec


@pytest.mark.parametrize("shift_ns", [1, 700_000_000, -1_300_000_000, 86_400 * SECOND_NS])
def test_a_leading_header_is_moved_and_the_rest_stays(shift_ns):
    message = stamped("sensor_msgs/msg/CompressedImage", 1_500_000_000, 600_000_000)
    message.header.frame_id, message.format, message.data = "cam_front", "jpeg", [1, 2, 3]
    raw = bytes(serialize_message(message))
    moved = deserialize_message(Restamper("sensor_msgs/msg/CompressedImage")(raw, shift_ns), type(message))
    assert ns(moved.header.stamp) == ns(message.header.stamp) + shift_ns
    moved.header.stamp = message.header.stamp
    assert moved == message


def test_big_endian_messages_stay_big_endian():
    stamp = (1_500_000_000, 999_999_999)
    raw = b"\x00\x00\x00\x00" + b"".join(part.to_bytes(4, "big") for part in stamp)
    moved = Restamper("rosgraph_msgs/msg/Clock")(raw, 1)
    assert moved[4:] == (1_500_000_001).to_bytes(4, "big") + bytes(4)


def test_every_transform_is_moved():
    message = message_class("tf2_msgs/msg/TFMessage")()
    message.transforms = [stamped("geometry_msgs/msg/TransformStamped", 100 + place, 5) for place in range(3)]
    message.transforms[1].child_frame_id = "cam_back"
    raw = Restamper("tf2_msgs/msg/TFMessage")(bytes(serialize_message(message)), 2 * SECOND_NS)
    moved = deserialize_message(raw, type(message))
    assert [(t.header.stamp.sec, t.header.stamp.nanosec) for t in moved.transforms] == [(102, 5), (103, 5), (104, 5)]
    assert moved.transforms[1].child_frame_id == "cam_back"


def test_times_beside_the_header_are_moved_too():
    try:
        message = stamped("mapkd_ros/msg/VectorMap", 10, 0)
    except ValueError as error:
        pytest.skip(str(error))
    message.source_stamps = [message_class("builtin_interfaces/msg/Time")(sec=9, nanosec=1)]
    raw = Restamper("mapkd_ros/msg/VectorMap")(bytes(serialize_message(message)), SECOND_NS)
    moved = deserialize_message(raw, type(message))
    assert (moved.header.stamp.sec, moved.source_stamps[0].sec, moved.source_stamps[0].nanosec) == (11, 10, 1)


@pytest.mark.parametrize("msg_type", ["sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage"])
def test_an_unset_stamp_stays_unset(msg_type):
    message = message_class(msg_type)()
    if hasattr(message, "transforms"):
        message.transforms = [message_class("geometry_msgs/msg/TransformStamped")()]
    raw = bytes(serialize_message(message))
    assert deserialize_message(Restamper(msg_type)(raw, 5 * SECOND_NS), type(message)) == message


def test_messages_without_a_stamp_and_moves_by_nothing_cost_nothing():
    raw = bytes(serialize_message(message_class("std_msgs/msg/String")(data="hello")))
    assert Restamper("std_msgs/msg/String")(raw, SECOND_NS) is raw
    raw = bytes(serialize_message(stamped("sensor_msgs/msg/CameraInfo", 4, 0)))
    assert Restamper("sensor_msgs/msg/CameraInfo")(raw, 0) is raw
