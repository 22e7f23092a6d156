#!/usr/bin/env bash
# Seen: 2026-11-29 with rosbags-image 0.10.4, rosbags 0.11.9, opencv-python-headless 4.12.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: message_to_cvimage reads a sensor_msgs/Image by its step, the bytes from one row to the next, and an nv12 image
#   whole: rows of brightness, then half as many rows of color.
# Happens: step is never looked at. Rows with padding are read one after the other: each begins further right than the one
#   before, with the padding inside, and the end is missing; nothing is raised. Of an nv12 image the first rows are read as
#   if they were all: 18 rows become a color image of 12 rows with wrong colors; where the rows do not divide by three
#   OpenCV raises.
# Matters: Drivers that align rows to 16, 32 or 64 bytes give skewed images, whose lanes lean; a calibration that fits them is
#   fitted to the skew.
# Do instead: np.ndarray((height, width, channels), dtype, data, strides=(step, ...)); for nv12 give cvtColor height * 3 / 2 rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    rosbags-image==0.10.4 rosbags==0.11.9 opencv-python-headless==4.12.0.88 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import cv2
import numpy as np
from rosbags.image import message_to_cvimage
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_JAZZY)
Image, Header = store.types["sensor_msgs/msg/Image"], store.types["std_msgs/msg/Header"]
header = Header(store.types["builtin_interfaces/msg/Time"](0, 0), "camera")

image = np.arange(1, 25, dtype=np.uint8).reshape(4, 6)
padded = np.zeros((4, 8), np.uint8)
padded[:, :6] = image
read = message_to_cvimage(Image(header, 4, 6, "mono8", 0, 8, padded.ravel()), "mono8")
print("sent, rows of 6 in a step of 8:", *image.tolist(), sep="\n  ")
print("read:", *read.tolist(), sep="\n  ")

shapes = {}
for height in (16, 18):
    data = np.full(height * 3 // 2 * 16, 128, np.uint8)
    try:
        shapes[height] = message_to_cvimage(Image(header, height, 16, "nv12", 0, 16, data), "bgr8").shape
    except cv2.error:
        shapes[height] = "cv2.error"
    print(f"nv12, {height} x 16 pixels: {shapes[height]}")
as_seen = np.array_equal(read.ravel(), padded.ravel()[:24]) and shapes == {16: "cv2.error", 18: (12, 16, 3)}
if not as_seen:
    print("changed: padding was read as pixels, and an nv12 image lost a third of its rows")
sys.exit(not as_seen)
END
echo "as described"
