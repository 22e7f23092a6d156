from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.cameras.rig import regular_rig
from mapkd_core.types import CAMERAS
from mapkd_ros.recorder import mcap_file, recorder_parameters


def test_all_inputs_and_outputs_of_the_node_are_recorded() -> None:
    topics = recorder_parameters.topics
    compressed, raw = topics("compressed", "student_node"), topics("raw", "other")
    for camera in CAMERAS:
        assert compressed[f"camera/{camera.lower()}/image_raw/compressed"] == "sensor_msgs/msg/CompressedImage"
        assert raw[f"camera/{camera.lower()}/image_raw"] == "sensor_msgs/msg/Image"
        assert compressed[f"camera/{camera.lower()}/camera_info"] == "sensor_msgs/msg/CameraInfo"
    assert compressed["student_node/vector_map"] == "mapkd_ros/msg/VectorMap"
    assert raw["other/markers"] == "visualization_msgs/msg/MarkerArray"
    assert {"/tf", "/tf_static", "/diagnostics"} <= set(compressed)


def test_the_file_reads_back_with_schemas_of_its_own(root: Path, tmp_path: Path) -> None:
    """mcap_ros2 knows nothing but what the file itself says of its types, as Foxglove does."""
    from mcap_ros2.reader import read_ros2_messages

    plain = PlainMessages()
    point = plain("geometry_msgs/msg/Point32")
    line = plain("mapkd_ros/msg/MapElement")(label_name="divider", points=[point(x=1.0), point(x=3.0)])
    message = plain("mapkd_ros/msg/VectorMap")(elements=[line], stage_latency_ms=np.array([1.5], np.float32))
    path = tmp_path / "new" / "out.mcap"
    file = mcap_file.McapFile(path, root)
    file.add_topic("/student_node/vector_map", "mapkd_ros/msg/VectorMap")
    file.write("/student_node/vector_map", plain.serialized(message), 99)
    file.close()
    assert file.count == 1
    (found,) = read_ros2_messages(str(path))
    assert found.log_time_ns == 99
    assert found.ros_msg.elements[0].label_name == "divider"
    assert [p.x for p in found.ros_msg.elements[0].points] == [1, 3]
    assert found.ros_msg.stage_latency_ms[0] == 1.5
    assert found.schema.data.decode().count("LABEL_") == 4


@pytest.mark.ros
def test_without_a_file_it_refuses_to_start(start_node: Any) -> None:
    process = start_node("recorder")
    assert process.wait(30) == 2
    assert "output is empty" in process.output


@pytest.mark.ros
def test_a_recording_of_nothing_is_still_a_sound_file(start_node: Any, tmp_path: Path) -> None:
    from mcap.reader import make_reader

    process = start_node("recorder", output=tmp_path / "out.mcap")
    process.wait_for("recording", 30)
    assert process.stop(signal.SIGINT) == 0, process.output
    with (tmp_path / "out.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert len(summary.channels) == len(recorder_parameters.topics("compressed", "student_node"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mcap"]


def test_topics_of_a_rig_are_recorded_in_place_of_the_usual_ones() -> None:
    rig = regular_rig(["left", "right"], "raw")
    found = recorder_parameters.topics("compressed", "student_node", rig)
    assert found["camera/left/image_raw"] == "sensor_msgs/msg/Image" and "camera/right/camera_info" in found
    assert not any("cam_front" in topic for topic in found)


