#!/usr/bin/env bash
# Seen: 2026-11-30 with geojson 3.3.0, Python 3.11, Linux x86_64
# Expected: geojson.loads gives the coordinates that a file holds, and dumps writes those that it was given.
# Happens: Every geometry, also one that is only read, is rounded to six decimals: 49.01234567891 comes as 49.012346. Numbers are rounded
#   in place of digits being saved in writing, so nothing in the file's size or form tells it from what the survey delivered.
# Matters: In degrees six decimals are steps of 0.11 m north and 0.07 m east. Lane boundaries that pass through it once become staircases
#   of that step: a straight boundary with a vertex each 0.2 m turns by up to tens of degrees from one piece to the next.
# Do instead: geojson.geometry.DEFAULT_PRECISION = 9 before anything is read (or precision=9 for each geometry made by hand);
#   json.loads where GeoJSON's classes are not needed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check geojson==3.3.0
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import json
import math
import sys

import geojson

# A straight boundary to the north-north-east, a vertex each 0.2 m, in degrees with eleven decimals.
NORTH, EAST = 1 / 111200.0, 1 / 73200.0  # degrees of a meter near 49 degrees
line = [[round(8.4 + 0.2 * i * 0.31 * EAST, 11), round(49.0 + 0.2 * i * 0.95 * NORTH, 11)] for i in range(60)]
text = json.dumps({"type": "FeatureCollection", "features": [
    {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": line}}]})


def off_and_turn(found):
    off = max(math.hypot((a[0] - b[0]) / EAST, (a[1] - b[1]) / NORTH) for a, b in zip(line, found, strict=True))
    steps = [((b[0] - a[0]) / EAST, (b[1] - a[1]) / NORTH) for a, b in zip(found, found[1:], strict=False)]
    headings = [math.degrees(math.atan2(x, y)) for x, y in steps]
    return off, max(headings) - min(headings)


read = geojson.loads(text)["features"][0]["geometry"]["coordinates"]
off, turn = off_and_turn(read)
print(f"{line[1]} is read as {read[1]}: up to {off:.3f} m off, headings of the pieces spread over {turn:.0f} degrees")
geojson.geometry.DEFAULT_PRECISION = 9
fine, fine_turn = off_and_turn(geojson.loads(text)["features"][0]["geometry"]["coordinates"])
print(f"with DEFAULT_PRECISION = 9: {fine:.5f} m off, headings spread over {fine_turn:.2f} degrees")
as_seen = 0.04 < off < 0.08 and turn > 15 and fine < 0.001 and read[1][1] == round(line[1][1], 6)
if not as_seen:
    print("changed: coordinates that were read were rounded to six decimals")
sys.exit(not as_seen)
END
echo "as described"
