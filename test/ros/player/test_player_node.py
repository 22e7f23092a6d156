"""The player as its own process, heard over DDS by another."""
from __future__ import annotations

import os
import re
import shutil
import signal
import time
from itertools import pairwise

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: rclpy is not installed")
pytest.importorskip("nuscenes", reason="nuscenes-devkit reads the tables")
pytest.importorskip("rosbags", reason="rosbags reads and writes bags")

import bags
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tiny_nuscenes import (
    OFFSETS_US,
    PERIOD_US,
    VERSION,
    add_what_all_of_nuscenes_has,
    first_stamp_us,
    write_tiny_nuscenes,
)

from mapkd_core.bags.drive_stream import DriveStream, open_drive
from mapkd_core.types import CAMERAS
from mapkd_ros.sensor_messages import message_class

pytestmark = pytest.mark.ros
SECOND_NS = 1_000_000_000
PATIENCE_S = 60.0  # a busy machine may be slow, a broken player never delivers

LOSSLESS = {"depth": 1000}
"""A queue that keeps everything for a test that gets no processor time for a while."""

JPEG, INFO = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
IMAGE_TOPICS = {f"camera/{camera.lower()}/image_raw/compressed": JPEG for camera in CAMERAS}
OTHER_TOPICS = {f"camera/{camera.lower()}/camera_info": INFO for camera in CAMERAS} | {
    "/tf": "tf2_msgs/msg/TFMessage",
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "lidar_top/points": "sensor_msgs/msg/PointCloud2",
}
ALL_TOPICS = OTHER_TOPICS | IMAGE_TOPICS


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory):
    return write_tiny_nuscenes(tmp_path_factory.mktemp("nuscenes"), {"scene-1": 3, "scene-2": 1})


