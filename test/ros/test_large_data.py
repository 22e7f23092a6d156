"""The settings for raw images name a profile that is there, and that Fast DDS takes."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mapkd_ros import large_data

NAMESPACE = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
SEND_AND_TAKE = """
import array, time, rclpy
from sensor_msgs.msg import Image
from rclpy.qos import QoSProfile, ReliabilityPolicy
rclpy.init()
node, taken = rclpy.create_node("both"), []
best_effort = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
node.create_subscription(Image, "big", taken.append, best_effort)
sender = node.create_publisher(Image, "big", best_effort)
message = Image(data=array.array("B", bytes(1600 * 900 * 3)))
until = time.monotonic() + 20
while not taken and time.monotonic() < until:
    sender.publish(message)
    rclpy.spin_once(node, timeout_sec=0.05)
assert taken and len(taken[0].data) == 1600 * 900 * 3
"""


@pytest.mark.parametrize(
    ("distribution", "name"),
    [
        ("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_the_one_variable_that_each_distribution_reads_leads_to_the_profile(
    root: Path, distribution: str, name: str
) -> None:
    found = large_data.environment(root, distribution)
    assert [variable for variable in found if "PROFILES" in variable] == [name]
    (size,) = ElementTree.parse(found[name]).iter(f"{NAMESPACE}segment_size")
    assert int(size.text or 0) > 6 * 1600 * 900 * 3


@pytest.mark.ros
def test_fast_dds_takes_the_profile(root: Path) -> None:
    profile = large_data.environment(root, os.environ.get("ROS_DISTRO") or os.environ.get("ROS", ""))
    done = subprocess.run(
        [sys.executable, "-c", SEND_AND_TAKE], env={**os.environ, **profile},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "XMLPARSER" not in done.stderr + done.stdout
