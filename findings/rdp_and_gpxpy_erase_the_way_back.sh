#!/usr/bin/env bash
# Seen: 2026-11-30 with rdp 0.8, gpxpy 1.6.2, shapely 2.1.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: rdp.rdp(points, epsilon) and GPX.simplify(distance) leave out only points that lie nearer than that to what remains, as
#   shapely's simplify does (Douglas and Peucker).
# Happens: The distance is taken to the endless straight line through the first and the last point, not to the piece between them. A drive
#   of 1 km along a road, back on its other side, and parked 300 m from the start becomes two points, 300 m apart: 700 m of road and
#   1.4 km of the drive are gone, with a tolerance of 5 m. shapely keeps the turning point. Nothing is raised or logged.
# Matters: Shuttles, sweepers and mapping drives go out and come back; their tracks, coverage and lengths shrink to a stub, as do lanes
#   that turn back in a dead end. A track that ends far from the road's line loses nothing, so tests on loops do not show it.
# Do instead: shapely.LineString(points).simplify(tolerance), in a metric frame.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    rdp==0.8 gpxpy==1.6.2 shapely==2.1.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" -W ignore - <<'END'
import sys

import numpy as np
from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment
from rdp import rdp
from shapely import LineString, Point

TOLERANCE = 5
NORTH, EAST = 111208.0, 73171.0  # meters of a degree at 49 degrees north
out = [(x, 0.0) for x in range(0, 1001, 10)]
back = [(x, 3.5) for x in range(1000, 690, -10)]
parked = [(x, 0.5) for x in range(1000, 290, -10)]


def by_gpxpy(points):
    """The points that GPX.simplify leaves, in meters."""
    gpx = GPX()
    gpx.tracks.append(GPXTrack())
    gpx.tracks[0].segments.append(GPXTrackSegment([GPXTrackPoint(49 + y / NORTH, 8.4 + x / EAST) for x, y in points]))
    gpx.simplify(TOLERANCE)
    return [((p.longitude - 8.4) * EAST, (p.latitude - 49) * NORTH) for p in gpx.tracks[0].segments[0].points]


def told(points, kept):
    """The length that is left, and how far the farthest point lies from what is left, in meters."""
    line = LineString(kept)
    return round(line.length), round(max(line.distance(Point(point)) for point in points))


found = {}
for name, drive in {"back to 300 m": out + parked, "back to 700 m": out + back, "out only": out}.items():
    found[name] = {
        "drive": round(LineString(drive).length),
        "rdp": told(drive, rdp(np.array(drive), epsilon=TOLERANCE)),
        "gpxpy": told(drive, by_gpxpy(drive)),
        "shapely": told(drive, LineString(drive).simplify(TOLERANCE).coords),
    }
    print(name, found[name])
one, two, plain = found.values()
as_seen = (
    one["drive"] > 1690
    and one["rdp"] == one["gpxpy"] == (300, 700)
    and two["rdp"] == two["gpxpy"] == (700, 300)
    and max(one["shapely"][1], two["shapely"][1]) < TOLERANCE
    and plain["rdp"] == plain["gpxpy"] == plain["shapely"] == (1000, 0)
)
if not as_seen:
    print("changed: points beyond the ends were measured to the endless line and left out")
sys.exit(not as_seen)
END
echo "as described"
