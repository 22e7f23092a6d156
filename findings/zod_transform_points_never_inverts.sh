#!/usr/bin/env bash
# Seen: 2026-11-29 with zod 0.8.0 (dataclass-wizard 0.35.0), numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Calibration.transform_points(points, from_frame, to_frame) moves points between LiDAR, cameras and the vehicle, whose
#   extrinsics are poses in the vehicle's frame.
# Happens: The target's pose is applied as it is, not its inverse: right for points that go to the vehicle, wrong for all that
#   go to a sensor. A point 10 m before the LiDAR lies at z = 0.4 m in the front camera's frame, 10 m to its side, in place of
#   z = 8.5 m; from the vehicle to the camera and back it is not where it was. Nothing is raised.
# Matters: LiDAR points or lanes that are brought to the camera with it are drawn nowhere or at odd places; the crop of
#   annotations to a camera's view uses it too.
# Do instead: np.linalg.inv(calibration.get_extrinsics(to_frame).transform) @ calibration.get_extrinsics(from_frame).transform,
#   as the devkit's own drawing of LiDAR in images does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    zod==0.8.0 dataclass-wizard==0.35.0 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from zod.constants import EGO, Camera, Lidar
from zod.data_classes.calibration import Calibration

vehicle_from_lidar = np.eye(4)
vehicle_from_lidar[:3, 3] = [0, 0, 2]
vehicle_from_camera = np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.4], [0, 0, 0, 1.0]])
camera = {
    "lidar_extrinsics": vehicle_from_lidar,
    "extrinsics": vehicle_from_camera,
    "intrinsics": np.eye(3),
    "distortion": np.zeros(4),
    "undistortion": np.zeros(4),
    "image_dimensions": [3848, 2168],
    "field_of_view": [120, 67],
}
calibration = Calibration.from_dict({"FC": camera})
point = np.array([[10.0, 1.0, 0.0]])


def moved(matrix, points):
    return points @ matrix[:3, :3].T + matrix[:3, 3]


in_vehicle = calibration.transform_points(point, Lidar.VELODYNE, EGO)
in_camera = calibration.transform_points(point, Lidar.VELODYNE, Camera.FRONT)
right = moved(np.linalg.inv(vehicle_from_camera) @ vehicle_from_lidar, point)
back = calibration.transform_points(calibration.transform_points(point, EGO, Camera.FRONT), Camera.FRONT, EGO)
print("LiDAR to vehicle:", in_vehicle.tolist())
print("LiDAR to camera:", in_camera.tolist(), "right:", right.tolist())
print("vehicle to camera and back:", back.tolist(), "right:", point.tolist())
as_seen = (
    np.allclose(in_vehicle, moved(vehicle_from_lidar, point))
    and np.allclose(in_camera, moved(vehicle_from_camera @ vehicle_from_lidar, point))
    and not np.allclose(back, point)
)
if not as_seen:
    print("changed: the camera's pose was applied, not its inverse")
sys.exit(not as_seen)
END
echo "as described"
