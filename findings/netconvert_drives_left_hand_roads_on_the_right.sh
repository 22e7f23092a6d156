#!/usr/bin/env bash
# Seen: 2026-11-30 with eclipse-sumo 1.28.0 (netconvert), Python 3.11, Linux x86_64
# Expected: netconvert makes of an OpenDRIVE road with rule="LHT" one that is driven on the left, takes the speed limit of the road's
#   type where a lane has none, and leaves a turning lane out where its width is 0.
# Happens: rule is passed over: traffic drives on the right, on the lanes of the oncoming traffic. The limit of <type><speed> in any
#   unit is passed over too: 13.89 m/s for 130 km/h and for 30 mph alike (limits of lanes are read). A lane that opens from 0 to 3.5 m
#   at 40 m is there from the start, 1.8 m wide, for the 38.7 m before. netconvert says Success.
# Matters: Maps of Britain, Japan or Australia drive the wrong way round; every road has the limit of a town; vehicles use lanes that are
#   not there, beside the road.
# Do instead: --lefthand (directions are right then; lanes are mirrored about the reference line), limits on the lanes themselves, and
#   lane sections that begin where a lane does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check eclipse-sumo==1.28.0
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import sumo

folder, home = Path(sys.argv[1]), os.path.dirname(sumo.__file__)


def lane(number, widths, extra=""):
    records = "".join(f'<width sOffset="{s}" a="{a}" b="0" c="{c}" d="{d}"/>' for s, a, c, d in widths)
    return f'<lane id="{number}" type="driving" level="false">{records}{extra}</lane>'


def network(name, right, left="", rule="RHT", kind="", *options):
    """The lanes (of edge, from first place to last, speed, width) that netconvert makes of a straight road of 100 m."""
    (folder / f"{name}.xodr").write_text(
        f"""<?xml version="1.0"?><OpenDRIVE>
<header revMajor="1" revMinor="6" name="one" version="1" north="0" south="0" east="0" west="0"/>
<road name="r" length="100" id="1" junction="-1" rule="{rule}">{kind}
<planView><geometry s="0" x="0" y="0" hdg="0" length="100"><line/></geometry></planView>
<lanes><laneSection s="0"><left>{left}</left><center><lane id="0" type="none" level="false"/></center>
<right>{right}</right></laneSection></lanes></road></OpenDRIVE>""".replace("<left></left>", "")
    )
    subprocess.run(
        [f"{home}/bin/netconvert", "--opendrive-files", folder / f"{name}.xodr", "-o", folder / f"{name}.net.xml", *options],
        env={**os.environ, "SUMO_HOME": home}, check=True, capture_output=True)  # fmt: skip
    lanes = []
    for found in ET.parse(folder / f"{name}.net.xml").findall(".//edge[@from]/lane"):
        places = [tuple(float(v) for v in place.split(",")[:2]) for place in found.get("shape").split()]
        lanes.append((places[0], places[-1], float(found.get("speed")), float(found.get("width", 0))))
    print(name, lanes)
    return lanes


full = [(0, 3.5, 0, 0)]
as_seen = True
for rule, options in (("RHT", ()), ("LHT", ()), ("LHT", ("--lefthand",))):
    lanes = network(f"{rule}{len(options)}", lane(-1, full), lane(1, full), rule, "", *options)
    east = next(start for start, end, _, _ in lanes if end[0] > start[0])  # that drives to the east
    as_seen &= (east[1] > 0) == bool(options)
for limit in ('max="130" unit="km/h"', 'max="30" unit="mph"'):
    [(_, _, speed, _)] = network("type", lane(-1, full), "", "RHT", f'<type s="0" type="motorway"><speed {limit}/></type>')
    as_seen &= speed == 13.89
[(_, _, speed, _)] = network("own", lane(-1, full, '<speed sOffset="0" max="30" unit="mph"/>'))
as_seen &= speed == 13.41
opening = lane(-2, [(0, 0, 0, 0), (30, 0, 3 * 3.5 / 400, -2 * 3.5 / 8000), (50, 3.5, 0, 0)])
lanes = network("opening", lane(-1, full) + opening)
as_seen &= any(start[0] == 0 and start[1] < -3.5 and 30 < end[0] < 45 and width == 1.8 for start, end, _, width in lanes)
if not as_seen:
    print("changed: rule and type's limit were passed over, the lane was there before it opens")
sys.exit(not as_seen)
END
echo "as described"
