#!/usr/bin/env bash
# Seen: 2026-11-29 with lanelet2 1.2.3 (PyPI wheel), Python 3.11, Linux x86_64
# Expected: In a map with elevations the routing graph does not call a road and the bridge 8 m above it conflicting.
# Happens: `conflicting()` looks at x and y alone: the bridge is a conflict at any height. The C++ library takes a
#   participant_height for this; the Python constructor has no argument for it.
# Matters: A planner that yields to conflicting lanes brakes below every overpass, although the map's z is right.
# Do instead: Keep a conflict only if lanelet2.geometry.overlaps3d(lane, other, height) agrees, height being the room the
#   vehicle needs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check lanelet2==1.2.3
"$folder/venv/bin/python" - <<'END'
import sys

from lanelet2.core import Lanelet, LaneletMap, LineString3d, Point3d, getId
from lanelet2.geometry import overlaps3d
from lanelet2.routing import RoutingGraph
from lanelet2.traffic_rules import Locations, Participants, create


def lanelet(left: list[tuple[float, float]], right: list[tuple[float, float]], z: float) -> Lanelet:
    bounds = (LineString3d(getId(), [Point3d(getId(), x, y, z) for x, y in bound]) for bound in (left, right))
    lane = Lanelet(getId(), *bounds)
    lane.attributes["subtype"], lane.attributes["location"] = "road", "urban"
    return lane


NEEDED_M = 4.0
wrong = False
for bridge_z in (0.0, 6.0, 8.0, 50.0):
    road = lanelet([(0, 2), (20, 2)], [(0, -2), (20, -2)], 0.0)
    bridge = lanelet([(8, -10), (8, 10)], [(12, -10), (12, 10)], bridge_z)
    lane_map = LaneletMap()
    lane_map.add(road)
    lane_map.add(bridge)
    graph = RoutingGraph(lane_map, create(Locations.Germany, Participants.Vehicle))
    conflict, overlap = len(graph.conflicting(road)) == 1, overlaps3d(road, bridge, NEEDED_M)
    print(f"bridge at {bridge_z} m: conflicting {conflict}, overlaps3d within {NEEDED_M} m {overlap}")
    if not conflict or overlap != (bridge_z < NEEDED_M):
        print("changed: every height was a conflict, and overlaps3d told them apart")
        wrong = True
sys.exit(wrong)
END
echo "as described"
