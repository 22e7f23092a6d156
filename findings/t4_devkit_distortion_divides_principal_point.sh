#!/usr/bin/env bash
# Seen: 2026-11-29 with t4-devkit 0.1.0, nuscenes-devkit 1.2.0, numpy 1.26.4, Python 3.11, Linux x86_64
# Expected: view_points(points, intrinsic, distortion) of the T4 data set's devkit (Autoware's) projects points through a
#   distorted camera; with all coefficients 0 as without any. is_box_in_image says whether a box is visible.
# Happens: Distortion is applied to x and y in meters, before the division by z, and the principal point is divided by z too. With
#   zeros a point 10 m away at pixel (900, 500) comes out at (180, 95). is_box_in_image raises IndexError for every level of
#   visibility but NONE, for which it looks at nothing.
# Matters: Lanes and boxes that are projected with a camera's real coefficients shrink toward the image's corner as they get
#   farther, which looks like a wrong calibration.
# Do instead: cv2.projectPoints with the coefficients in its order, k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    t4-devkit==0.1.0 nuscenes-devkit==1.2.0 numpy==1.26.4 pyarrow==21.0.0 setuptools==79.0.1
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from pyquaternion import Quaternion
from t4_devkit.common.box import Box3D
from t4_devkit.common.geometry import is_box_in_image, view_points
from t4_devkit.schema import VisibilityLevel

intrinsic = np.array([[1000.0, 0, 800], [0, 1000, 450], [0, 0, 1]])
point = np.array([[1.0], [0.5], [10.0]])
without = view_points(point, intrinsic).ravel()[:2]
with_zeros = view_points(point, intrinsic, np.zeros(5)).ravel()[:2]
print("without coefficients", without.tolist(), "with zeros", with_zeros.tolist())
box = Box3D([0, 0, 20], [2, 4, 1.5], Quaternion())
answers = {}
for level in VisibilityLevel:
    try:
        answers[level.name] = is_box_in_image(box, intrinsic, (1600, 900), level)
    except IndexError as error:
        answers[level.name] = type(error).__name__
print("a box 20 m ahead, in the middle of the image:", answers)
as_seen = (
    np.allclose(without, [900, 500])
    and np.allclose(with_zeros, [180, 95])
    and answers.pop("NONE", "IndexError") in (True, "IndexError")
    and set(answers.values()) == {"IndexError"}
)
if not as_seen:
    print("changed: zeros moved the point, and no box could be looked at")
sys.exit(not as_seen)
END
echo "as described"
