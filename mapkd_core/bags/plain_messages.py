"""rosbags' message classes with defaults, as rclpy's have them: messages without ROS."""
from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.reader import BagTopic

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

SHARE = Path("share", "mapkd_ros", "msg")
"""Where installations have the definitions, below their prefix."""
_OTHER_DEFAULTS = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}
"""Of the definitions; rosbags does not keep them."""
_TEXTS = ("string", "wstring")
_BYTES = {"byte": "uint8", "octet": "uint8", "char": "uint8"}


class MessageClass:
    """Makes messages of one type from keyword arguments, and has the type's constants."""

    def __init__(self, types: Typestore, msg_type: str) -> None:
        self._types, self._name, self._plain = types, msg_type, types.types[msg_type]
        constants, self._fields = types.fielddefs[msg_type]
        self._constants: Mapping[str, Any] = {name: value for name, _, value in constants}

    def __call__(self, **fields: Any) -> Any:
        """A message; fields that are not given have their defaults. Raises TypeError for an unknown one."""
        fields = {**_OTHER_DEFAULTS.get(self._name, {}), **fields}
        defaults = {name: self._default(*kind) for name, kind in self._fields if name not in fields}
        return self._plain(**defaults, **fields)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._constants[name]
        except KeyError:
            raise AttributeError(name) from None

    def _default(self, node: int, detail: Any) -> Any:
        """Of a field: a value, a message, an array of fixed length, or a sequence, which is empty."""
        if node == 1:
            return "" if detail[0] in _TEXTS else _zeros(detail[0], 1)[0].item()
        if node == 2:
            return MessageClass(self._types, detail)()
        (inner, inner_detail), length = detail
        length = length if node == 3 else 0
        if inner == 1 and inner_detail[0] not in _TEXTS:
            return _zeros(inner_detail[0], length)
        return [self._default(inner, inner_detail) for _ in range(length)]


def _zeros(kind: str, length: int) -> NDArray:
    return np.zeros(length, _BYTES.get(kind, kind))


def definitions() -> list[Path]:
    """This project's .msg files: in the checkout, an installed ROS package, or beside an installed wheel.

    Raises FileNotFoundError.
    """
    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    places = [Path(__file__).resolve().parents[2] / "msg"]
    places += [prefix / SHARE for prefix in (*prefixes, Path(sysconfig.get_path("data")))]
    for place in places:
        found = sorted(place.glob("*.msg"))
        if (place / "VectorMap.msg") in found:
            return found
    raise FileNotFoundError(f"VectorMap.msg is in none of {', '.join(map(str, places))}; install mapkd_ros again")


class PlainMessages:
    """`package/msg/Name` -> MessageClass, for `mapkd_core.messages`; and the bytes of messages.

    Knows ROS 2's common packages and this project's messages, by default from `definitions`.
    """

    def __init__(self, files: Iterable[Path] | None = None) -> None:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore

        self.types = get_typestore(Stores.ROS2_HUMBLE)
        for path in definitions() if files is None else files:
            self.types.register(get_types_from_msg(path.read_text(), f"mapkd_ros/msg/{path.stem}"))
        self._made: dict[str, MessageClass] = {}

    def __call__(self, msg_type: str) -> MessageClass:
        """The class of a type. Raises KeyError for one that is not known."""
        if msg_type not in self._made:
            self._made[msg_type] = MessageClass(self.types, msg_type)
        return self._made[msg_type]

    def learn(self, topic: BagTopic) -> None:
        """Takes the definition that a bag has of a topic's type, where the type is not known. Raises ValueError."""
        if topic.msg_type in self.types.types:
            return
        from rosbags.typesys import get_types_from_idl, get_types_from_msg

        try:
            if topic.definition_format == "ros2idl":
                found = get_types_from_idl(topic.definition.decode())
            else:
                found = get_types_from_msg(topic.definition.decode(), topic.msg_type)
            new = {name: fields for name, fields in found.items() if name not in self.types.types}
            if topic.msg_type not in new:
                raise ValueError("none")
            self.types.register(new)
        except Exception as error:  # of rosbags' parsers, in classes of their own
            raise ValueError(f"{topic.name}: the bag has no usable definition of {topic.msg_type}") from error

    def serialized(self, message: Any) -> bytes:
        """The message as ROS 2 sends and records it; its own sequences of numbers may be lists, as rclpy takes them."""
        for name, (node, detail) in self.types.fielddefs[message.__msgtype__][1]:
            value = getattr(message, name)
            if node in (3, 4) and isinstance(value, list) and detail[0][0] == 1 and detail[0][1][0] not in _TEXTS:
                setattr(message, name, np.array(value, _zeros(detail[0][1][0], 0).dtype))
        return bytes(self.types.serialize_cdr(message, message.__msgtype__))

    def definition(self, msg_type: str) -> bytes:
        """The text that files carry."""
        return self.types.generate_msgdef(msg_type, ros_version=2)[0].encode()
