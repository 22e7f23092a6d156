#!/usr/bin/env bash
# Seen: 2026-11-29 with ros-rclpy 9.1.2, ros-geometry-msgs 5.5.1 (Kilted, PyPI), numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: A float field of a message that is given the int 1 or a float32 of NumPy is sent as that number, or the assignment
#   or the sending raises.
# Happens: Without ROS_PYTHON_CHECK_FIELDS=1, the default, both pass, the message prints as meant, and what is sent is the bits
#   read as a double: 1 arrives as 5e-324, -1 as NaN, 2.5 of float32 as 5.3e-315. 0, Python floats and float64 are right.
# Matters: A network's vertices are float32: point.x = vertices[0, 0] puts every vertex at the origin for all subscribers,
#   while the sender's log shows the right number. Marker.scale.x = 1 draws nothing.
# Do instead: Wrap every scalar in float(...), or take vertices.tolist(); run the tests with ROS_PYTHON_CHECK_FIELDS=1; test
#   messages after serialize_message and deserialize_message, not as objects.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'ros-rclpy[fastrtps]==9.1.2' ros-geometry-msgs==5.5.1 numpy==2.2.6
env -u PYTHONPATH -u ROS_PYTHON_CHECK_FIELDS AMENT_PREFIX_PATH="$folder/venv" "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from geometry_msgs.msg import Point
from rclpy.serialization import deserialize_message, serialize_message

wrong = False
for value, arrives in (
    (2.5, True), (0, True), (np.float64(2.5), True), (1, False), (-1, False), (np.float32(2.5), False),
):  # fmt: skip
    point = Point(x=value)
    received = deserialize_message(serialize_message(point), Point).x
    print(f"{type(value).__name__} {value}: the message says {point.x}, received {received}")
    as_seen = (received == value) == arrives
    if point.x != value or not as_seen:
        print("changed: " + ("it arrived as it was" if arrives else "it arrived as another number"))
        wrong = True
sys.exit(wrong)
END
echo "as described"
