#!/usr/bin/env bash
# Seen: 2026-11-29 with spatialmath-python 1.1.18, numpy 2.2.6, scipy 1.16.3, Python 3.11, Linux x86_64
# Expected: UnitQuaternion and SO3 are two forms of the same rotations: angdist gives the angle between two of them, interp
#   the rotations between them.
# Happens: UnitQuaternion.angdist gives half of the angle (10 degrees for 20), SO3.angdist the angle. UnitQuaternion.interp goes
#   the long way round wherever the quaternions have opposite signs, headings 170 and -170 degrees among them: half way is 0, a
#   vehicle turned round; SE3.interp gives 180.
# Matters: Errors of heading are reported as half of what they are, and a threshold on them lets twice as much pass. Resampled
#   headings of a road to the west spin once around when they cross 180 degrees.
# Do instead: SO3(a.R).angdist(SO3(b.R)); interp(..., shortest=True), or interpolate SE3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    numpy==2.2.6 scipy==1.16.3 matplotlib==3.10.7 typing-extensions==4.15.0 colored==2.3.1
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps \
    spatialmath-python==1.1.18 ansitable==0.11.4
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from spatialmath import SE3, SO3, UnitQuaternion


def heading(rotation):
    """In degrees, from 0 up."""
    return float(np.degrees(np.arctan2(rotation.R[1, 0], rotation.R[0, 0])).round(3) % 360)


ends = np.radians([170, -170])
quaternions = [UnitQuaternion.Rz(angle) for angle in ends]
by_quaternion = float(np.degrees(quaternions[0].angdist(quaternions[1])))
by_matrix = float(np.degrees(SO3.Rz(ends[0]).angdist(SO3.Rz(ends[1]))))
print(f"between 170 and -170 degrees: UnitQuaternion {by_quaternion:.2f}, SO3 {by_matrix:.2f} degrees")
middles = {
    "UnitQuaternion": heading(quaternions[0].interp(quaternions[1], 0.5)),
    "UnitQuaternion, shortest=True": heading(quaternions[0].interp(quaternions[1], 0.5, shortest=True)),
    "SE3": heading(SE3.Rz(ends[0]).interp(SE3.Rz(ends[1]), 0.5)),
}
print("half way:", middles)
as_seen = (
    np.isclose(by_quaternion, 10)
    and np.isclose(by_matrix, 20)
    and np.allclose(list(middles.values()), [0, 180, 180])
)
if not as_seen:
    print("changed: half of the angle, and half way was 0, 180 and 180 degrees")
sys.exit(not as_seen)
END
echo "as described"