class Listener:
    """A node of this process that notes (topic, message)."""

    def __init__(self, topics, **qos):
        self.context = Context()
        rclpy.init(args=[], context=self.context)
        self.node = Node("listener", context=self.context)
        self.heard: list[tuple] = []
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        for topic, msg_type in topics.items():
            self.subscribe(topic, msg_type, **qos)

    def subscribe(self, topic, msg_type, depth=1000):
        latched = topic == "/tf_static"
        profile = QoSProfile(
            depth=depth,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        note = lambda message: self.heard.append((topic, message))  # noqa: E731
        self.node.create_subscription(message_class(msg_type), topic, note, profile)

    def until(self, done):
        end = time.monotonic() + PATIENCE_S
        while not done(self):
            self.executor.spin_once(timeout_sec=0.05)
            assert time.monotonic() < end, f"in {PATIENCE_S} s only {len(self.heard)} messages came"

    def of(self, topic):
        return [message for heard, message in self.heard if heard == topic]

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def listen():
    listeners = []

    def start(topics, **kwargs):
        listeners.append(Listener(topics, **kwargs))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


def ns(header):
    return header.stamp.sec * SECOND_NS + header.stamp.nanosec


def test_it_waits_for_as_many_subscribers_as_are_asked_for(dataroot, listen, start_node):
    first = listen(IMAGE_TOPICS)
    given = {"dataroot": dataroot, "scene": "scene-1", "rate": 4, "wait_for_subscribers": 30.0, "subscribers": 2}
    process = start_node("nuscenes_player", **given, **LOSSLESS)
    process.wait_for("playing", PATIENCE_S)
    soon = time.monotonic() + 2.0
    first.until(lambda heard: time.monotonic() > soon)
    assert not first.heard, "a second one may still come"
    second = listen(IMAGE_TOPICS)
    for listener in (second, first):
        listener.until(lambda heard: len(heard.heard) >= 3 * 6)
    assert process.wait(PATIENCE_S) == 0


def test_what_no_subscriber_asks_for_is_played_after_the_wait(dataroot, listen, start_node):
    given = {"dataroot": dataroot, "scene": "scene-1", "rate": 8, "wait_for_subscribers": 1.0, "subscribers": 2}
    process = start_node("nuscenes_player", **given)
    assert process.wait(PATIENCE_S) == 0
    assert "after 1 s there is fewer than 2 subscribers of camera/" in process.output


def test_a_drive_arrives_whole_with_true_bytes_and_stamps(dataroot, listen, start_node):
    listener = listen(ALL_TOPICS)
    given = {"dataroot": dataroot, "scene": "scene-1", "rate": 2, "wait_for_subscribers": 30.0}
    process = start_node("nuscenes_player", **given, **LOSSLESS)
    listener.until(lambda heard: len(heard.heard) - len(heard.of("/tf_static")) >= 3 * (6 + 6 + 7 + 1))
    listener.until(lambda heard: heard.of("/tf_static"))
    assert process.wait(PATIENCE_S) == 0
    for camera in CAMERAS:
        images = listener.of(f"camera/{camera.lower()}/image_raw/compressed")
        infos = listener.of(f"camera/{camera.lower()}/camera_info")
        stamps = [(first_stamp_us(0) + index * PERIOD_US + OFFSETS_US[camera]) * 1000 for index in range(3)]
        assert [ns(message.header) for message in images] == [ns(message.header) for message in infos] == stamps
        assert {message.header.frame_id for message in images + infos} == {camera.lower()}
        files = [(dataroot / f"samples/{camera}/scene-1-{index}.jpg").read_bytes() for index in range(3)]
        assert [bytes(message.data) for message in images] == files
        assert [(message.width, message.height, message.k[4]) for message in infos] == [(64, 36, 51.0)] * 3
    # Sent once; who meets the player in that moment may get it twice, as news and as what is latched.
    assert f"published {3 * (6 + 6 + 7 + 1) + 1} messages" in process.output
    static, *again = listener.of("/tf_static")
    assert all(message == static for message in again)
    assert [t.child_frame_id for t in static.transforms] == [camera.lower() for camera in CAMERAS]
    assert {t.header.frame_id for t in static.transforms} == {"base_link"}
    poses = [transform for message in listener.of("/tf") for transform in message.transforms]
    assert len({ns(pose.header) for pose in poses}) == 21
    assert {(pose.header.frame_id, pose.child_frame_id) for pose in poses} == {("map", "base_link")}
    clouds = listener.of("lidar_top/points")
    assert [ns(message.header) for message in clouds] == [
        (first_stamp_us(0) + index * PERIOD_US) * 1000 for index in range(3)
    ]
    assert {(message.header.frame_id, message.width) for message in clouds} == {("base_link", 2)}


def test_of_all_of_nuscenes_one_scene_is_played_whose_images_are_here(tmp_path, listen, start_node):
    root, version = write_tiny_nuscenes(tmp_path, {"scene-0001": 2, "scene-0061": 2}, "v1.0-trainval"), "v1.0-trainval"
    add_what_all_of_nuscenes_has(root / version)
    shutil.rmtree(root / "samples/CAM_FRONT")
    (root / "samples/CAM_FRONT").mkdir()
    for index in range(2):
        shutil.copy(root / f"samples/CAM_BACK/scene-0061-{index}.jpg", root / "samples/CAM_FRONT")
    listener = listen(ALL_TOPICS)
    given = {"dataroot": root, "version": version, "scene": "scene-0061", "wait_for_subscribers": 30.0, "rate": 4}
    process = start_node("nuscenes_player", **given, **LOSSLESS)
    listener.until(lambda heard: len(heard.heard) - len(heard.of("/tf_static")) >= 2 * (6 + 6 + 7 + 1))
    assert process.wait(PATIENCE_S) == 0, process.output
    assert "2 frames of scene-0061" in process.output
    stamps = [(first_stamp_us(1) + index * PERIOD_US + OFFSETS_US["CAM_BACK"]) * 1000 for index in range(2)]
    assert [ns(message.header) for message in listener.of("camera/cam_back/image_raw/compressed")] == stamps
    poses = [transform for message in listener.of("/tf") for transform in message.transforms]
    assert {pose.transform.translation.y for pose in poses} == {7.0}  # of keyframes; those of sweeps lie at 0


def test_a_loop_goes_on_for_ever_in_increasing_time_and_not_faster_than_asked(dataroot, listen, start_node):
    topic = "camera/cam_front/image_raw/compressed"
    listener = listen({topic: JPEG})
    process = start_node("nuscenes_player", dataroot=dataroot, loop=True, rate=10.0, lidar=False, **LOSSLESS)
    listener.until(lambda heard: len(heard.of(topic)) >= 10)
    # The rig is latched: whoever comes in the middle of the drive gets it at once.
    late = listen({"/tf_static": "tf2_msgs/msg/TFMessage"})
    late.until(lambda heard: heard.of("/tf_static"))
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0, process.output
    assert "Traceback" not in process.output
    stamps = [ns(message.header) for message in listener.of(topic)]
    assert {b - a for a, b in pairwise(stamps)} == {PERIOD_US * 1000}  # across scenes and passes alike
    # What was heard cannot have been sent in less time than it takes at this rate.
    seconds = float(re.search(r"published \d+ messages in ([\d.]+) s", process.output).group(1))
    assert seconds + 0.05 >= (stamps[-1] - stamps[0]) / SECOND_NS / 10


def test_stamps_of_now_and_a_clock(dataroot, listen, start_node):
    topic = "camera/cam_front/image_raw"
    images = {f"camera/{camera.lower()}/image_raw": "sensor_msgs/msg/Image" for camera in CAMERAS}
    listener = listen(images | {"/clock": "rosgraph_msgs/msg/Clock"})
    begun_ns = time.time_ns()
    given = {"dataroot": dataroot, "scene": "scene-1", "wait_for_subscribers": 30.0, "rate": 2}
    process = start_node("nuscenes_player", transport="raw", stamps="now", clock=True, **given, **LOSSLESS)

    def times():
        return [message.clock.sec * SECOND_NS + message.clock.nanosec for message in listener.of("/clock")]

    # Two topics may overtake each other: wait for the clock to have come as far as the last image.
    listener.until(lambda heard: len(heard.of(topic)) == 3 and times()[-1:] >= [ns(heard.of(topic)[-1].header)])
    assert process.wait(PATIENCE_S) == 0
    images = listener.of(topic)
    assert all(begun_ns < ns(message.header) < time.time_ns() for message in images)
    assert images[0].encoding == "rgb8" and len(images[0].data) == 64 * 36 * 3
    gaps = [b - a for a, b in pairwise([ns(message.header) for message in images])]
    assert min(gaps) >= PERIOD_US * 1000 // 2 - 2  # more only where a busy machine has made the player late
    assert times() == sorted(times()) and len(times()) > 5
    assert times()[0] <= ns(images[-1].header)


def test_a_bag_is_played_as_the_data_set_itself(dataroot, tmp_path, listen, start_node):
    from mapkd_core.bags.writer import write_bag

    drive = DriveStream(open_drive(dataroot, VERSION, ["scene-1"]))
    write_bag(drive, tmp_path / "bag", "sqlite3", progress=False)
    listener = listen(ALL_TOPICS)
    process = start_node("nuscenes_player", bag=tmp_path / "bag", wait_for_subscribers=30.0, rate=4.0, **LOSSLESS)
    listener.until(lambda heard: len(heard.heard) >= 61)
    assert process.wait(PATIENCE_S) == 0
    expected = {}
    for record in drive.records():
        if record.topic.msg_type == JPEG:
            fields = record.fields(record.stamp_ns)
            expected.setdefault(record.topic.name, []).append((record.stamp_ns, fields["data"].tobytes()))
    for topic in IMAGE_TOPICS:
        assert [(ns(message.header), bytes(message.data)) for message in listener.of(topic)] == expected[topic]


def test_a_bag_in_a_loop_leaves_out_foreign_types_and_says_so(tmp_path, listen, start_node):
    messages = [(place * SECOND_NS // 5, "/point", bags.point(place * SECOND_NS // 5 + 1, place)) for place in range(5)]
    bag = bags.write(tmp_path / "bag", [*messages, (0, "/thing", bags.foreign(7))])
    listener = listen({"/point": "geometry_msgs/msg/PointStamped"})
    # A bag is recognised wherever it is given.
    process = start_node("nuscenes_player", dataroot=bag, loop=True, rate=2.0, **LOSSLESS)
    listener.until(lambda heard: len(heard.of("/point")) >= 12)
    assert process.stop(signal.SIGTERM) == 0
    assert process.output.count("nope_msgs/msg/Thing") == 1
    found = listener.of("/point")
    assert {b - a for a, b in pairwise([ns(message.header) for message in found])} == {SECOND_NS // 5}
    assert [message.point.x for message in found] == [(found[0].point.x + place) % 5 for place in range(len(found))]
