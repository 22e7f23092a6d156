#!/usr/bin/env bash
# Seen: 2026-11-29 with av2 0.3.6, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: interp_polyline_by_fixed_waypt_interval(line, 5.0) puts a waypoint about every 5 m and keeps both ends.
# Happens: The number of pieces is rounded down: 9.9 m get one piece of 9.9 m, nearly twice the interval; a line shorter than the
#   interval becomes a single point, its end is lost. Nothing is raised.
# Matters: Chamfer distances and matching by waypoints see half of the points on short lines; LineString of the one point raises
#   far from here, or the short divider vanishes from the labels.
# Do instead: av2.geometry.interpolate.interp_arc with max(2, ceil(length / interval) + 1) points.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" numpy==2.2.6 scipy==1.15.3 universal-pathlib==0.3.8 matplotlib==3.10.3
"${pip[@]}" --no-deps av2==0.3.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from av2.geometry.polyline_utils import interp_polyline_by_fixed_waypt_interval

as_seen = True
for length_m, points_seen in ((4.0, 1), (5.0, 2), (9.9, 2), (10.0, 3), (14.9, 3)):
    points, _ = interp_polyline_by_fixed_waypt_interval(np.array([[0.0, 0.0], [length_m, 0.0]]), 5.0)
    print(f"{length_m} m, every 5 m: waypoints at {points[:, 0].tolist()}")
    as_seen &= len(points) == points_seen
if not as_seen:
    print("changed: pieces were rounded down")
sys.exit(not as_seen)
END
echo "as described"
