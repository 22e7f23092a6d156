#!/usr/bin/env bash
# Seen: 2026-11-29 with nuscenes-devkit 1.2.0, numpy 1.26.4, Python 3.11, Linux x86_64
# Expected: project_pose_to_lane returns the distance along the lane up to the projected pose, off by half the resolution at
#   the most.
# Happens: It returns the sample's index times the resolution, but discretize_lane samples each of a lane's arcline pieces on
#   its own: both ends of every piece (each joint twice) and steps shorter than the resolution. At the end of a 46 m lane of
#   20 pieces the distance is 59.5 m at the default 0.5 m; the closest pose itself is right.
# Matters: Lanes of the map expansion are lists of such pieces. Progress, gaps between agents and distances to stop lines grow
#   with their number, and get_curvature_at_distance_along_lane raises ValueError for a distance beyond the lane.
# Do instead: Sum the steps of discretize_lane yourself (and drop its double points before taking directions from
#   differences); a finer resolution helps too: 47.9 m at 0.1 m.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" cachetools==5.5.2 matplotlib==3.10.3 numpy==1.26.4 opencv-python-headless==4.11.0.86 pillow==11.2.1 \
    pyquaternion==0.9.9 scikit-learn==1.6.1 shapely==2.0.7 tqdm==4.67.1
"${pip[@]}" --no-deps descartes==1.1.0 nuscenes-devkit==1.2.0
"$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from nuscenes.map_expansion.arcline_path_utils import (
    discretize_lane, get_curvature_at_distance_along_lane, length_of_lane, project_pose_to_lane,
)  # fmt: skip

PIECE_M, COUNT = 2.3, 20
lane = [
    {"start_pose": (place * PIECE_M, 0.0, 0.0), "end_pose": ((place + 1) * PIECE_M, 0.0, 0.0), "shape": "LSL",
     "radius": 100.0, "segment_length": [0.0, PIECE_M, 0.0]}
    for place in range(COUNT)
]  # fmt: skip
length_m = length_of_lane(lane)
at_end = (length_m, 1.0, 0.0)
distances = {}
for resolution in (0.5, 0.1):
    pose, distances[resolution] = project_pose_to_lane(at_end, lane, resolution)
    points = np.array(discretize_lane(lane, resolution))[:, :2]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    summed = np.r_[0.0, np.cumsum(steps)][np.linalg.norm(points - at_end[:2], axis=1).argmin()]
    print(f"resolution {resolution} m: lane of {length_m:.1f} m, closest pose x {pose[0]:.1f}, its distance "
          f"{distances[resolution]:.1f} m, steps summed {summed:.1f} m, double points {np.sum(steps < 1e-9)}")  # fmt: skip
    right = abs(pose[0] - length_m) < 1e-6 and abs(summed - length_m) < 1e-6
    if not right:
        print("changed: the closest pose and the summed steps were right")
        sys.exit(1)
try:
    get_curvature_at_distance_along_lane(distances[0.5], lane)
    curvature = "returned"
except ValueError:
    curvature = "ValueError"
print(f"curvature at that distance: {curvature}")
if not np.allclose(list(distances.values()), [59.5, 47.9]) or curvature != "ValueError":
    print("changed: the distances were 59.5 and 47.9 m, and the curvature raised")
    sys.exit(1)
END
echo "as described"
