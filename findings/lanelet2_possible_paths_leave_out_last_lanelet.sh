#!/usr/bin/env bash
# Seen: 2026-11-29 with lanelet2 1.2.3 (PyPI wheel), Python 3.11, Linux x86_64
# Expected: possiblePaths(lanelet, 25.0), paths at least 25 m long, finds the path through a chain of three 10 m lanelets, and
#   in a map of one lanelet of 60 m that lanelet.
# Happens: A lanelet counts only once it is left, so the last one never does: the 30 m chain is 20 m long, the single
#   lanelet 0 m. The answer is an empty list. (The names shown by help() are shifted by one: `minRoutingCost` is called
#   RoutingCostId there.)
# Matters: A map seen by the vehicle's own cameras ends 30 to 60 m ahead, often inside its first lanelet: a planner that asks
#   for its horizon gets no path at all, on a road that is long enough.
# Do instead: Pass PossiblePathsParams with includeShorterPaths = True and measure the paths yourself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check lanelet2==1.2.3
"$folder/venv/bin/python" - <<'END'
import sys

from lanelet2.core import Lanelet, LaneletMap, LineString3d, Point3d, getId
from lanelet2.routing import PossiblePathsParams, RoutingGraph
from lanelet2.traffic_rules import Locations, Participants, create


def road(count: int, length_m: float) -> tuple[RoutingGraph, Lanelet]:
    """The graph of `count` lanelets one after the other, and the first of them."""
    left, right = (
        [Point3d(getId(), length_m * place, y, 0.0) for place in range(count + 1)] for y in (2.0, -2.0)
    )  # fmt: skip
    lane_map = LaneletMap()
    lanes = []
    for place in range(count):
        bounds = (LineString3d(getId(), side[place : place + 2]) for side in (left, right))
        lane = Lanelet(getId(), *bounds)
        lane.attributes["subtype"], lane.attributes["location"] = "road", "urban"
        lane_map.add(lane)
        lanes.append(lane)
    return RoutingGraph(lane_map, create(Locations.Germany, Participants.Vehicle)), lanes[0]


wrong = False
for count, length_m, asked_m, strict, shorter in (
    (3, 10.0, 20.0, [3], [3]), (3, 10.0, 25.0, [], [3]), (1, 60.0, 10.0, [], [1]),
):  # fmt: skip
    graph, first = road(count, length_m)
    params = PossiblePathsParams()
    params.routingCostLimit, params.includeShorterPaths = asked_m, True
    found = [len(path) for path in graph.possiblePaths(first, asked_m)]
    with_shorter = [len(path) for path in graph.possiblePaths(first, params)]
    print(f"{count} x {length_m:.0f} m, asked for {asked_m:.0f} m: lanelets a path {found}; with shorter paths {with_shorter}")
    if (found, with_shorter) != (strict, shorter):
        print(f"changed: it was {strict} and {shorter}")
        wrong = True
sys.exit(wrong)
END
echo "as described"
