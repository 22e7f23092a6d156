#!/usr/bin/env bash
# Seen: 2026-11-30 with shapely 2.2.0 (GEOS 3.14.1), numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: union_all of center lines with heights, the usual way to cut them at their junctions, keeps every line's own height, also
#   where a bridge crosses above a road.
# Happens: Both are cut where they cross in plan, and the new vertex gets the MEAN of their heights: a road at 0 m climbs to 4 m below
#   the bridge, which itself sags from 8 m to 4 m. node() does the same; the area that a bridge's and a road's polygons share lies
#   at 4 m all over. offset_curve and nearest_points give their results without any height.
# Matters: A lane graph that is built from the pieces connects motorway and overpass, and its heights say that this is right. A check
#   that tells levels apart by height finds none.
# Do instead: Union each level by itself (by layer or by height), or cut by hand: line_locate_point on both lines, and compare
#   line_interpolate_point(...).z before joining. Take the heights of an offset line from the line it was made of.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check shapely==2.2.0 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import shapely
import shapely.ops

road = shapely.LineString([(0, 0, 0), (20, 0, 0)])
bridge = shapely.LineString([(10, -10, 8), (10, 10, 8)])
pieces = shapely.union_all([road, bridge])
print("union_all:", pieces.wkt)
heights = {point[2] for piece in pieces.geoms for point in piece.coords if point[:2] == (10, 0)}
noded = shapely.node(shapely.MultiLineString([road, bridge]))
heights |= {point[2] for piece in noded.geoms for point in piece.coords if point[:2] == (10, 0)}

area = shapely.intersection(
    shapely.Polygon([(0, -2, 0), (20, -2, 0), (20, 2, 0), (0, 2, 0)]),
    shapely.Polygon([(8, -9, 8), (12, -9, 8), (12, 9, 8), (8, 9, 8)]),
)
print("shared area:", area.wkt)
beside, nearest = shapely.offset_curve(bridge, 2), shapely.ops.nearest_points(bridge, shapely.Point(5, 0, 8))[0]
print("offset_curve:", beside.wkt, " nearest_points:", nearest.wkt)
as_seen = (
    len(pieces.geoms) == 4
    and heights == {4}
    and {point[2] for point in area.exterior.coords} == {4}
    and not beside.has_z
    and not nearest.has_z
)
if not as_seen:
    print("changed: the crossing in plan got the mean height of bridge and road")
sys.exit(not as_seen)
END
echo "as described"
