#!/usr/bin/env bash
# Seen: 2026-11-29 with ros2_numpy 0.0.5, transformations 2026.1.18, ros-geometry-msgs 5.5.1 (Kilted, PyPI), numpy 1.24.2, Python 3.11, Linux x86_64
# Expected: numpify makes a 4x4 matrix of a Pose or Transform, the unit matrix of one that neither moves nor turns, and msgify
#   makes the message of a matrix.
# Happens: The quaternion's four numbers change places on the way, since the package transformations counts w first. numpify of
#   an identity pose is half a turn about z: [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]. msgify writes the unit
#   matrix into a Transform as w = 1, right, but into a Pose as x = 1, half a turn about x.
# Matters: Camera mountings and odometry that are read with it are turned, silently; a test with the unit pose there and back
#   does not meet it for Pose, since the second fault undoes the first.
# Do instead: Make the matrix with scipy: Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), whose order is ROS's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'ros-rclpy[fastrtps]==9.1.2' ros-geometry-msgs==5.5.1 ros-sensor-msgs==5.5.1 ros-nav-msgs==5.5.1 \
    ros2_numpy==0.0.5 transformations==2026.1.18 numpy==1.24.2
env -u PYTHONPATH AMENT_PREFIX_PATH="$folder/venv" "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
import ros2_numpy
from geometry_msgs.msg import Pose, Transform

half_turn_about_z = np.diag([-1.0, -1.0, 1.0, 1.0])
matrix_of_pose = ros2_numpy.numpify(Pose())
matrix_of_transform = ros2_numpy.numpify(Transform())
print("numpify(Pose()), which neither moves nor turns:", matrix_of_pose.tolist(), sep="\n  ")
pose = ros2_numpy.msgify(Pose, np.eye(4)).orientation
transform = ros2_numpy.msgify(Transform, np.eye(4)).rotation
print(f"msgify(Pose, unit matrix): x {pose.x:g} y {pose.y:g} z {pose.z:g} w {pose.w:g}")
print(f"msgify(Transform, unit matrix): x {transform.x:g} y {transform.y:g} z {transform.z:g} w {transform.w:g}")
there_and_back = ros2_numpy.numpify(ros2_numpy.msgify(Pose, np.eye(4)))
as_seen = (
    np.allclose(matrix_of_pose, half_turn_about_z)
    and np.allclose(matrix_of_transform, half_turn_about_z)
    and (pose.x, transform.w) == (1.0, 1.0)
    and np.allclose(there_and_back, np.eye(4))
)
if not as_seen:
    print("changed: the quaternion's numbers took each other's places")
sys.exit(not as_seen)
END
echo "as described"
