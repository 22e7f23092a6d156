#!/usr/bin/env bash
# Seen: 2026-11-29 with pyproj 3.7.2 (PROJ 9.5.1), Python 3.11, Linux x86_64
# Expected: A transformation from a frame that moves against the continent (ITRF2014, EPSG:7912) to one that moves with it
#   (ETRS89, EPSG:4937) asks for the time of the coordinates, or gives inf as for a place outside the area of use.
# Happens: Without the fourth coordinate it answers as if the points had been measured on 2015-01-01, its reference epoch: no
#   error, no warning. In Karlsruhe today's answer, with the time 2026.9, is 0.29 m away. From "WGS 84" (EPSG:4979) nothing
#   moves at all, with the time or without: 0.93 m.
# Matters: PPP and many correction services give ITRF of today. A map that is brought to the survey's frame lies a tenth of a
#   lane off, by a shift that grows by 2.5 cm a year.
# Do instead: transform(lon, lat, height, decimal year) from the ITRF code that the service names; never from EPSG:4326 or 4979.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check pyproj==3.7.2
env -u PYTHONPATH PROJ_NETWORK=OFF "$folder/venv/bin/python" -W error - <<'END'
import sys

from pyproj import Geod, Transformer

PLACE = (8.4, 49.0, 110.0)
geod = Geod(ellps="GRS80")


def apart(a, b):
    return geod.inv(a[0], a[1], b[0], b[1])[2]


itrf = Transformer.from_crs("EPSG:7912", "EPSG:4937", always_xy=True)
silent, of_2015, today = itrf.transform(*PLACE), itrf.transform(*PLACE, 2015.0)[:3], itrf.transform(*PLACE, 2026.9)[:3]
wgs84 = Transformer.from_crs("EPSG:4979", "EPSG:4937", always_xy=True).transform(*PLACE, 2026.9)[:3]
print(f"no time given: {apart(silent, of_2015):.4f} m from the answer of 2015.0, {apart(silent, today):.3f} m from that of 2026.9")
print(f"from WGS 84 in 2026.9: moved by {apart(wgs84, PLACE):.4f} m, {apart(wgs84, today):.3f} m from ITRF2014's")
as_seen = (
    apart(silent, of_2015) < 1e-4
    and 0.25 < apart(silent, today) < 0.33
    and apart(wgs84, PLACE) < 1e-4
    and 0.85 < apart(wgs84, today) < 1.0
)
if not as_seen:
    print("changed: without a time it was that of 2015.0, and WGS 84 did not move")
sys.exit(not as_seen)
END
echo "as described"
