#!/usr/bin/env bash
# Seen: 2026-11-29 with carla 0.9.16 (PyPI wheel, no simulator running), Python 3.11, Linux x86_64
# Expected: Map.transform_to_geolocation gives the latitude and longitude of a place of the map, as its OpenDRIVE geoReference
#   says: north of the origin the latitude grows, x_0 and y_0 are the origin's false coordinates.
# Happens: Waypoints have CARLA's left-handed axes, y to the south, and transform_to_geolocation takes y for north: 1 km up a
#   road that goes north the latitude is 48.991, not 49.009. x_0 = 1000 in geoReference moves nothing. geolocation_to_transform
#   has the same fault, so there and back nothing shows.
# Matters: Ground truth maps and GNSS tracks that are exported with it are mirrored north to south, which looks right for
#   roads along x and on a symmetric grid of streets.
# Do instead: pyproj.Transformer.from_crs(CRS(geoReference), "EPSG:4326") with (location.x, -location.y).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check carla==0.9.16
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import carla

ROAD = """<?xml version="1.0"?><OpenDRIVE><header revMajor="1" revMinor="4" name="north">
<geoReference><![CDATA[+proj=tmerc +lat_0=49 +lon_0=8 +k=1 +x_0={x_0} +y_0=0 +ellps=WGS84 +units=m +no_defs]]></geoReference></header>
<road name="north" length="2000" id="1" junction="-1"><planView>
<geometry s="0" x="0" y="0" hdg="1.5707963267948966" length="2000"><line/></geometry></planView>
<elevationProfile/><lateralProfile/><lanes><laneSection s="0"><center><lane id="0" type="none" level="false"/></center>
<right><lane id="-1" type="driving" level="false"><link/><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane></right>
</laneSection></lanes></road></OpenDRIVE>"""
town = carla.Map("north", ROAD.format(x_0=0))
places = [town.get_waypoint_xodr(1, -1, s).transform.location for s in (0.0, 1000.0)]
south, north = (town.transform_to_geolocation(place) for place in places)
print(f"start of the road: latitude {south.latitude:.6f}, 1 km further north: {north.latitude:.6f}")
moved = carla.Map("north", ROAD.format(x_0=1000)).transform_to_geolocation(places[0])
print(f"longitude with x_0 = 0: {south.longitude:.6f}, with x_0 = 1000: {moved.longitude:.6f}")
back = town.geolocation_to_transform(north)
print(f"there and back: y = {places[1].y:.1f}, then {back.y:.1f}")
as_seen = (
    abs(south.latitude - 49) < 1e-6
    and abs(north.latitude - (49 - 0.00899)) < 1e-4
    and moved.longitude == south.longitude
    and abs(back.y - places[1].y) < 1
)
if not as_seen:
    print("changed: latitudes shrank to the north, and x_0 did not count")
sys.exit(not as_seen)
END
echo "as described"
