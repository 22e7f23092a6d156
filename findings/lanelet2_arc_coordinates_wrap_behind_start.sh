#!/usr/bin/env bash
# Seen: 2026-11-29 with lanelet2 1.2.3 (PyPI wheel), Python 3.11, Linux x86_64
# Expected: fromArcCoordinates with a length a little below 0 gives a point at the start of the line or just behind it, as a
#   length above the line's gives its end.
# Happens: A negative length counts from the END: on a 20 m centerline -0.1 m is the point at 19.9 m. toArcCoordinates never
#   gives a negative length: a point behind the start gets 0 and its distance to the start, not its lateral offset.
# Matters: The vehicle's position is often a step behind the first point of a freshly mapped lane, and length minus
#   something (rear axle, look-behind, noise) drops below 0: the target jumps to the far end of the lane.
# Do instead: Clamp the length to 0 and the line's length before the call, and project onto the first or last piece
#   yourself where the point lies beyond the line.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check lanelet2==1.2.3
"$folder/venv/bin/python" - <<'END'
import sys

from lanelet2.core import BasicPoint2d, LineString3d, Point3d, getId
from lanelet2.geometry import ArcCoordinates, fromArcCoordinates, to2D, toArcCoordinates

line = to2D(LineString3d(getId(), [Point3d(getId(), 20.0 * part, 0.0, 0.0) for part in (0, 0.25, 1)]))
wrong = False
for length, x_seen in ((5.0, 5.0), (25.0, 20.0), (-0.1, 19.9), (-5.0, 15.0)):
    arc = ArcCoordinates()
    arc.length, arc.distance = length, 1.0
    point = fromArcCoordinates(line, arc)
    print(f"length {length} m, 1 m to the left: ({point.x:.2f}, {point.y:.2f})")
    wrong |= abs(point.x - x_seen) + abs(point.y - 1.0) > 1e-6
back = toArcCoordinates(line, BasicPoint2d(-4.0, 3.0))
print(f"4 m behind the start, 3 m to the left: length {back.length} m, distance {back.distance} m")
wrong |= (back.length, back.distance) != (0.0, 5.0)
if wrong:
    print("changed: lengths below 0 counted from the end; behind the start the length was 0 and the distance 5 m")
sys.exit(wrong)
END
echo "as described"
