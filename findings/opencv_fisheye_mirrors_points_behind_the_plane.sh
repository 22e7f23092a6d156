#!/usr/bin/env bash
# Seen: 2026-11-30 with opencv-python-headless 5.0.0.93, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: cv2.fisheye.projectPoints, the model of the angle for wide lenses, puts a point 95 degrees off the axis a little farther out
#   than one at 85 degrees, or says that it cannot.
# Happens: It divides by z first: a point behind the camera's plane comes out as its mirror image through the center, at 95 degrees where
#   85 degrees to the OTHER side belongs, and a point right behind the camera at the image's center. No mask, no NaN. For points
#   in front of it all is right, and undistortPoints goes back.
# Matters: Surround-view cameras see 180 to 200 degrees. Lanes and curbs beside and behind the vehicle that are projected into them appear
#   on the opposite side of the image, among what is really there; labels made so teach it.
# Do instead: theta = atan2(hypot(x, y), z), r = theta + k1 theta^3 + ..., pixel = center + f r (x, y) / hypot(x, y), as below, and
#   leave out angles beyond the lens' own; or drop z <= 0 before the call.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import cv2
import numpy as np

camera = np.array([[300, 0, 960], [0, 300, 540], [0, 0, 1.0]])
lens = np.array([-0.02, 0.003, -0.001, 0.0001])
degrees = np.array([5, 45, 85, 95, 100, 179.999])
angles = np.radians(degrees)
points = np.c_[np.sin(angles), np.zeros(6), np.cos(angles)]
found = cv2.fisheye.projectPoints(points[None], np.zeros(3), np.zeros(3), camera, lens)[0].reshape(-1, 2)[:, 0]
model = 960 + 300 * (angles + (lens * angles[:, None] ** [3, 5, 7, 9]).sum(1))
mirror = np.pi - angles
folded = 960 - 300 * (mirror + (lens * mirror[:, None] ** [3, 5, 7, 9]).sum(1))
for angle, column, right in zip(degrees, found, model, strict=True):
    print(f"{angle:.0f} degrees to the right: column {column:.1f}" + (f", by the model {right:.1f}" if angle < 110 else ""))
front = degrees < 90
as_seen = np.allclose(found[front], model[front], atol=0.01) and np.allclose(found[~front], folded[~front], atol=0.01)
if not as_seen:
    print("changed: points behind the plane came out mirrored through the center")
sys.exit(not as_seen)
END
echo "as described"
