#!/usr/bin/env bash
# Seen: 2026-11-29 with lanelet2 1.2.3 (PyPI wheel), Python 3.11, Linux x86_64
# Expected: With RoutingCostDistance shortestPath gives the path whose lanelets are shortest, measured as length2d measures them:
#   along the centerline.
# Happens: The cost of a lanelet is a rough length of its LEFT bound, taken at some of its vertices. A left curve counts as too
#   short, a right curve as too long. Of two ways around an island the route takes the left curve of 63.6 m in place of the
#   right curve of 60.8 m, and its own length2d() then says 103.6 m where 100.8 m were possible. A quarter circle of 18 m
#   radius, 4 m wide, counts 25.1 m for 28.3 m.
# Matters: Sums of costs are taken for distances (horizon of possiblePaths, reachableSet): on winding roads and roundabouts they
#   are off by half a lane's width for each radian of turning, and two close alternatives change places.
# Do instead: Compare candidates by lanelet2.geometry.length2d, summed over their lanelets.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check lanelet2==1.2.3
"$folder/venv/bin/python" - <<'END'
import math
import sys

from lanelet2.core import Lanelet, LineString3d, Point3d, createMapFromLanelets, getId
from lanelet2.geometry import approximatedLength2d, length2d
from lanelet2.routing import RoutingCostDistance, RoutingGraph
from lanelet2.traffic_rules import Locations, Participants, create


def point(x, y):
    return Point3d(getId(), x, y, 0.0)


def arc(radius, first, last, to_lower_side):
    """41 points around (20, 0) from `first` at the west end to `last` at the east end."""
    angles = [math.pi * (1 + part / 40 if to_lower_side else 1 - part / 40) for part in range(1, 40)]
    return [first, *(point(20 + radius * math.cos(a), radius * math.sin(a)) for a in angles), last]


def lane(left, right):
    made = Lanelet(getId(), LineString3d(getId(), left), LineString3d(getId(), right))
    for key, value in (("subtype", "road"), ("location", "urban"), ("one_way", "yes")):
        made.attributes[key] = value
    return made


west_left, west_right, east_left, east_right = point(0, 2), point(0, -2), point(40, 2), point(40, -2)
start = lane([point(-20, 2), west_left], [point(-20, -2), west_right])
end = lane([east_left, point(60, 2)], [east_right, point(60, -2)])
left_curve = lane(arc(18, west_left, east_left, True), arc(22, west_right, east_right, True))
right_curve = lane(arc(21, west_left, east_left, False), arc(17, west_right, east_right, False))
graph = RoutingGraph(
    createMapFromLanelets([start, left_curve, right_curve, end]),
    create(Locations.Germany, Participants.Vehicle),
    [RoutingCostDistance(0.0)],
)
route = graph.getRoute(start, end, 0)
taken = [lanelet.id for lanelet in route.shortestPath()]
other = sum(map(length2d, (start, right_curve, end)))
print(f"left curve {length2d(left_curve):.1f} m, right curve {length2d(right_curve):.1f} m")
print(f"the route takes the {'left' if left_curve.id in taken else 'right'} one: {route.length2d():.1f} m, for {other:.1f} m")


def quarter(radius):
    turns = [math.pi / 2 * part / 100 for part in range(101)]
    return LineString3d(getId(), [point(radius * math.cos(turn), radius * math.sin(turn)) for turn in turns])


turn = Lanelet(getId(), quarter(16), quarter(20))
print(f"quarter circle: along the centerline {length2d(turn):.2f} m, counted {approximatedLength2d(turn):.2f} m")
as_seen = (
    taken == [start.id, left_curve.id, end.id]
    and route.length2d() > other + 2
    and abs(length2d(turn) - 9 * math.pi) < 0.01
    and abs(approximatedLength2d(turn) - 8 * math.pi) < 0.1
)
if not as_seen:
    print("changed: the longer left curve was taken, since the left bound counted")
sys.exit(not as_seen)
END
echo "as described"
