#!/usr/bin/env bash
# Seen: 2026-11-30 with geopandas 1.2.0, pyogrio 0.13.0, shapely 2.1.2, pyproj 3.7.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: A table of lanes that is written to a file and read again has its rows in the same order, as with GeoPackage, GeoJSON, shapefiles
#   and GML.
# Happens: FlatGeobuf sorts them by place, for its index of places, which is made by default: rows 0 1 2 3 4 5 come back as
#   5 0 2 3 4 1, with a new running index 0 to 5. Nothing is lost or said.
# Matters: Successors noted as row numbers, scores or features kept in an array beside the file, "the first lane is the ego lane": all point
#   at other lanes after the file format was changed for a faster one.
# Do instead: to_file(..., driver="FlatGeobuf", SPATIAL_INDEX="NO"), or keep a column of IDs and refer to that alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    geopandas==1.2.0 pyogrio==0.13.0 shapely==2.1.2 pyproj==3.7.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" -W ignore - "$folder" <<'END'
import sys

import geopandas
import numpy as np
import shapely

folder = sys.argv[1]
starts = np.random.default_rng(0).random((6, 2)) * 1000 + [456000, 5411000]
lanes = geopandas.GeoDataFrame(
    {"lane": range(6)}, geometry=[shapely.LineString([(x, y, 1), (x + 5, y, 2)]) for x, y in starts], crs=32632
)
found = {}
for driver, ending, options in (
    ("GPKG", "gpkg", {}),
    ("GeoJSON", "geojson", {}),
    ("ESRI Shapefile", "shp", {}),
    ("FlatGeobuf", "fgb", {}),
    ("FlatGeobuf", "plain.fgb", {"SPATIAL_INDEX": "NO"}),
):
    path = f"{folder}/lanes.{ending}"
    lanes.to_file(path, driver=driver, **options)
    read = geopandas.read_file(path)
    found[ending] = read.lane.tolist()
    print(driver, options, found[ending], "index", read.index.tolist())
kept = list(range(6))
as_seen = all((order == kept) == (ending != "fgb") for ending, order in found.items()) and sorted(found["fgb"]) == kept
if not as_seen:
    print("changed: FlatGeobuf alone changed the order")
sys.exit(not as_seen)
END
echo "as described"
