#!/usr/bin/env bash
# Seen: 2026-11-29 with opencv-python-headless 4.14.0.94 and 5.0.0.93, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: cv2.undistort, remap with the maps of initUndistortRectifyMap, and remap with the same maps in fixed point give one
#   image, as they do to the last bit in OpenCV 4.14; and the next release gives it too.
# Happens: OpenCV 4 rounds positions to 1/32 pixel everywhere, float32 maps included. OpenCV 5 takes float maps exactly (10.41 is
#   10.41, no longer 10.40625), while undistort, the fisheye model's undistortImage and fixed-point maps still round: on
#   sharp lines a sixth of the pixels differ between the routes, by up to 6 of 255.
# Matters: A network trained on images rectified by one route or release runs on those of another, and tests that compare
#   rectified images bit by bit fail after the upgrade, on one of the two routes only.
# Do instead: Rectify in training and in the vehicle by the same call, give tests a tolerance, or keep OpenCV below 5 in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for release in 4.14.0.94 5.0.0.93; do
    python3 -m venv "$folder/$release"
    "$folder/$release/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$release" numpy==2.2.6
    "$folder/$release/bin/python" - <<'END'
import sys

import cv2
import numpy as np

SIZE = 160, 120
K = np.array([[100.0, 0.0, 80.0], [0.0, 100.0, 60.0], [0.0, 0.0, 1.0]])
DISTORTION = np.array([-0.2, 0.05, 0.0, 0.0, 0.0])
lines = np.zeros(SIZE[::-1], np.uint8)
lines[:, ::20] = lines[:, 1::20] = lines[::15] = 255

maps = cv2.initUndistortRectifyMap(K, DISTORTION, None, K, SIZE, cv2.CV_32FC1)
by_float_maps = cv2.remap(lines, *maps, cv2.INTER_LINEAR).astype(int)
by_undistort = cv2.undistort(lines, K, DISTORTION)
by_fixed_maps = cv2.remap(lines, *cv2.convertMaps(*maps, cv2.CV_16SC2), cv2.INTER_LINEAR)
ramp = np.arange(13, dtype=np.float32)[None]
position = cv2.remap(ramp, np.float32([[10.41]]), np.float32([[0.0]]), cv2.INTER_LINEAR).item()

differences = [int(np.abs(by_float_maps - other).max()) for other in (by_undistort, by_fixed_maps)]
share = np.mean(by_float_maps != by_undistort)
print(f"OpenCV {cv2.__version__}: 10.41 is taken as {position:.5f}; float maps differ from undistort by up to {differences[0]} "
      f"(in {share:.0%} of the pixels), from fixed-point maps by up to {differences[1]}")  # fmt: skip
if cv2.__version__.startswith("4."):
    as_seen = position == 10.40625 and differences == [0, 0]
else:
    as_seen = abs(position - 10.41) < 1e-5 and min(differences) >= 3
if not as_seen:
    print("changed: in 4.14 positions were rounded to 1/32 and all routes equal, in 5.0 exact and at least 3 apart")
sys.exit(not as_seen)
END
done
echo "as described"
