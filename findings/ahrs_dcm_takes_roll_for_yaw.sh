#!/usr/bin/env bash
# Seen: 2026-11-30 with ahrs 0.4.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: DCM(rpy=[roll, pitch, yaw]) and Quaternion(rpy=[roll, pitch, yaw]) are the same rotation, and to_angles() of both gives the
#   three angles back.
# Happens: DCM's first angle turns about z and its last about x: rpy = [0.3, 0, 0] is a heading of 0.3. to_angles() of a DCM gives the
#   angles of the inverse: [0.1, 0.2, 0.3] comes back as [-0.286, -0.22, -0.038]. Quaternion is right in both.
# Matters: A vehicle that leans by 5 degrees is turned by 5 degrees, every point before it with it, 0.9 m at 10 m; for small angles nothing
#   looks odd in the numbers, and a test with the pitch alone passes.
# Do instead: DCM(Quaternion(rpy=...).to_DCM()), or DCM(euler=("zyx", [yaw, pitch, roll])); read angles by way of Quaternion(dcm=...).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check ahrs==0.4.0 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from ahrs import DCM, Quaternion

np.set_printoptions(precision=3, suppress=True)


def by_hand(roll, pitch, yaw):
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


as_seen = True
for angles in ([0.3, 0, 0], [0, 0.3, 0], [0, 0, 0.3], [0.1, 0.2, 0.3]):
    matrix, quaternion, right = DCM(rpy=angles), Quaternion(rpy=angles), by_hand(*angles)
    print(f"{angles}: DCM {np.asarray(matrix.to_quaternion())} Quaternion {np.asarray(quaternion)}", end=" ")
    print(f"angles back from DCM {matrix.to_angles()} Quaternion {quaternion.to_angles()}")
    as_seen &= np.allclose(quaternion.to_DCM(), right) and np.allclose(quaternion.to_angles(), angles)
    as_seen &= np.allclose(matrix, by_hand(*angles[::-1]))
    as_seen &= np.allclose(DCM(euler=("zyx", angles[::-1])), right) and np.allclose(DCM(quaternion.to_DCM()), right)
    as_seen &= np.allclose(Quaternion(dcm=right).to_angles(), angles)
back = DCM(rpy=[0.1, 0.2, 0.3]).to_angles()
as_seen &= np.allclose(back, [-0.2858, -0.2201, -0.0379], atol=1e-3)
inverse = Quaternion(dcm=np.asarray(DCM(rpy=[0.1, 0.2, 0.3])).T).to_angles()
print("angles of the inverse", inverse)
if not as_seen:
    print("changed: DCM turned by the first angle about z")
sys.exit(not as_seen)
END
echo "as described"
