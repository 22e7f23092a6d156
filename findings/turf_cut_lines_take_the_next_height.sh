#!/usr/bin/env bash
# Seen: 2026-11-30 with @turf/turf 7.4.0 (npm), node 20.20, Linux x86_64
# Expected: A point on a line with heights has the height of that place, or none; the "planar" distance of a point from a line 79 m away is
#   about the geodesic one.
# Happens: along, lineSliceAlong and lineChunk give the point a height, that of the next vertex: on a ramp from 100 to 110 m every place between has
#   110. cleanCoords takes out a vertex that lies on a straight line as seen from above, with its height: a hump of 8 m is gone.
#   nearestPointOnLine has no height. pointToLineDistance with method "planar" looks for the nearest place in degrees: at 60 degrees north,
#   from a road to the northeast, it gives 91.7 m for 78.7.
# Matters: Lanes cut for a viewer or an editor lie metres above the road at their ends and jump where two pieces meet, and nothing tells
#   heights that were made up from measured ones.
# Do instead: Interpolate the height by the distance between the two vertices oneself; no cleanCoords for lines with heights; the default method
#   "geodesic", or cut and measure in a projected frame.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" --cache "$folder/npm" @turf/turf@7.4.0
cat > "$folder/look.js" <<'END'
const turf = require("@turf/turf");

const metres = { units: "meters" };
const ramp = turf.lineString([[8.4, 60, 100], [8.41, 60, 110]]);
const length = turf.length(ramp, metres);
const along = [0.1, 0.5, 0.9].map((share) => turf.along(ramp, share * length, metres).geometry.coordinates[2]);
const slice = turf.lineSliceAlong(ramp, 0.1 * length, 0.5 * length, metres).geometry.coordinates.map((point) => point[2]);
const chunks = turf.lineChunk(ramp, length / 4, metres).features.map((part) => part.geometry.coordinates.map((point) => point[2]));
const hump = turf.lineString([[8.4, 60, 1], [8.405, 60, 9], [8.41, 60, 1]]);
const cleaned = turf.cleanCoords(hump).geometry.coordinates.map((point) => point[2]);
const nearest = turf.nearestPointOnLine(ramp, [8.405, 60.001]).geometry.coordinates.length;
console.log("heights on a ramp from 100 to 110: along", along, "slice", slice, "chunks", JSON.stringify(chunks));
console.log("hump of 1, 9, 1 cleaned:", cleaned, "numbers of the nearest point:", nearest);
const road = turf.lineString([[8.4, 60], [8.42, 60.01]]);
const [geodesic, planar] = ["geodesic", "planar"].map((method) =>
  turf.pointToLineDistance([8.41, 60.004], road, { ...metres, method }),
);
console.log("from the road:", geodesic.toFixed(1), "geodesic,", planar.toFixed(1), "planar");
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const asSeen =
  same(along, [110, 110, 110]) &&
  same(slice, [110, 110]) &&
  same(chunks, [[100, 110], [110, 110], [110, 110], [110, 110]]) &&
  same(cleaned, [1, 1]) &&
  nearest === 2 &&
  geodesic > 78 &&
  geodesic < 79.5 &&
  planar > 91 &&
  planar < 92.5;
if (!asSeen) console.log("changed: heights were those of the next vertex, a hump was gone, planar was 13 m more");
process.exit(asSeen ? 0 : 1);
END
node "$folder/look.js"
echo "as described"
