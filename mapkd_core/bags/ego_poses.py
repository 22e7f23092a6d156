"""Where the vehicle was at any time of a bag: from /tf, each transform at its own time, or from Odometry messages.

    with BagReader("drive.mcap") as bag:
        poses = read_poses(bag)
        map_from_base = poses.at(stamp_ns)
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.bags.reader import BagReader
from mapkd_core.bags.sensor_fields import BASE_FRAME, TF_MESSAGE
from mapkd_core.cameras.timed_transforms import TimedTransforms
from mapkd_core.schema import FileFault

ODOMETRY = "nav_msgs/msg/Odometry"
FRAMES = ("map", "odom")
"""Fixed frames that are looked for, best first."""


@dataclass(frozen=True)
class EgoPoses:
    """Poses of the vehicle at any time."""

    frame: str
    """The fixed frame in which they are."""
    source: str
    """What they were taken from."""
    base_frame: str
    transforms: TimedTransforms

    def at(self, stamp_ns: int) -> NDArray[np.float64]:
        """4x4 `frame_from_base`. Raises NoTransformError where the poses around are missing."""
        return self.transforms.at(self.frame, self.base_frame, stamp_ns)


def read_poses(bag: BagReader, frame: str = "", base_frame: str = BASE_FRAME, odometry: str = "") -> EgoPoses:
    """The poses of a bag in the fixed frame `frame`: by default map, else odom, else that of its Odometry.

    `odometry` names a topic to take in their place. Raises FileFault where the bag has no such poses; it says which
    frames there are.
    """
    messages = PlainMessages()
    topics = [topic for topic in bag.topics if topic.count and topic.encoding == "cdr"]
    if odometry:
        wanted = [t for t in topics if t.name.lstrip("/") == odometry.lstrip("/") and t.msg_type == ODOMETRY]
        if not wanted:
            raise FileFault(f"{bag.path} holds no {ODOMETRY} on {odometry}; name another topic, or leave it to /tf")
        return _from_odometry(bag, messages, wanted[0].name, frame, base_frame)
    transforms = TimedTransforms()
    for message in bag.messages([topic for topic in topics if topic.msg_type == TF_MESSAGE]):
        content = _read(messages, message.data, TF_MESSAGE)
        if content is not None:
            transforms.update(content.transforms, message.topic.name.endswith("tf_static"))
    names = transforms.ancestors(base_frame)
    for wanted_frame in (frame,) if frame else FRAMES:
        if wanted_frame in names:
            return EgoPoses(wanted_frame, "/tf", base_frame, transforms)
    found = [topic.name for topic in topics if topic.msg_type == ODOMETRY]
    if found:
        return _from_odometry(bag, messages, found[0], frame, base_frame)
    there = f"{base_frame} hangs on {' <- '.join(names[::-1])}" if names else f"nothing names the frame {base_frame}"
    raise FileFault(
        f"{bag.path} says nowhere how the vehicle moved in {frame or 'map or odom'}: in its transforms {there}, and it "
        "has no Odometry; name the frames with --frame and --base-frame, or record /tf too"
    )


def _from_odometry(
    bag: BagReader, messages: PlainMessages, name: str, frame: str, base_frame: str
) -> EgoPoses:
    transforms, parent = TimedTransforms(), ""
    for message in bag.messages([t for t in bag.topics if t.name == name and t.msg_type == ODOMETRY]):
        one = _read(messages, message.data, ODOMETRY)
        if one is None:
            continue
        if one.child_frame_id.lstrip("/") not in ("", base_frame):
            raise FileFault(
                f"{name} in {bag.path} tells how {one.child_frame_id!r} moved, not {base_frame!r}; name it with "
                "--base-frame if the cameras' transforms lead there"
            )
        frame_id = one.header.frame_id.lstrip("/") or "odom"
        if transforms.add(frame_id, base_frame, one.header.stamp, one.pose.pose.position, one.pose.pose.orientation):
            parent = frame_id
    if not parent:
        raise FileFault(f"{name} in {bag.path} holds no usable pose; record it again, or take poses from /tf")
    if frame and parent != frame:
        raise FileFault(f"{name} in {bag.path} is in the frame {parent!r}, not {frame!r}")
    return EgoPoses(parent, name, base_frame, transforms)


def _read(messages: PlainMessages, data: bytes, kind: str) -> Any:
    try:
        return messages.types.deserialize_cdr(data, kind)
    except Exception:  # of struct, numpy, unicode: whatever bytes that are none make it run into
        return None
