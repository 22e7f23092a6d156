#!/usr/bin/env bash
# Seen: 2026-11-30 with geopandas 1.2.0, pyproj 3.7.2, utm 0.9.0, mgrs 1.6.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: The UTM zone that geopandas' estimate_utm_crs finds for a map is the one that utm and mgrs give for the same place.
# Happens: On Norway's west coast zone 32 is widened to 3 degrees east. utm and mgrs know that, estimate_utm_crs (and with it osmnx'
#   project_graph) counts degrees by six: Bergen and Stavanger are 32V there and EPSG:32631 here. One place has two pairs of
#   plausible coordinates, 297 km and 628 km east.
# Matters: Coordinates are exchanged as east and north with the zone understood, as MGRS maps (Autoware) and lanelet2's UtmProjector,
#   which knows the exception, do: layers do not meet. North differs by 3 km, directions by 5 degrees.
# Do instead: Name the zone once and pass it on: to_crs(32600 + utm.from_latlon(lat, lon)[2]) in the north.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    geopandas==1.2.0 pyproj==3.7.2 shapely==2.1.2 numpy==2.2.6 utm==0.9.0 mgrs==1.6.0 packaging==25.0
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import math
import sys

import geopandas
import mgrs
import pyproj
import shapely
import utm

as_seen = True
for town, latitude, longitude in (("Bergen", 60.39, 5.32), ("Stavanger", 58.97, 5.74), ("Oslo", 59.91, 10.75)):
    street = geopandas.GeoSeries([shapely.LineString([(longitude, latitude), (longitude + 0.01, latitude)])], crs=4326)
    east, north, zone, letter = utm.from_latlon(latitude, longitude)
    guess = street.estimate_utm_crs()
    there = pyproj.Transformer.from_crs(4326, guess, always_xy=True).transform(longitude, latitude)
    turned = sum(
        sign * math.radians(longitude - 6 * number + 183) * math.sin(math.radians(latitude))
        for sign, number in ((1, guess.to_epsg() - 32600), (-1, zone))
    )
    print(
        f"{town}: utm {zone}{letter} {east:.0f} {north:.0f}, mgrs {mgrs.MGRS().toMGRS(latitude, longitude)}, "
        f"geopandas EPSG:{guess.to_epsg()} {there[0]:.0f} {there[1]:.0f}, turned by {math.degrees(turned):.1f} degrees"
    )
    as_seen &= zone == 32 and guess.to_epsg() == (32632 if town == "Oslo" else 32631)
    as_seen &= mgrs.MGRS().toMGRS(latitude, longitude).startswith("32V")
if not as_seen:
    print("changed: utm and mgrs said zone 32 and geopandas zone 31 on Norway's west coast")
sys.exit(not as_seen)
END
echo "as described"
