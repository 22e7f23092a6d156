"""What makes a message: the class of rclpy or of rosbags, so that one builder serves the node and files alike."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

MessageClasses = Callable[[str], Any]
"""`package/msg/Name` -> what makes such a message from keyword arguments; fields that are not given keep defaults."""


def seconds_and_ns(nanoseconds: int) -> dict[str, int]:
    """Fields `sec` and `nanosec` of a Time or Duration message."""
    sec, nanosec = divmod(nanoseconds, 1_000_000_000)
    return {"sec": sec, "nanosec": nanosec}


def header_of(classes: MessageClasses, stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header."""
    stamp = classes("builtin_interfaces/msg/Time")(**seconds_and_ns(stamp_ns))
    return classes("std_msgs/msg/Header")(stamp=stamp, frame_id=frame_id)
