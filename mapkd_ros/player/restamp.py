"""Moves every time stamp inside a serialized message, so that a bag can be played again, or as if it happened now."""
from __future__ import annotations

import struct
from functools import cache
from typing import Any

from mapkd_ros.sensor_messages import message_class

_TIME, _HEADER = "builtin_interfaces/Time", "std_msgs/Header"
_STAMP_AT = 4
"""Four bytes say how the message is serialized (CDR); a leading stamp, or a header's, follows at once."""


class Restamper:
    """Adds nanoseconds to all stamps of one message type; a stamp of zero means `unset` or `latest` and stays.

    A stamp at the very start, where a header holds it, is changed in place; a message with stamps deeper inside is
    deserialized and walked through.
    """

    def __init__(self, msg_type: str):
        self.cls = message_class(msg_type)
        types = list(self.cls.get_fields_and_field_types().values())  # type: ignore[attr-defined]
        stamped = [holds_time(field_type) for field_type in types]
        self.leading = bool(types) and types[0] in (_TIME, _HEADER)
        self.deep = any(stamped[1:] if self.leading else stamped)

    def __call__(self, raw: bytes, shift_ns: int) -> bytes:
        """The serialized message with its stamps moved."""
        if shift_ns == 0 or not (self.leading or self.deep):
            return raw
        if not self.deep:
            return _moved_leading(raw, shift_ns)
        from rclpy.serialization import deserialize_message, serialize_message

        message: Any = deserialize_message(raw, self.cls)
        _move(message, shift_ns)
        return bytes(serialize_message(message))


@cache
def holds_time(field_type: str) -> bool:
    """Whether a field of this type (in get_fields_and_field_types() notation) has a time stamp anywhere inside."""
    field_type = _element_type(field_type)
    if field_type in (_TIME, _HEADER):
        return True
    if "/" not in field_type:
        return False
    package, name = field_type.split("/")
    nested: Any = message_class(f"{package}/msg/{name}")
    return any(holds_time(inner) for inner in nested.get_fields_and_field_types().values())


def _element_type(field_type: str) -> str:
    if field_type.startswith("sequence<"):
        return field_type[len("sequence<") : -1].split(",")[0]
    return field_type.split("[")[0]


def _moved_leading(raw: bytes, shift_ns: int) -> bytes:
    layout = "<iI" if raw[1] & 1 else ">iI"
    seconds, nanoseconds = struct.unpack_from(layout, raw, _STAMP_AT)
    if seconds == 0 and nanoseconds == 0:
        return raw
    moved = bytearray(raw)
    struct.pack_into(layout, moved, _STAMP_AT, *divmod(seconds * 1_000_000_000 + nanoseconds + shift_ns, 1_000_000_000))
    return bytes(moved)


def _move(message: Any, shift_ns: int) -> None:
    for name, field_type in message.get_fields_and_field_types().items():
        if not holds_time(field_type):
            continue
        value = getattr(message, name)
        for entry in value if isinstance(value, (list, tuple)) else [value]:
            if _element_type(field_type) != _TIME:
                _move(entry, shift_ns)
            elif entry.sec or entry.nanosec:
                total_ns = entry.sec * 1_000_000_000 + entry.nanosec + shift_ns
                entry.sec, entry.nanosec = divmod(total_ns, 1_000_000_000)
