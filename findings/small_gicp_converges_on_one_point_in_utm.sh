#!/usr/bin/env bash
# Seen: 2026-11-30 with small_gicp 1.0.1, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Clouds in map coordinates (UTM) are downsampled and registered as the same clouds near the origin are, or are refused.
# Happens: voxelgrid_sampling keeps a single one of 5000 points, since voxels are numbered up to a million or so each way and a northing of
#   5411 km has more of 1 m. align() then has one point against one point: converged is True, num_inliers 1, the turn
#   by 1 degree is not found, other points are off by 0.7 m. stderr has a line "voxel coord is out of range!!" for each point, nothing is raised.
# Matters: A localizer against a map tile in UTM that trusts converged never turns, and reports success all the while.
# Do instead: Take one offset off both clouds and put it back into the result; check num_inliers against the clouds' size.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check small_gicp==1.0.1 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - 2> "$folder/stderr.txt" <<'END' || { tail -5 "$folder/stderr.txt"; exit 1; }
import sys

import numpy as np
import small_gicp

source = np.random.default_rng(0).random((5000, 3)) * [50, 50, 5]
turn = np.deg2rad(1)
rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
target = source @ rotation.T + [0.3, 0.1, 0]
found = {}
for offset in ([0, 0, 0], [4000, 5000, 0], [456000, 5411000, 115]):
    left = small_gicp.voxelgrid_sampling(source + offset, 1.0).size()
    result = small_gicp.align(target + offset, source + offset, downsampling_resolution=0.5)
    pose = result.T_target_source
    error = np.abs((source + offset) @ pose[:3, :3].T + pose[:3, 3] - (target + offset)).max()
    found[offset[0]] = left, result.converged, result.num_inliers, error
    print(f"at {offset}: {left} points left, converged {result.converged}, {result.num_inliers} inliers, off by {error:.3f} m")
    if offset[0] == 456000:
        still = np.allclose(pose[:3, :3], np.eye(3), atol=1e-5)
near, far = [found[0], found[4000]], found[456000]
as_seen = all(left > 3000 and good and inliers > 3000 and error < 0.05 for left, good, inliers, error in near)
as_seen &= far[0] == 1 and far[1] and far[2] == 1 and far[3] > 0.5 and still
if not as_seen:
    print("changed: one point was left in UTM coordinates, and converged was True")
sys.exit(not as_seen)
END
grep -c "voxel coord is out of range" "$folder/stderr.txt"
echo "as described"
