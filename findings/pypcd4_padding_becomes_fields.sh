#!/usr/bin/env bash
# Seen: 2026-11-29 with pypcd4 1.5.1, rosbags 0.11.9, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: PointCloud.from_msg of a cloud as PCL lays it out (x, y, z, four bytes of padding, intensity at byte 16, 32 bytes a
#   point) has four fields, and numpy()[:, 3] is the intensity; the fields may stand in any order, each names its offset.
# Happens: Every byte of padding becomes a field: 20 fields, __12 to __15 before intensity and __20 to __31 after it; they are
#   written to PCD files as fields too. Where intensity is listed first, x, y and z are read behind the bytes that are there
#   and come out as 0, without a word.
# Matters: Code that takes four columns gets padding for the intensity, all 0; files grow and other tools show the fields.
# Do instead: pc.numpy(("x", "y", "z", "intensity")) by name, and sort the fields by offset first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pypcd4==1.5.1 rosbags==0.11.9 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from pypcd4 import PointCloud
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_JAZZY)
header = store.types["std_msgs/msg/Header"](store.types["builtin_interfaces/msg/Time"](0, 0), "lidar")
Cloud, Field = store.types["sensor_msgs/msg/PointCloud2"], store.types["sensor_msgs/msg/PointField"]
OFFSETS = {"x": 0, "y": 4, "z": 8, "intensity": 16}
points = np.zeros(3, {"names": list(OFFSETS), "formats": ["f4"] * 4, "offsets": list(OFFSETS.values()), "itemsize": 32})
points["x"] = [1, 2, 3]
points["intensity"] = [10, 20, 30]


def cloud(order):
    fields = [Field(name, OFFSETS[name], Field.FLOAT32, 1) for name in order]
    return Cloud(header, 1, 3, fields, False, 32, 96, np.frombuffer(points.tobytes(), np.uint8), True)


padded = PointCloud.from_msg(cloud(OFFSETS))
print(f"{len(padded.fields)} fields: {' '.join(padded.fields)}")
print("fourth column:", padded.numpy()[:, 3].tolist(), "by name:", padded.numpy(("intensity",)).ravel().tolist())
reordered = PointCloud.from_msg(cloud(["intensity", "x", "y", "z"])).numpy(("x",)).ravel()
print("x sent", points["x"].tolist(), "read where intensity is listed first", reordered.tolist())
as_seen = (
    len(padded.fields) == 20
    and not padded.numpy()[:, 3].any()
    and padded.numpy(("intensity",)).ravel().tolist() == [10, 20, 30]
    and not reordered.any()
)
if not as_seen:
    print("changed: padding became fields, and fields out of order were read from the wrong bytes")
sys.exit(not as_seen)
END
echo "as described"
