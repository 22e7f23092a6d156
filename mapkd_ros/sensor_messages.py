"""Fills installed ROS message classes with the plain fields of `mapkd_core.bags.sensor_fields`."""
from __future__ import annotations

import array
import importlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from mapkd_core.bags import sensor_fields
from mapkd_core.messages.classes import seconds_and_ns

_ELEMENT = re.compile(r"^sequence<(.+?)(?:, \d+)?>$|^(.+)\[\d+\]$")
"""`sequence<T>`, `sequence<T, 3>` and `T[3]` in the notation of get_fields_and_field_types()."""


@cache
def message_class(msg_type: str) -> type:
    """The class of `package/msg/Name`. Raises ValueError, with the remedy, if it is not installed or not loadable."""
    package, _, name = msg_type.partition("/msg/")
    try:
        found = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"message type {msg_type} is not installed ({error}); install package {package} "
            f"(with ROS 2 installed: apt install ros-$ROS_DISTRO-{package.replace('_', '-')}) or source its workspace"
        ) from error
    from rclpy.type_support import check_for_type_support

    try:
        check_for_type_support(found)
    except Exception as error:  # rclpy raises its own class where a library is missing, others where one is broken
        raise ValueError(
            f"message type {msg_type} cannot be loaded ({error}); source install/setup.bash of its workspace first"
        ) from error
    return found


def to_message(msg_type: str, fields: Mapping[str, Any]) -> Any:
    """A message of the given type with the given fields; those not given keep their defaults."""
    return _filled(message_class(msg_type), fields)


def _filled(cls: Any, fields: Mapping[str, Any]) -> Any:
    types = cls.get_fields_and_field_types()
    return cls(**{name: _value(types[name], value) for name, value in fields.items()})


def _value(field_type: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _filled(_nested_class(field_type), value)
    if isinstance(value, np.ndarray) and field_type.startswith("sequence<"):
        # rclpy takes an array.array as it is, but checks an ndarray element by element: 500 times slower.
        whole = array.array(value.dtype.char)
        whole.frombytes(np.ascontiguousarray(value).data.cast("B"))
        return whole
    if isinstance(value, list):
        element = _ELEMENT.match(field_type)
        assert element is not None, field_type
        return [_value(element.group(1) or element.group(2), entry) for entry in value]
    return value


def _nested_class(field_type: str) -> type:
    package, name = field_type.split("/")
    return message_class(f"{package}/msg/{name}")


def clock_message(stamp_ns: int) -> Any:
    """rosgraph_msgs/Clock."""
    return to_message(sensor_fields.CLOCK, {"clock": seconds_and_ns(stamp_ns)})
