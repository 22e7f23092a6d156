#!/usr/bin/env bash
# Seen: 2026-11-30 with lanelet2 1.2.3 (PyPI wheel), numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Lanelet.centerline runs in the middle between the two bounds, to a few centimeters where the bounds are made of straight pieces.
# Happens: Vertices of the two bounds are paired and their midpoints taken, nothing in between. A lane of 4 m whose left bound steps out to
#   7.5 m between 30 and 50 m, beside a straight right bound of two points, gets (0, 2), (15, 2), (55, 2), (80, 3.75): at 55 m it is
#   1.75 m off the middle. With a right vertex each 5 m it is off by 0.44 m still, with one each meter on both sides by 0.04 m.
# Matters: Straight bounds with few points are how editors and simplified online maps draw them. Arc coordinates, routes, lateral errors and
#   training targets that are measured from centerline are off by half a lane beside every pocket, bay and taper.
# Do instead: Resample both bounds to the same number of points by their relative length first (twenty or more), or compute the middle from
#   the bounds and set lanelet.centerline.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check lanelet2==1.2.3 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import itertools
import sys

import numpy as np
from lanelet2.core import Lanelet, LineString3d, Point3d

ids = itertools.count(1)
KNOTS, LEFT = np.array([0, 30, 50, 80.0]), np.array([4, 4, 7.5, 7.5])


def line(points):
    return LineString3d(next(ids), [Point3d(next(ids), float(x), float(y), 0.0) for x, y in points])


def off(left_places, right_places):
    """How far the centerline is from the middle (half of the left bound's y, the right bound lies at 0)."""
    lane = Lanelet(
        next(ids),
        line([(x, np.interp(x, KNOTS, LEFT)) for x in left_places]),
        line([(x, 0) for x in right_places]),
    )
    center = np.array([(point.x, point.y) for point in lane.centerline])
    x = np.linspace(0, 80, 801)
    error = np.abs(np.interp(x, *center.T) - np.interp(x, KNOTS, LEFT) / 2)
    return float(error.max()), center


drawn, center = off(KNOTS, (0, 80))
some, _ = off(KNOTS, range(0, 81, 5))
dense, _ = off(range(0, 81), range(0, 81))
print("centerline", [(float(x), float(y)) for x, y in center])
print(f"off the middle by {drawn:.2f} m as drawn, {some:.2f} m with a right vertex each 5 m, {dense:.2f} m with one each meter on both sides")
as_seen = np.allclose(center, [(0, 2), (15, 2), (55, 2), (80, 3.75)]) and abs(drawn - 1.75) < 0.02 and some > 0.3 and dense < 0.1
if not as_seen:
    print("changed: the centerline was 1.75 m off the middle")
sys.exit(not as_seen)
END
echo "as described"
