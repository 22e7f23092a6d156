"""What ROS the tests run on: one of the distributions that lie side by side, with messages that check their fields."""
from __future__ import annotations

import importlib.util
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros


def test_ros_packages_come_from_this_environment_alone(root: Path) -> None:
    prefix = Path(sys.prefix)
    if not (prefix / "share" / "rclpy").is_dir():
        pytest.skip("ROS 2 is installed on this machine, not in this virtual environment")
    names = {entry.text or "" for entry in ET.parse(root / "package.xml").getroot() if entry.tag.endswith("depend")}
    specs = {name: importlib.util.find_spec(name) for name in sorted(names)}
    found = {name: Path(spec.origin) for name, spec in specs.items() if spec is not None and spec.origin is not None}
    assert {"rclpy", "sensor_msgs", "tf2_msgs", "ament_index_python"} <= set(found)
    assert {name: path for name, path in found.items() if prefix not in path.parents} == {}


def test_messages_refuse_values_of_another_type_in_these_tests() -> None:
    from sensor_msgs.msg import CameraInfo

    with pytest.raises(AssertionError, match="width"):
        CameraInfo(width=1.5)
