#!/usr/bin/env bash
# Seen: 2026-11-29 with asrl-pyboreas 2.0.0, numpy 2.2.6, scipy 1.16.3, Python 3.11, Linux x86_64
# Expected: rotToQuaternion of the Boreas data set's devkit gives the quaternion x, y, z, w that scipy and ROS have for the same
#   matrix, quaternionToRot goes back; half a turn is a rotation like any other.
# Happens: The matrix is taken for the transposed one: 30 degrees about z become -30, and quaternionToRot turns ROS's quaternions
#   backwards. There and back is right, so a round trip shows nothing. Half a turn about (1, -1, 0), exact in the matrix, comes
#   back as one about (1, 1, 0): the signs of the axis are lost.
# Matters: Poses of its ground truth that are published to TF, or poses of ROS and of TUM files that are given to its functions, turn the
#   wrong way; a vehicle that drives straight east looks right.
# Do instead: scipy's Rotation.from_matrix(C).as_quat() and from_quat(q).as_matrix().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    numpy==2.2.6 scipy==1.16.3 PyYAML==6.0.3 opencv-python-headless==4.12.0.88 matplotlib==3.10.7
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps \
    asrl-pyboreas==2.0.0 asrl-pylgmath==1.0.3
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from pyboreas.utils.utils import quaternionToRot, rotToQuaternion
from scipy.spatial.transform import Rotation

left = Rotation.from_euler("z", 30, degrees=True)
theirs = rotToQuaternion(left.as_matrix()).ravel()
print("30 degrees about z, x y z w: scipy", left.as_quat().round(4).tolist(), "pyboreas", theirs.round(4).tolist())
turned = np.degrees(np.arctan2(*quaternionToRot(left.as_quat())[1::-1, 0]))
print(f"quaternionToRot of scipy's: {turned:.1f} degrees")
half = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
back = quaternionToRot(rotToQuaternion(half).ravel())
print("half a turn:", half.tolist(), "there and back:", back.round(6).tolist())
as_seen = (
    np.allclose(theirs, left.inv().as_quat())
    and np.allclose(quaternionToRot(theirs), left.as_matrix())
    and np.isclose(turned, -30)
    and np.allclose(back, [[0, 1, 0], [1, 0, 0], [0, 0, -1]])
)
if not as_seen:
    print("changed: quaternions were those of the transposed matrix, and half a turn lost its axis's signs")
sys.exit(not as_seen)
END
echo "as described"