@pytest.mark.ros
def test_a_recording_that_is_there_is_kept_until_a_new_one_is_complete(start_node: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    path.write_bytes(b"precious")
    process = start_node("recorder", output=path)
    assert process.wait(30) == 2 and "exists already; give another output, or overwrite:=true" in process.output
    process = start_node("recorder", output=path, overwrite=True)
    process.wait_for("recording", 30)
    assert (tmp_path / ".out.mcap.old").read_bytes() == b"precious"
    second = start_node("recorder", output=path, overwrite=True)
    assert second.wait(30) == 2 and f"in use by process {process.pid}" in second.output
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    process = start_node("recorder", output=path, overwrite=True)
    process.wait_for("recording", 30)
    assert (tmp_path / ".out.mcap.old").read_bytes() == b"precious"  # not what the killed one had begun
    assert process.stop() == 0 and sorted(p.name for p in tmp_path.iterdir()) == ["out.mcap"]


@pytest.mark.ros
def test_a_killed_recording_is_read_and_repaired_whole(start_node: Any, tmp_path: Path) -> None:
    """SIGKILL in the middle of a drive: as many messages are found as a streaming reader finds."""
    from mcap.exceptions import McapError
    from mcap.reader import NonSeekingReader, make_reader
    from tiny_nuscenes import write_tiny_nuscenes

    from mapkd_core.bags.reader import BagReader
    from mapkd_core.bags.repair import repair

    path = tmp_path / "out.mcap"
    process = start_node("recorder", output=path)
    process.wait_for("recording", 30)
    dataroot = write_tiny_nuscenes(tmp_path / "nuscenes", {"scene-1": 3})
    start_node("nuscenes_player", dataroot=dataroot, loop=True, rate=20.0, wait_for_subscribers=30.0)
    until = time.monotonic() + 60
    while path.stat().st_size < 100_000:
        assert time.monotonic() < until, process.output
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    streamed = []
    with path.open("rb") as file, pytest.raises(McapError):
        for _, channel, message in NonSeekingReader(file).iter_messages(log_time_order=False):
            streamed.append((message.log_time, channel.topic, message.data))
    with BagReader(path) as bag:
        found = [(message.log_ns, message.topic.name, message.data) for message in bag.messages()]
    assert sorted(found) == sorted(streamed) and len(found) > 100
    assert {topic for _, topic, _ in found} >= {"/tf", "/tf_static", "/camera/cam_back/camera_info"}
    done = repair(path, progress=False)
    with done.path.open("rb") as file:
        assert len(list(make_reader(file, validate_crcs=True).iter_messages())) == len(streamed)


@pytest.mark.ros
def test_publishers_of_any_qos_are_heard_and_noted_with_it(start_node: Any, listen: Any, tmp_path: Path) -> None:
    """A camera driver's best effort, a camera_info that came once before, a /tf_static that nobody latched."""
    import rclpy
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    from mapkd_core.bags.qos import Profile
    from mapkd_core.bags.reader import BagReader
    from mapkd_ros.sensor_messages import message_class

    qos = {
        "/camera/cam_front/image_raw/compressed": Profile(5, reliable=False),
        "/camera/cam_front/camera_info": Profile(1, latched=True),
        "/tf_static": Profile(5),
    }
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("driver", context=context)
    try:
        publishers = {}
        types = {f"/{name.lstrip('/')}": kind for name, kind in recorder_parameters.topics("compressed", "n").items()}
        for topic, profile in qos.items():
            publishers[topic] = node.create_publisher(
                message_class(types[topic]), topic,
                QoSProfile(
                    depth=profile.depth,
                    reliability=ReliabilityPolicy.RELIABLE if profile.reliable else ReliabilityPolicy.BEST_EFFORT,
                    durability=DurabilityPolicy.TRANSIENT_LOCAL if profile.latched else DurabilityPolicy.VOLATILE,
                ),
            )  # fmt: skip
        once = publishers["/camera/cam_front/camera_info"]
        once.publish(once.msg_type())
        process = start_node("recorder", output=tmp_path / "out.mcap")
        process.wait_for("recording", 30)
        until = time.monotonic() + 30
        others = [publisher for publisher in publishers.values() if publisher is not once]
        while not all(publisher.get_subscription_count() for publisher in others):
            assert time.monotonic() < until
            time.sleep(0.05)
        for _ in range(5):
            for publisher in others:
                publisher.publish(publisher.msg_type())
            time.sleep(0.2)
        assert process.stop() == 0, process.output
    finally:
        node.destroy_node()
        context.try_shutdown()
    with BagReader(tmp_path / "out.mcap") as bag:
        found = {topic.name: topic for topic in bag.topics if topic.count}
    assert set(found) == set(qos)
    for topic, profile in qos.items():
        (noted,) = found[topic].profiles
        assert (noted.reliable, noted.latched) == (profile.reliable, profile.latched)
    assert found["/tf_static"].count >= 3


@pytest.mark.ros
def test_what_is_latched_is_new_once_however_many_subscriptions_bring_it() -> None:
    from mapkd_ros.recorder.recorder_node import HeardBefore

    before = HeardBefore()
    assert [before(b"a", number) for number in (1, 3, 2, 4, 6)] == [False, True, True, True, True]
    assert [before(b"a", number) for number in (4, 6, 6, 4)] == [False, True, False, True], "sent again, it is new"
    assert not before(b"b", 4) and before(b"b", 6) and not before(b"b", 6)


def test_what_one_publisher_latched_is_recorded_beside_one_that_latches_nothing(
    private_domain: int, capfd: pytest.CaptureFixture[str]
) -> None:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from tf2_msgs.msg import TFMessage

    from mapkd_ros import qos
    from mapkd_ros.recorder.recorder_node import Recorder

    context = rclpy.Context()
    rclpy.init(context=context)
    sender, node = rclpy.create_node("sender", context=context), rclpy.create_node("recorder", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    written: list[bytes] = []
    file = SimpleNamespace(
        has_topic=lambda topic: True, write=lambda topic, raw, stamp_ns: written.append(bytes(raw))
    )
    latched = sender.create_publisher(TFMessage, "/tf_static", qos.profile(latched=True))
    latched.publish(mountings(1))
    plain = sender.create_publisher(TFMessage, "/tf_static", qos.profile())

    def wait(until: Callable[[], object]) -> None:
        end = time.monotonic() + 15
        while not until() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.02)

    try:
        recorder = Recorder(node, file, {"/tf_static": "tf2_msgs/msg/TFMessage"}, "student_node")  # type: ignore[arg-type]
        wait(lambda: recorder._taps[0].kept is not None and plain.get_subscription_count())
        wait(lambda: written)
        assert len(written) == 1
        plain.publish(mountings(2))
        latched.publish(mountings(3))
        wait(lambda: len(written) > 2)
        for _ in range(20):
            executor.spin_once(timeout_sec=0.02)
        assert len(written) == len(set(written)) == 3
        told = capfd.readouterr()
        assert "[recorder]" not in told.out + told.err, "all are heard, so none is said not to be"
        sender.destroy_publisher(plain)
        wait(lambda: recorder._taps[0].kept is None)
        assert recorder._taps[0].kept is None and recorder._taps[0].asked.latched
    finally:
        executor.shutdown()
        node.destroy_node()
        sender.destroy_node()
        context.try_shutdown()


def mountings(count: int) -> Any:
    """So many transforms."""
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    return TFMessage(transforms=[TransformStamped() for _ in range(count)])
