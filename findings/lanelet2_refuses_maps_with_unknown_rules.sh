#!/usr/bin/env bash
# Seen: 2026-11-29 with lanelet2 1.2.3, Python 3.11, Linux x86_64
# Expected: A regulatory element of a kind that lanelet2 does not know is kept as a generic one, or left out alone.
# Happens: load() raises for the whole map: "Creating a regulatory element of type crosswalk failed: No regulatory element
#   found that implements rule crosswalk". loadRobust() gives the map without the element, and a list of errors.
# Matters: Autoware wants such an element for each crosswalk and registers the kind in its own extension. A map that its
#   validator passes cannot be opened where only the wheel is installed.
# Do instead: loadRobust(), and look at its errors; or take the elements out before lanelet2 opens the map.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check lanelet2==1.2.3
FOLDER=$folder "$folder/venv/bin/python" - <<'END'
import os
import sys

import lanelet2.io
import lanelet2.projection

NODES = "".join(f'<node id="{k + 1}" lat="{48 + k % 2 * 1e-4}" lon="{8 + k // 2 * 1e-4}"/>' for k in range(4))
WAYS = "".join(f'<way id="{k}"><nd ref="{a}"/><nd ref="{b}"/></way>' for k, a, b in ((5, 1, 2), (6, 3, 4)))
LANELET = (
    '<relation id="7"><member type="way" ref="5" role="left"/><member type="way" ref="6" role="right"/>{member}'
    '<tag k="type" v="lanelet"/><tag k="subtype" v="road"/></relation>'
)
MEMBER = '<member type="relation" ref="8" role="regulatory_element"/>'
RULE = '<relation id="8"><tag k="type" v="regulatory_element"/><tag k="subtype" v="crosswalk"/></relation>'
projector = lanelet2.projection.UtmProjector(lanelet2.io.Origin(48.0, 8.0))
path = os.path.join(os.environ["FOLDER"], "map.osm")
found = []
for member, rule in (("", ""), (MEMBER, RULE)):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<osm version="0.6">{NODES}{WAYS}{LANELET.format(member=member)}{rule}</osm>')
    loaded, errors = lanelet2.io.loadRobust(path, projector)
    found.append((len(loaded.laneletLayer), len(errors)))
    print(f"{'with' if rule else 'without'} the element: {found[-1][0]} lanelets, {found[-1][1]} lines of errors")
try:
    lanelet2.io.load(path, projector)
    sys.exit("load() opens the map: changed")
except RuntimeError as error:
    print(" ".join(str(error).split()))
if found[0] != (1, 0) or found[1][0] != 1 or not found[1][1]:
    sys.exit("changed")
END
echo "as described"
