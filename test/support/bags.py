"""Writes small rosbag2 files with rosbags for the tests of whoever reads them."""
from __future__ import annotations

from pathlib import Path

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

TYPES = get_typestore(Stores.ROS2_HUMBLE)
SECOND_NS = 1_000_000_000
FOREIGN = "nope_msgs/msg/Thing"
"""A message type that no machine has installed."""

TYPES.register(get_types_from_msg("int32 number", FOREIGN))


def qos(latched: bool = False, reliable: bool = True, depth: int = 5) -> Qos:
    never = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        never,
        never,
        QosLiveliness.AUTOMATIC,
        never,
        False,
    )


def header(stamp_ns: int, frame: str = "f") -> object:
    stamp = TYPES.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, SECOND_NS))
    return TYPES.types["std_msgs/msg/Header"](stamp, frame)


def string(text: str) -> object:
    return TYPES.types["std_msgs/msg/String"](text)


def point(stamp_ns: int, x: float) -> object:
    return TYPES.types["geometry_msgs/msg/PointStamped"](
        header(stamp_ns), TYPES.types["geometry_msgs/msg/Point"](x, 0.0, 0.0)
    )


def transform_message(stamp_ns: int, child: str) -> object:
    types = TYPES.types
    pose = types["geometry_msgs/msg/Transform"](
        types["geometry_msgs/msg/Vector3"](1.0, 2.0, 3.0), types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    )
    placed = types["geometry_msgs/msg/TransformStamped"](header(stamp_ns, "base_link"), child, pose)
    return types["tf2_msgs/msg/TFMessage"]([placed])


def foreign(number: int) -> object:
    return TYPES.types[FOREIGN](number)


def write(
    path: Path, messages: list[tuple[int, str, object]], storage: str = "mcap", profiles: dict | None = None
) -> Path:
    """A bag of (log time in ns, topic, message); `profiles` gives topics their QoS."""
    with Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        connections: dict[str, object] = {}
        for stamp_ns, topic, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                offered = [profiles[topic]] if profiles and topic in profiles else []
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES, offered_qos_profiles=offered)
            writer.write(connections[topic], stamp_ns, TYPES.serialize_cdr(message, kind))
    return path
