#!/usr/bin/env bash
# Seen: 2026-11-30 with pyquaternion 0.9.9, numpy 2.2.6, scipy 1.16.3, Python 3.11, Linux x86_64
# Expected: yaw_pitch_roll gives the angles of its description, "intrinsic Tait-Bryan angles following the z-y'-x'' convention": yaw is the
#   heading, pitch the slope, roll the bank.
# Happens: It gives the angles of the opposite order (about x first, z last), which agree only for a turn about a single axis. Heading 30,
#   slope 5, bank 0 degrees come as 30.1, 4.3, -2.5; at a heading of 90 degrees the slope of 5 comes as a bank of -5; 30, 20, 10 as
#   28.5, 22.2, -1.1.
# Matters: Poses of nuScenes and its relatives are pyquaternion's, and yaw_pitch_roll is what code that wants a heading or a slope takes from
#   them. Headings on flat roads are right, so it passes; slopes and banks depend on the direction of travel.
# Do instead: scipy: Rotation.from_quat([q.x, q.y, q.z, q.w]).as_euler("ZYX"); for the heading alone atan2 of q.rotate([1, 0, 0]).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check pyquaternion==0.9.9 numpy==2.2.6 scipy==1.16.3
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from pyquaternion import Quaternion
from scipy.spatial.transform import Rotation

as_seen = True
for angles in ([30, 0, 0], [30, 5, 0], [90, 5, 0], [30, 20, 10]):
    yaw, pitch, roll = (Quaternion(axis=axis, degrees=a) for axis, a in zip(np.eye(3)[::-1], angles, strict=True))
    pose = yaw * pitch * roll
    turn = Rotation.from_quat([pose.x, pose.y, pose.z, pose.w])
    found = np.degrees(pose.yaw_pitch_roll)
    other = turn.as_euler("XYZ", degrees=True)[::-1]
    print(f"heading, slope, bank {angles}: yaw_pitch_roll {found.round(1)}, scipy's ZYX {turn.as_euler('ZYX', degrees=True).round(1)}")
    as_seen &= bool(np.allclose(turn.as_euler("ZYX", degrees=True), angles)) and bool(np.allclose(found, other))
    as_seen &= bool(np.allclose(found, angles)) == (angles[1] == 0)
if not as_seen:
    print("changed: the angles were those of X-Y'-Z''")
sys.exit(not as_seen)
END
echo "as described"
