#!/usr/bin/env bash
# Seen: 2026-11-30 with proj4 2.22.0 (proj4js, npm), pyproj 3.7.2 (PROJ 9.5.1), node 20.20, Python 3.11, Linux x86_64
# Expected: proj4js reads PROJ strings as PROJ does: a parameter that is left out (x_0, y_0, lon_0) is 0, and an ellipsoid that is given is used.
# Happens: aea, laea, eqdc and poly without x_0 and y_0, and cea and geos without lon_0, give NaN; utm, tmerc, lcc, stere and aeqd do not. With all
#   three given, the six agree with PROJ within a millimetre. gnom and ortho are those of a sphere whatever the ellipsoid: 5 km from
#   their centre they are 7.7 m beside PROJ's. A height in +vunits=us-ft stays in metres. No error, no warning.
# Matters: A web viewer draws nothing, or a local map whose far end lies two lanes beside the image, with the string that the server was made with.
# Do instead: Write +lon_0, +x_0 and +y_0 out; aeqd or tmerc for local frames (both agree with PROJ within a millimetre); heights in metres.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check pyproj==3.7.2
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" --cache "$folder/npm" proj4@2.22.0
env -u PYTHONPATH PROJ_NETWORK=OFF "$folder/venv/bin/python" - "$folder" <<'END'
import json
import math
import subprocess
import sys

from pyproj import Transformer

FROM = "+proj=longlat +ellps=GRS80 +no_defs"
ORIGIN = " +lon_0=0 +x_0=0 +y_0=0"
NEAR = (8.45, 49.03)  # 4.9 km from the centre of the local frames
CENTRE = " +lat_0=49 +lon_0=8.4"
CASES = {
    "utm": ("+proj=utm +zone=32", NEAR),
    "tmerc": ("+proj=tmerc" + CENTRE, NEAR),
    "lcc": ("+proj=lcc +lat_1=48 +lat_2=50" + CENTRE, NEAR),
    "stere": ("+proj=stere" + CENTRE, NEAR),
    "aeqd": ("+proj=aeqd" + CENTRE, NEAR),
    "gnom": ("+proj=gnom +x_0=0 +y_0=0" + CENTRE, NEAR),
    "ortho": ("+proj=ortho +x_0=0 +y_0=0" + CENTRE, NEAR),
    "feet": ("+proj=utm +zone=32 +vunits=us-ft", (*NEAR, 110.0)),
}
for name, text in {
    "aea": "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23",
    "laea": "+proj=laea +lat_0=49",
    "eqdc": "+proj=eqdc +lat_1=29.5 +lat_2=45.5 +lat_0=23",
    "poly": "+proj=poly +lat_0=0",
    "cea": "+proj=cea +lat_ts=30",
    "geos": "+proj=geos +h=35785831",
}.items():
    CASES[name] = (text, NEAR)
    CASES[name + " in full"] = (text + ORIGIN, NEAR)
CASES["aea with lon_0"] = (CASES["aea"][0] + " +lon_0=0", NEAR)
CASES["cea with x_0, y_0"] = (CASES["cea"][0] + " +x_0=0 +y_0=0", NEAR)
texts = {name: (text + " +ellps=GRS80 +no_defs", point) for name, (text, point) in CASES.items()}
code = """
const proj4 = require("proj4"), [from, cases] = JSON.parse(require("fs").readFileSync(0));
const out = {};
for (const [name, [text, point]] of Object.entries(cases)) out[name] = proj4(from, text, point);
console.log(JSON.stringify(out));  // NaN becomes null
"""
asked = json.dumps([FROM, texts])
done = subprocess.run(["node", "-e", code], input=asked, cwd=sys.argv[1], capture_output=True, text=True, check=True)
assert not done.stderr, done.stderr
nothing, apart = set(), {}
for name, found in json.loads(done.stdout).items():
    text, point = texts[name]
    true = Transformer.from_crs(FROM, text + " +type=crs", always_xy=True).transform(*point)
    if None in found:
        nothing.add(name)
    else:
        apart[name] = math.dist(found, true)
print("NaN:", sorted(nothing))
print("metres from PROJ:", {name: round(gap, 4) for name, gap in apart.items()})
beside = {name for name, gap in apart.items() if gap > 1e-3}
as_seen = (
    nothing == {"aea", "laea", "eqdc", "poly", "cea", "geos", "aea with lon_0", "cea with x_0, y_0"}
    and beside == {"gnom", "ortho", "feet"}
    and 7 < apart["gnom"] < 9
    and 7 < apart["ortho"] < 9
    and 240 < apart["feet"] < 260
)
if not as_seen:
    print("changed: what was left out made NaN, gnom and ortho were those of a sphere")
sys.exit(not as_seen)
END
echo "as described"
