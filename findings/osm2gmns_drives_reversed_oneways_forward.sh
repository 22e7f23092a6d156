#!/usr/bin/env bash
# Seen: 2026-11-30 with osm2gmns 1.0.1, Python 3.11, Linux x86_64
# Expected: A link of the network runs the way that traffic may: a way with oneway=-1 (one way against the order of its nodes) gives one
#   link from its last node to its first, as the same way with its nodes turned round and oneway=yes does.
# Happens: oneway=-1 gives one link in the order of the nodes: against the traffic. oneway=reverse, the older way to write it, gives links
#   both ways. oneway=yes gives the right one. Nothing is said.
# Matters: Routing, assignment and map matching send cars the wrong way through the street, and refuse it the right way, so that detours
#   around it become the result; a map looks right, since the line lies where it should.
# Do instead: Turn such ways round before (pyosmium: nodes reversed, oneway=yes), or swap from_node_id, to_node_id and the geometry.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check osm2gmns==1.0.1
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import csv
import sys
from pathlib import Path

import osm2gmns

folder = Path(sys.argv[1])
WEST, MIDDLE, EAST = 8.400, 8.402, 8.404
forward = (WEST, MIDDLE, EAST)
WAYS = {
    "two-way": (forward, {}),
    "oneway=yes": (forward, {"oneway": "yes"}),
    "oneway=-1": (forward, {"oneway": "-1"}),
    "oneway=reverse": (forward, {"oneway": "reverse"}),
    "turned round, oneway=yes": (forward[::-1], {"oneway": "yes"}),
}
nodes, ways = [], []
for number, (places, tags) in enumerate(WAYS.values(), 1):
    refs = [10 * number + i for i in range(3)]
    nodes += [f'<node id="{ref}" version="1" lat="{49 + number / 100}" lon="{place}"/>' for ref, place in zip(refs, places)]
    tags = {"highway": "primary", **tags}
    ways.append(
        f'<way id="{number}" version="1">' + "".join(f'<nd ref="{ref}"/>' for ref in refs)
        + "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items()) + "</way>"
    )  # fmt: skip
(folder / "map.osm").write_text(f'<osm version="0.6">{"".join(nodes + ways)}</osm>')
network = osm2gmns.getNetFromFile(str(folder / "map.osm"))
osm2gmns.outputNetToCSV(network, str(folder))
seen = {name: [] for name in WAYS}
with open(folder / "link.csv") as file:
    for link in csv.DictReader(file):
        places = [float(pair.split()[0]) for pair in link["geometry"].split("(")[1].rstrip(")").split(",")]
        seen[list(WAYS)[int(link["osm_way_id"]) - 1]].append("east" if places[0] < places[-1] else "west")
for name, links in seen.items():
    print(f"{name}: {sorted(links)}")
as_seen = {name: sorted(links) for name, links in seen.items()} == {
    "two-way": ["east", "west"],
    "oneway=yes": ["east"],
    "oneway=-1": ["east"],
    "oneway=reverse": ["east", "west"],
    "turned round, oneway=yes": ["west"],
}
if not as_seen:
    print("changed: oneway=-1 ran in the order of the nodes")
sys.exit(not as_seen)
END
echo "as described"
