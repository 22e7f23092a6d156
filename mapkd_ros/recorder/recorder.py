#!/usr/bin/env python3
"""Records student_node's inputs and outputs to one MCAP file that opens in Foxglove.

    ros2 run mapkd_ros recorder --ros-args -p output:=out.mcap

Ends on SIGINT or SIGTERM with exit code 0; 2 when it cannot start, the reason is one line on stderr.
"""
from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.bags.drive_stream import LIDAR_TOPIC
from mapkd_core.bags.sensor_fields import POINT_CLOUD, TF_MESSAGE
from mapkd_core.cameras.topics import (
    CAMERA_INFO,
    FORMER_TRANSPORTS,
    IMAGE_TRANSPORTS,
    image_topic,
    image_type,
    info_topic,
)
from mapkd_core.types import CAMERAS
from mapkd_ros import qos
from mapkd_ros.node_main import only_ros_arguments, ros, run_main, spin
from mapkd_ros.parameters import Parameter, declare, help_text
from mapkd_ros.topics import STUDENT_OUTPUTS

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

    from mapkd_ros.stop_signals import StopSignals

PARAMETERS = (
    Parameter("output", "", "the .mcap file to write; one that is there is replaced"),
    Parameter("image_transport", "compressed", "record camera/name/image_raw/compressed or camera/name/image_raw",
              choices=IMAGE_TRANSPORTS, former_name="transport", former_words=FORMER_TRANSPORTS),
    Parameter("node", "student_node", "name of the node whose outputs are recorded"),
)  # fmt: skip

_DEPTH = 100


def topics(image_transport: str, node: str) -> dict[str, str]:
    """Topic -> message type of what is recorded, without a namespace."""
    found = {"/tf": TF_MESSAGE, "/tf_static": TF_MESSAGE, LIDAR_TOPIC: POINT_CLOUD}
    for camera in CAMERAS:
        found[image_topic(camera, image_transport)] = image_type(image_transport)
        found[info_topic(camera)] = CAMERA_INFO
    return found | {topic.name.replace("~", node): topic.msg_type for topic in STUDENT_OUTPUTS}


@cache
def typestore(share: Path) -> Typestore:
    """rosbags' message definitions, and this package's own from its installed `share` folder."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    for path in sorted((share / "msg").glob("*.msg")):
        store.register(get_types_from_msg(path.read_text(), f"mapkd_ros/msg/{path.stem}"))
    return store


class McapFile:
    """An MCAP file of ROS 2 messages, each topic with the definition of its type. Close it, or it has no index."""

    def __init__(self, path: Path, share: Path):
        from mcap.writer import CompressionType, Writer

        path.parent.mkdir(parents=True, exist_ok=True)
        self._types = typestore(share)
        self._writer = Writer(str(path), compression=CompressionType.LZ4)
        self._writer.start(profile="ros2", library="mapkd_ros")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self.count = 0

    def add_topic(self, topic: str, msg_type: str) -> None:
        """Declares a topic before its first message."""
        if msg_type not in self._schemas:
            definition, _ = self._types.generate_msgdef(msg_type, ros_version=2)
            self._schemas[msg_type] = self._writer.register_schema(msg_type, "ros2msg", definition.encode())
        self._channels[topic] = self._writer.register_channel(
            topic, "cdr", self._schemas[msg_type], {"offered_qos_profiles": ""}
        )

    def write(self, topic: str, raw: bytes, stamp_ns: int) -> None:
        """Adds a serialized message, received at `stamp_ns`."""
        self._writer.add_message(self._channels[topic], stamp_ns, raw, stamp_ns)
        self.count += 1

    def close(self) -> None:
        """Writes the index."""
        self._writer.finish()


def _subscribe(node: Any, topic: str, msg_type: str, file: McapFile) -> None:
    from mapkd_ros.sensor_messages import message_class

    profile = qos.profile(depth=_DEPTH, latched=topic == "/tf_static")
    qos.create_subscription(
        node, message_class(msg_type), topic, lambda raw: file.write(topic, raw, time.time_ns()), profile, raw=True
    )


def main() -> int:
    """Records until a signal comes; returns the exit code."""
    return run_main("recorder", _run)


def _run(signals: StopSignals) -> int:
    if not only_ros_arguments(lambda: help_text(__doc__, PARAMETERS)):
        return 0
    import rclpy
    from ament_index_python.packages import get_package_share_directory

    with ros():
        node = rclpy.create_node("recorder")
        values = declare(node, PARAMETERS)
        if not values["output"]:
            raise ValueError("output is empty; give a file: --ros-args -p output:=out.mcap")
        file = McapFile(Path(values["output"]).expanduser(), Path(get_package_share_directory("mapkd_ros")))
        try:
            wanted = topics(values["image_transport"], values["node"])
            for name, msg_type in wanted.items():
                topic = node.resolve_topic_name(name)
                file.add_topic(topic, msg_type)
                _subscribe(node, topic, msg_type, file)
            qos.tell_unused_overrides(node)
            node.get_logger().info(f"recording {len(wanted)} topics to {values['output']}")
            spin(node, signals)
        finally:
            file.close()
        node.get_logger().info(f"recorded {file.count} messages")
        node.destroy_node()
    return 0


if __name__ == "__main__":
    sys.exit(main())
