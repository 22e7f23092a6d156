#!/usr/bin/env bash
# Seen: 2026-11-30 with carla 0.9.16 (PyPI wheel, no simulator running), numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Waypoint.next(10) is a waypoint 10 m farther along the lane, and waypoints of a banked road lie on its surface.
# Happens: The distance is measured along the road's reference line: on lane -3 of a right-hand curve of 20 m radius next(10) moves 5.6 m,
#   on the left-hand one 14.4 m. superelevation is not looked at: with a bank of 0.05 (3 degrees) the lane 8.75 m from the reference
#   line has roll 0 and its height, 44 cm too high. Nothing is said about either.
# Matters: Paths of equal steps, speed profiles and prediction targets made with next() shrink and stretch in curves by the lane's offset
#   over the radius; vehicles and labels float above the outer lanes of banked curves or sink into them.
# Do instead: Step finely and sum the distances between locations; add -offset * tan(superelevation) to z from the road's own XML.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check carla==0.9.16 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import carla
import numpy as np

LANE = (
    '<lane id="-{}" type="driving" level="false"><width sOffset="0" a="3.5" b="0" c="0" d="0"/>'
    '<roadMark sOffset="0" type="solid" weight="standard" color="white" width="0.1"/></lane>'
)
GEO = "<geoReference><![CDATA[+proj=tmerc +lat_0=49 +lon_0=8.4 +datum=WGS84]]></geoReference>"


def road(shape, bank):
    """A map of one road of 60 m with three lanes to its right."""
    return carla.Map("one", f"""<?xml version="1.0"?><OpenDRIVE>
<header revMajor="1" revMinor="6" name="one" version="1" north="0" south="0" east="0" west="0">{GEO}</header>
<road name="r" length="60" id="1" junction="-1">
<planView><geometry s="0" x="0" y="0" hdg="0" length="60">{shape}</geometry></planView>
<elevationProfile><elevation s="0" a="2" b="0" c="0" d="0"/></elevationProfile>
<lateralProfile><superelevation s="0" a="{bank}" b="0" c="0" d="0"/></lateralProfile>
<lanes><laneSection s="0"><center><lane id="0" type="none" level="false"/></center>
<right>{"".join(LANE.format(i) for i in (1, 2, 3))}</right></laneSection></lanes></road></OpenDRIVE>""")


def step(curvature):
    """How far next(10) goes on the third lane."""
    shape = f'<arc curvature="{curvature}"/>' if curvature else "<line/>"
    at = road(shape, 0).get_waypoint_xodr(1, -3, 10.0)
    places = [at.transform.location]
    for tenth in range(1, 101):
        places.append(at.next(tenth / 10)[0].transform.location)
    xy = np.array([(place.x, place.y) for place in places])
    return float(np.hypot(*np.diff(xy, axis=0).T).sum())


steps = {curvature: step(curvature) for curvature in (0, -0.05, 0.05)}
banked = road("<line/>", 0.05).get_waypoint_xodr(1, -3, 10.0).transform
print("next(10) moves", {curvature: round(length, 2) for curvature, length in steps.items()}, "m by curvature")
print(f"banked road: z {banked.location.z:.3f} (surface {2 - 8.75 * np.tan(0.05):.3f}), roll {banked.rotation.roll:.2f} degrees")
as_seen = (
    abs(steps[0] - 10) < 0.01
    and abs(steps[-0.05] - 10 * (20 - 8.75) / 20) < 0.02
    and abs(steps[0.05] - 10 * (20 + 8.75) / 20) < 0.02
    and abs(banked.location.z - 2) < 1e-4
    and abs(banked.rotation.roll) < 1e-4
)
if not as_seen:
    print("changed: steps were those of the reference line, and the bank was passed over")
sys.exit(not as_seen)
END
echo "as described"
