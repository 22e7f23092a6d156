#!/usr/bin/env bash
# Seen: 2026-11-29 with av2 0.3.6, numpy 2.2.6, shapely 2.1.2, Python 3.11, Linux x86_64
# Expected: get_double_polylines gives the left and the right line of a marking in its direction, and centerline_to_polygon the
#   area of a lane, whatever the heading.
# Happens: The sides are told apart by the signs of dx and dy, and 0 belongs to none: left and right are exchanged for lines that run
#   exactly along +x, +y or -y; of 24 headings these three. On a curve single vertices change sides where it does so: three
#   quarters of a circle of 20 m radius give a polygon that crosses itself, with 333 m2 for 358.
# Matters: Streets of simulated and hand-made maps run along the axes. Lanes get their sides wrong there, areas and rasters
#   of crossed polygons have holes.
# Do instead: shapely's offset_curve, or the normal [-dy, dx] / hypot(dx, dy) of each vertex: no signs to tell apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" numpy==2.2.6 scipy==1.15.3 universal-pathlib==0.3.8 matplotlib==3.10.3 shapely==2.1.2
"${pip[@]}" --no-deps av2==0.3.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from av2.geometry.polyline_utils import centerline_to_polygon, get_double_polylines
from shapely import Polygon

AXES = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}
exchanged = []
for degrees in range(0, 360, 15):
    angle = np.deg2rad(degrees)
    forward = np.array(AXES.get(degrees, (np.cos(angle), np.sin(angle))), float)
    left, right = get_double_polylines(np.outer([0.0, 10.0, 20.0], forward), 1.0)
    to_the_left = np.array([-forward[1], forward[0]])
    if (left @ to_the_left < 0).all() and (right @ to_the_left > 0).all():
        exchanged.append(degrees)
print("left and right exchanged at headings of", exchanged, "degrees")
angles = np.linspace(0, 1.5 * np.pi, 31)
lane = Polygon(centerline_to_polygon(20 * np.column_stack([np.cos(angles), np.sin(angles)])))
print(f"three quarters of a circle: crosses itself: {not lane.is_valid}, {lane.area:.0f} m2 for {3.8 * 20 * 1.5 * np.pi:.0f}")
as_seen = exchanged == [0, 90, 270] and not lane.is_valid and lane.area < 340
if not as_seen:
    print("changed: sides were exchanged along +x, +y and -y")
sys.exit(not as_seen)
END
echo "as described"
