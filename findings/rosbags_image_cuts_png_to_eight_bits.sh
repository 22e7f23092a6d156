#!/usr/bin/env bash
# Seen: 2026-11-29 with rosbags-image 0.10.4, rosbags 0.11.9, opencv-python-headless 4.12.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: A CompressedImage "16UC1; png compressed", depth in millimeters or a 12-bit camera, is decoded to uint16, as the raw
#   image would be; one of one channel that is asked for as bgr8 has three.
# Happens: The format is not looked at: the image comes as uint8, its values divided by 256: 1000 mm becomes 3. A gray JPEG
#   asked for as bgr8 stays two-dimensional; as mono8, which it is, OpenCV raises; a raw mono8 image asked for as mono16 comes
#   as float64.
# Matters: Depth ends in steps of 256 mm; dark 12-bit images (0 to 4095) are left with 16 gray levels. Nothing is raised.
# Do instead: cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED), and look at the shape and dtype.
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
header = store.types["std_msgs/msg/Header"](store.types["builtin_interfaces/msg/Time"](0, 0), "camera")
CompressedImage, Image = store.types["sensor_msgs/msg/CompressedImage"], store.types["sensor_msgs/msg/Image"]

depth_mm = np.full((4, 4), 1000, np.uint16)
png = cv2.imencode(".png", depth_mm)[1].ravel()
read = message_to_cvimage(CompressedImage(header, "16UC1; png compressed", png))
print(f"depth sent: {depth_mm[0, 0]} of {depth_mm.dtype}; read: {read[0, 0]} of {read.dtype}")

jpeg = CompressedImage(header, "mono8; jpeg compressed mono8", cv2.imencode(".jpg", np.full((4, 4), 90, np.uint8))[1].ravel())
as_bgr = message_to_cvimage(jpeg, "bgr8")
print(f"gray JPEG as bgr8: shape {as_bgr.shape}")
try:
    message_to_cvimage(jpeg, "mono8")
    raised = False
except cv2.error as error:
    print("gray JPEG as mono8:", str(error).splitlines()[0])
    raised = True
wider = message_to_cvimage(Image(header, 1, 2, "mono8", 0, 2, np.array([10, 255], np.uint8)), "mono16")
print(f"mono8 as mono16: {wider.tolist()} of {wider.dtype}")
as_seen = (read.dtype, int(read[0, 0]), as_bgr.shape, raised, wider.dtype) == (np.uint8, 3, (4, 4), True, np.float64)
if not as_seen:
    print("changed: sixteen bits were cut to eight, and gray stayed gray")
sys.exit(not as_seen)
END
echo "as described"
