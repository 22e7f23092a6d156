#!/usr/bin/env bash
# Seen: 2026-11-30 with osmium 4.3.2 (pyosmium, libosmium 2.23.1), Python 3.11, Linux x86_64
# Expected: A map that was drawn in JOSM and never uploaded, whose elements have negative IDs as Lanelet2 maps often do, is read like
#   any other; what is written again has the same coordinates.
# Happens: Nodes, ways and relations come, but FileProcessor.with_locations() (and apply_file(locations=True), with any index) gives no
#   place to the nodes of a way if their IDs are negative: location.valid() is False, asking for lat raises. Coordinates are kept
#   at seven decimals: 49.01234567891 is written as 49.0123457, 3.5 mm off, and two vertices 4 mm apart become one place.
# Matters: A filter or length over the ways of such a map sees lines without vertices; code that skips invalid places, as it must for
#   extracts, ends with an empty map. One that only copies moves every vertex of the lane boundaries by up to 8 mm.
# Do instead: Read the nodes first, {node.id: (node.lat, node.lon)}, and look them up by the ways' refs; or renumber to positive IDs. Read
#   Lanelet2 maps with an XML parser where millimeters count.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check osmium==4.3.2
cat > "$folder/map.osm" <<'END'
<?xml version="1.0"?>
<osm version="0.6" generator="hand">
  <node id="-1" lat="49.01234567891" lon="8.40441234567" version="1"/>
  <node id="-2" lat="49.01244567891" lon="8.40441234567" version="1"/>
  <node id="3" lat="49.01234567200" lon="8.40441234400" version="1"/>
  <node id="4" lat="49.01234570900" lon="8.40441234400" version="1"/>
  <way id="-10" version="1"><nd ref="-1"/><nd ref="-2"/><tag k="type" v="line_thin"/></way>
  <way id="11" version="1"><nd ref="3"/><nd ref="4"/><tag k="type" v="line_thin"/></way>
</osm>
END
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys

import osmium

folder = sys.argv[1]
placed = {}
for thing in osmium.FileProcessor(f"{folder}/map.osm").with_locations():
    if thing.is_way():
        placed[thing.id] = [(node.lat, node.lon) if node.location.valid() else None for node in thing.nodes]
        print("way", thing.id, placed[thing.id])
with osmium.SimpleWriter(f"{folder}/copy.osm") as writer:
    for thing in osmium.FileProcessor(f"{folder}/map.osm"):
        writer.add(thing)
copy = open(f"{folder}/copy.osm").read()
print([line.strip() for line in copy.splitlines() if 'id="-1"' in line])
as_seen = (
    placed[-10] == [None, None]
    and None not in placed[11]
    and placed[11][0] == placed[11][1]
    and 'lat="49.0123457" lon="8.4044123"' in copy
)
if not as_seen:
    print("changed: nodes of negative ID had no place in their ways, coordinates were cut to seven decimals")
sys.exit(not as_seen)
END
echo "as described"
