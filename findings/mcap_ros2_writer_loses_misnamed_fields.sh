#!/usr/bin/env bash
# Seen: 2026-11-29 with mcap-ros2-support 0.6.0, mcap 1.6.0, Python 3.11, Linux x86_64
# Expected: The ROS 2 writer refuses a message whose fields are not those of its definition: an unknown name, a fixed array
#   that is too short, another type on a topic.
# Happens: It writes. An unknown name is dropped and the field it was meant for is zero: CameraInfo with ROS 1's and
#   Foxglove's capital K gets an all-zero k. A 3-element array in float64[9] is filled up with zeros. A second type on one
#   topic is stored under the first type's channel and decodes as that. NumPy arrays alone are refused.
# Matters: Camera calibrations come with K, D, R, P in many files; the bag plays back, and every projection from it is zero.
# Do instead: Compare the keys with the definition before writing (or write with rosbags, whose classes refuse unknown names
#   and wrong lengths), and use one topic a type; read one message of every topic back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check mcap==1.6.0 mcap-ros2-support==0.6.0
"$folder/venv/bin/python" - <<'END'
import io
import sys

from mcap_ros2.reader import read_ros2_messages
from mcap_ros2.writer import Writer

CAMERA = "uint32 height\nuint32 width\nfloat64[9] k"
K = [1266.0, 0.0, 816.0, 0.0, 1266.0, 491.0, 0.0, 0.0, 1.0]
WRITTEN = ({"width": 1600, "height": 900, "K": K}, {"width": 1600, "height": 900, "k": K[:3]})

recording = io.BytesIO()
with Writer(recording) as writer:
    camera = writer.register_msgdef("sensor_msgs/msg/CameraInfo", CAMERA)
    speed = writer.register_msgdef("std_msgs/msg/Float64", "float64 data")
    count = writer.register_msgdef("std_msgs/msg/Int64", "int64 data")
    for stamp_ns, message in enumerate(WRITTEN):
        writer.write_message("/camera_info", camera, message, log_time=stamp_ns)
    writer.write_message("/mixed", speed, {"data": 13.9}, log_time=2)
    writer.write_message("/mixed", count, {"data": 6}, log_time=3)
recording.seek(0)
capital, short, first, second = list(read_ros2_messages(recording))
print(f"written as K: width {capital.ros_msg.width}, k {capital.ros_msg.k}")
print(f"three numbers for k: {short.ros_msg.k}")
print(f"Int64 6 after Float64 on one topic: {second.schema.name} {second.ros_msg.data}")
as_seen = (
    capital.ros_msg.width == 1600
    and not any(capital.ros_msg.k)
    and list(short.ros_msg.k) == K[:3] + [0.0] * 6
    and first.schema.name == second.schema.name == "std_msgs/msg/Float64"
    and 0 < second.ros_msg.data < 1e-300
)
if not as_seen:
    print("changed: K was dropped, k filled up with zeros, the second type read as the first")
sys.exit(not as_seen)
END
echo "as described"
