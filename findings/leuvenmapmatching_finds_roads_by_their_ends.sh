#!/usr/bin/env bash
# Seen: 2026-11-30 with leuvenmapmatching 1.1.4, rtree 1.4.1, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: InMemMap.edges_closeto(place, max_dist) gives the roads nearer than max_dist, and a drive along a road is matched to it.
# Happens: Without index_edges=True (the default, also with use_rtree=True) only roads are looked at that begin in the box around the place:
#   a drive 1 m beside the middle of a block of 200 m is matched to nothing with max_dist=10. In latitude and longitude that box
#   reaches max_dist along its diagonal, so roads and nodes 7.07 to 10 m to the north, east, south or west are not found whatever the
#   index; in plane coordinates all are. The warning speaks of "linear search", as if it were slow and no more.
# Matters: Empty or broken off matches in the middle of long blocks and on motorways, right ones in small test maps with a node each few
#   meters; the usual remedy, a larger max_dist, brings in the roads beside.
# Do instead: InMemMap(..., use_latlon=False, use_rtree=True, index_edges=True) with UTM coordinates, or sqrt(2) times the max_dist wanted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    leuvenmapmatching==1.1.4 rtree==1.4.1 numpy==2.2.6 scipy==1.16.3
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import logging
import sys

from leuvenmapmatching.map.inmem import InMemMap
from leuvenmapmatching.matcher.distance import DistanceMatcher

logging.getLogger("be.kuleuven.cs.dtai.mapmatching").setLevel(logging.ERROR)
MAX = 10
NORTH, EAST = 111208.0, 73171.0  # meters of a degree at 49 degrees north
BESIDE = (1, 5, 7, 7.5, 9, 9.9, 11)  # meters from the road


def told(latlon, **options):
    """By meters beside a road of two blocks of 200 m: the roads and the nodes that are found, and the nodes of a matched drive."""

    def at(x, y):
        return (49 + y / NORTH, 8.4 + x / EAST) if latlon else (y, x)

    roads = InMemMap("roads", use_latlon=latlon, **options)
    for number, x in enumerate((-100, 100, 300)):
        roads.add_node(number, at(x, 0))
    for start, end in ((0, 1), (1, 2)):
        roads.add_edge(start, end)
    if options:
        roads.setup_index(force=True)
    found = {}
    for y in BESIDE:
        matcher = DistanceMatcher(roads, max_dist=MAX, max_dist_init=MAX, obs_noise=4, non_emitting_states=False)
        matcher.match([at(x, y) for x in range(-50, 51, 10)])
        edges, nodes = roads.edges_closeto(at(0, y), max_dist=MAX), roads.nodes_closeto(at(100, y), max_dist=MAX)
        found[y] = len(edges), len(nodes), list(matcher.path_pred_onlynodes)
    return found


ALL = {"use_rtree": True, "index_edges": True}
plain, by_nodes, by_edges = told(True), told(True, use_rtree=True), told(True, **ALL)
in_plane, in_plane_all = told(False), told(False, **ALL)
for name, found in {
    "no index": plain,
    "index of nodes": by_nodes,
    "index of edges": by_edges,
    "plane, no index": in_plane,
    "plane, index of edges": in_plane_all,
}.items():
    print(f"{name}: meters beside, (edges, nodes, matched)", found)
on_road = [0, 1]
as_seen = (
    all((edges, matched) == (0, []) for found in (plain, by_nodes, in_plane) for edges, _, matched in found.values())
    and all(found[y][1] == (y <= 7) for found in (plain, by_nodes, by_edges) for y in BESIDE)
    and all(found[y][1] == (y < MAX) for found in (in_plane, in_plane_all) for y in BESIDE)
    and all((by_edges[y][0], by_edges[y][2]) == ((1, on_road) if y <= 7 else (0, [])) for y in BESIDE)
    and all((in_plane_all[y][0], in_plane_all[y][2]) == ((1, on_road) if y < MAX else (0, [])) for y in BESIDE)
)
if not as_seen:
    print("changed: roads were found by their first nodes, and 10 m reached 7.07 m")
sys.exit(not as_seen)
END
echo "as described"
