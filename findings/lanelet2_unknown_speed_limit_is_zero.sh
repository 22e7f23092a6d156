#!/usr/bin/env bash
# Seen: 2026-11-29 with lanelet2 1.2.3 (PyPI wheel), Python 3.11, Linux x86_64
# Expected: A lanelet whose speed_limit text cannot be read (`none`, `50 kph`, `50 KM/H`), or whose location is not one of
#   the two known words (`rural`), gets the default limit of its kind, or loading and routing raise.
# Happens: The limit is 0 km/h without a word. The lanelet stays passable, the routing graph is built, checkValidity finds
#   nothing, and routes by distance run through it; routes by travel time cannot leave it, so shortestPath gives None.
# Matters: Exporters of online maps copy limits from OpenStreetMap (`none`, `walk`) or write their own unit; one such tag on
#   one lane cuts every route by time, and nothing points at the lane.
# Do instead: Write `<number> km/h` (also read: `50`, `13.9 m/s`, `30 mph`) and location urban or nonurban only; leave the tag
#   out where the limit is unknown; after loading, look for passable lanelets whose speedLimit is 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check lanelet2==1.2.3
"$folder/venv/bin/python" - <<'END'
import sys

from lanelet2.core import Lanelet, LaneletMap, LineString3d, Point3d, getId
from lanelet2.routing import RoutingGraph
from lanelet2.traffic_rules import Locations, Participants, create

RULES = create(Locations.Germany, Participants.Vehicle)
DISTANCE, TRAVEL_TIME = 0, 1


def road(tags_of_the_middle: dict[str, str]) -> list[Lanelet]:
    """Three lanelets of 10 m, one after the other."""
    left = [Point3d(getId(), 10.0 * place, 2.0, 0.0) for place in range(4)]
    right = [Point3d(getId(), 10.0 * place, -2.0, 0.0) for place in range(4)]
    lanelets = []
    for place in range(3):
        lane = Lanelet(
            getId(), LineString3d(getId(), left[place : place + 2]), LineString3d(getId(), right[place : place + 2])
        )
        tags = {"subtype": "road", "location": "urban"} | (tags_of_the_middle if place == 1 else {})
        for key, value in tags.items():
            lane.attributes[key] = value
        lanelets.append(lane)
    return lanelets


wrong = False
for tags, limit in (
    ({}, 50), ({"speed_limit": "30 mph"}, 48.28032), ({"speed_limit": "none"}, 0), ({"speed_limit": "50 kph"}, 0),
    ({"speed_limit": "50 KM/H"}, 0), ({"location": "rural"}, 0),
):  # fmt: skip
    lanes = road(tags)
    lane_map = LaneletMap()
    for lane in lanes:
        lane_map.add(lane)
    graph = RoutingGraph(lane_map, RULES)
    speed = RULES.speedLimit(lanes[1]).speedLimit
    by_distance, by_time = (graph.shortestPath(lanes[0], lanes[2], cost) is not None for cost in (DISTANCE, TRAVEL_TIME))
    passable, faults = RULES.canPass(lanes[1]), list(graph.checkValidity(False))
    print(f"{tags or 'no tag'}: {speed:.1f} km/h, passable {passable}, faults {faults}, "
          f"route by distance {by_distance}, by travel time {by_time}")  # fmt: skip
    as_seen = abs(speed - limit) < 1e-3 and passable and not faults and by_distance and by_time == (limit > 0)
    if not as_seen:
        print(f"changed: with {tags} it was {limit} km/h, and a route by time only above 0")
    wrong |= not as_seen
sys.exit(wrong)
END
echo "as described"
