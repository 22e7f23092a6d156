"""Bags with cameras, written message by message: any names, topics, calibrations and orders."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mapkd_core.bags.mcap_writer import McapWriter
from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.messages.classes import header_of

PLAIN = PlainMessages()
BEGIN_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
SIZE = (64, 36)
K = np.array([50.0, 0, 32, 0, 50, 18, 0, 0, 1])


def jpeg(value: int = 90, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Bytes of a JPEG of one gray."""
    return cv2.imencode(".jpg", np.full((size[1], size[0], 3), value, np.uint8))[1].reshape(-1)


def compressed(stamp_ns: int, frame: str, data: np.ndarray | None = None) -> Any:
    return PLAIN("sensor_msgs/msg/CompressedImage")(
        header=header_of(PLAIN, stamp_ns, frame), format="jpeg", data=jpeg() if data is None else data
    )


def raw(stamp_ns: int, frame: str, encoding: str = "rgb8") -> Any:
    width, height = SIZE
    data = np.full(3 * width * height, 70, np.uint8)
    return PLAIN("sensor_msgs/msg/Image")(
        header=header_of(PLAIN, stamp_ns, frame), width=width, height=height, step=3 * width, encoding=encoding,
        data=data,
    )  # fmt: skip


def info(stamp_ns: int, frame: str, d: tuple[float, ...] = (), k: np.ndarray = K, size: tuple[int, int] = SIZE) -> Any:
    return PLAIN("sensor_msgs/msg/CameraInfo")(
        header=header_of(PLAIN, stamp_ns, frame), width=size[0], height=size[1], k=k, d=np.array(d),
        distortion_model="plumb_bob",
    )  # fmt: skip


def transforms(stamp_ns: int, *frames: str, parent: str = "base_link") -> Any:
    """Each frame 1.5 m over the parent, turned to look ahead."""
    stamped, pose = PLAIN("geometry_msgs/msg/TransformStamped"), PLAIN("geometry_msgs/msg/Transform")
    place = PLAIN("geometry_msgs/msg/Vector3")(x=1.0, y=0.0, z=1.5)
    turn = PLAIN("geometry_msgs/msg/Quaternion")(x=-0.5, y=0.5, z=-0.5, w=0.5)
    return PLAIN("tf2_msgs/msg/TFMessage")(
        transforms=[
            stamped(
                header=header_of(PLAIN, stamp_ns, parent), child_frame_id=frame,
                transform=pose(translation=place, rotation=turn),
            )
            for frame in frames
        ]
    )  # fmt: skip


def write(path: Path, messages: list[tuple[int, str, Any]]) -> Path:
    """(log time in ns, topic, message, or (type, bytes) of one that is none) -> an MCAP file."""
    with McapWriter(path) as writer:
        numbers: dict[str, int] = {}
        for log_ns, topic, message in messages:
            kind, data = message if isinstance(message, tuple) else (message.__msgtype__, PLAIN.serialized(message))
            if topic not in numbers:
                numbers[topic] = writer.add_topic(topic, kind, PLAIN.definition(kind))
            writer.write(numbers[topic], data, log_ns)
    return path


def drive(names: tuple[str, ...], count: int = 5, pattern: str = "/{}/image_raw/compressed") -> list:
    """Images of all cameras with camera_info, `count` of each, the cameras 2 ms apart; transforms first."""
    messages = [(BEGIN_NS, "/tf_static", transforms(BEGIN_NS, *names))]
    for k in range(count):
        for place, name in enumerate(names):
            at_ns = BEGIN_NS + k * PERIOD_NS + place * 2_000_000
            topic = pattern.format(name)
            folder = topic.removesuffix("/compressed").rpartition("/")[0]
            image = compressed(at_ns, name) if topic.endswith("/compressed") else raw(at_ns, name)
            messages += [(at_ns, f"{folder}/camera_info", info(at_ns, name)), (at_ns, topic, image)]
    return messages
