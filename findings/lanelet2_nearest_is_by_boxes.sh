#!/usr/bin/env bash
# Seen: 2026-11-29 with lanelet2 1.2.3 (PyPI wheel), Python 3.11, Linux x86_64
# Expected: laneletLayer.nearest(point, n), "a list of the nearest n primitives", begins with the lanelet nearest to the point.
# Happens: Distances are those of the bounding boxes, and 0 inside one: with an L-shaped road around it the point gets the road's
#   lanelet, 24 m away, and not the one at 2.8 m. The list is in no order that helps: for n = 3 in a row of lanelets the one
#   that the point lies in comes last. n = 1, the default, does get that one on a straight road along an axis.
# Matters: nearest(point, n)[0] is how positions are matched to lanes. On curves, ramps and roads across the axes the vehicle is
#   put on a lane of another street.
# Do instead: lanelet2.geometry.findNearest(map.laneletLayer, point, n): true distances, nearest first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check lanelet2==1.2.3
"$folder/venv/bin/python" - <<'END'
import sys

from lanelet2.core import BasicPoint2d, Lanelet, LineString3d, Point3d, createMapFromLanelets, getId
from lanelet2.geometry import findNearest


def lane(left, right):
    lines = [LineString3d(getId(), [Point3d(getId(), x, y, 0.0) for x, y in line]) for line in (left, right)]
    return Lanelet(getId(), *lines)


def order(lanelets, point):
    """For n of 1 and of all: the names that nearest and findNearest give."""
    names = {lanelet.id: name for name, lanelet in lanelets.items()}
    layer = createMapFromLanelets(list(lanelets.values())).laneletLayer
    for n in (1, len(lanelets)):
        yield [names[found.id] for found in layer.nearest(point, n)]
        yield [(names[found.id], round(distance, 1)) for distance, found in findNearest(layer, point, n)]


around = lane([(0, 0), (0, 50), (50, 50)], [(4, 0), (4, 46), (50, 46)])
beside = lane([(30, 6), (40, 6)], [(30, 2), (40, 2)])
boxes = list(order({"around": around, "beside": beside}, BasicPoint2d(28, 8)))
print("beside a lanelet, inside the box of a bent one: nearest", boxes[0], "findNearest", boxes[3])
row = {i: lane([(20 * i, 4), (20 * i + 20, 4)], [(20 * i, 0), (20 * i + 20, 0)]) for i in range(2, 5)}
straight = list(order(row, BasicPoint2d(65, 2)))
print("inside number 3 of a row: nearest", straight[0], straight[2], "findNearest", straight[3])
as_seen = (
    boxes[0] == ["around"]
    and boxes[3] == [("beside", 2.8), ("around", 24.0)]
    and straight[0] == [3]
    and straight[2][0] != 3
    and [name for name, _ in straight[3]] == [3, 2, 4]
)
if not as_seen:
    print("changed: nearest went by boxes, and the nearest was not first")
sys.exit(not as_seen)
END
echo "as described"
