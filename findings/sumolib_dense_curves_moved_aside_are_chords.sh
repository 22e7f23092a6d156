#!/usr/bin/env bash
# Seen: 2026-11-30 with sumolib 1.28.0, shapely 2.1.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: sumolib.geomhelper.move2side(shape, amount) is the shape moved sideways, line2boundary(shape, width) the outline of the lane.
# Happens: Moved to the right (a positive amount) every inner vertex whose piece to the next is shorter than the amount is left out as a
#   "narrow turn", even on a straight line. A curve of 50 m radius with a vertex each 2.9 m, moved 3 m, is two points: the chord, 15.5 m
#   beside the curve; with one each 3.2 m it keeps all and lies within 0.1 m. Moved to the left nothing is left out. The outline of a lane
#   of 3.5 m in a curve of 20 m with a vertex each meter has 24 m2 in place of 110. Nothing is said.
# Matters: Lanes from OpenDRIVE or from maps of lanes have a vertex each 0.5 to 2 m: their right borders cut across the curve and through the
#   lane itself, and points in the lane are found outside its outline. Test networks with few vertices show nothing.
# Do instead: shapely's LineString(shape).offset_curve(-amount), and LineString(shape).buffer(width / 2, cap_style="flat") for the outline.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check sumolib==1.28.0 shapely==2.1.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from shapely import LineString, Polygon
from sumolib.geomhelper import line2boundary, move2side

MOVED = 3.0


def curve(radius, step):
    """A quarter of a circle to the left."""
    angles = np.linspace(0, np.pi / 2, round(radius * np.pi / 2 / step) + 1)
    return [(radius * np.sin(angle), radius - radius * np.cos(angle)) for angle in angles]


def beside(radius, step, amount):
    """How many vertices are left, and how far the moved curve strays from the circle that it should be on."""
    moved = move2side(curve(radius, step), amount)
    tight = np.array(LineString(moved).segmentize(0.5).coords)
    return len(moved), float(np.abs(np.hypot(tight[:, 0], tight[:, 1] - radius) - (radius + amount)).max())


fine = {step: beside(50, step, MOVED) for step in (3.2, 2.9, 1.0)}
left = {step: beside(50, step, -MOVED) for step in (3.2, 2.9, 1.0)}
straight = move2side([(x, 0.0) for x in range(0, 11, 2)], MOVED)
outline = Polygon(line2boundary(curve(20, 1.0), 3.5)).area
right = LineString(curve(20, 1.0)).buffer(1.75, cap_style="flat").area
print("to the right, by meters between vertices: (vertices, meters astray)", fine)
print("to the left:", left)
print("a straight line of six vertices:", [(float(x), float(y)) for x, y in straight])
print(f"outline of a lane: {outline:.1f} m2, by shapely {right:.1f} m2, true {3.5 * 20 * np.pi / 2:.1f} m2")
as_seen = (
    fine[3.2][0] == len(curve(50, 3.2))
    and fine[3.2][1] < 0.1
    and all(fine[step][0] == 2 and 15 < fine[step][1] < 16 for step in (2.9, 1.0))
    and all(left[step][0] == len(curve(50, step)) and left[step][1] < 0.1 for step in left)
    and len(straight) == 2
    and abs(right - 110) < 0.5
    and outline < 50
)
if not as_seen:
    print("changed: vertices nearer than the offset were left out")
sys.exit(not as_seen)
END
echo "as described"
