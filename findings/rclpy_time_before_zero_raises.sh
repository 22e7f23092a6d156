#!/usr/bin/env bash
# Seen: 2026-11-29 with ros-rclpy 9.1.2 (Kilted, PyPI), Python 3.11, Linux x86_64
# Expected: node.get_clock().now() - Duration(seconds=0.1) gives a time, whatever the clock says; the difference of two times is
#   a Duration of either sign, after all.
# Happens: With use_sim_time the clock stands at 0 until the first /clock message, and a Time cannot be negative: ValueError,
#   "Subtraction leads to negative time".
# Matters: "Now less the tolerance" is how transforms and images are looked up: the node dies in its first callback when it is
#   started before the bag, and never when it is started after it.
# Do instead: Wait until now() is above 0 before the first lookup, or compare by nanoseconds: now.nanoseconds - tolerance_ns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'ros-rclpy[fastrtps]==9.1.2'
env -u PYTHONPATH AMENT_PREFIX_PATH="$folder/venv" ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_DOMAIN_ID=93 ROS_LOG_DIR="$folder" \
    "$folder/venv/bin/python" - <<'END'
import sys

import rclpy
from rclpy.duration import Duration
from rclpy.parameter import Parameter

rclpy.init()
node = rclpy.create_node("looks_back", parameter_overrides=[Parameter("use_sim_time", value=True)])
now = node.get_clock().now()
tolerance = Duration(seconds=0.1)
try:
    earlier = now - tolerance
    answer = f"{earlier.nanoseconds} ns"
except ValueError as error:
    answer = f"ValueError: {error}"
difference = now - (now + tolerance)
print(f"sim time before the first /clock: {now.nanoseconds} ns; less 0.1 s: {answer}")
print(f"difference of two times: {difference.nanoseconds} ns")
node.destroy_node()
rclpy.shutdown()
if now.nanoseconds != 0 or not answer.startswith("ValueError") or difference.nanoseconds != -100_000_000:
    print("changed: the clock stood at 0, time less tolerance raised, the difference was -0.1 s")
    sys.exit(1)
END
echo "as described"
