#!/usr/bin/env bash
# Seen: 2026-11-30 with @turf/line-overlap 7.4.0 (npm), node 20.20, Linux x86_64
# Expected: turf.lineOverlap(one, other, {tolerance}) gives the stretches where the two lines lie on each other, within the tolerance.
# Happens: Only a segment that lies wholly inside one segment of the other line is found; two segments that share a part give nothing.
#   A lane with a vertex each 30 m from 0 to 90 m and a line on it with vertices at 15, 45, 75 and
#   85 m overlap on 70 m: 10 m are found. From 20 to 80 m on a lane with a vertex at 50 m: 0 m, with a tolerance of 5 m too; on the same
#   lane without that vertex: 60 m. No error, no warning.
# Matters: "Which part of the drive lies on the lane", shared borders of neighboring lanes and changes between two map versions depend on
#   where vertices happen to be: the figures are too small, and right in tests with two-point lines.
# Do instead: JSTS or shapely in a metric frame: drive.intersection(lane.buffer(tolerance)).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" --cache "$folder/npm" @turf/line-overlap@7.4.0
cd "$folder"
node - <<'END'
const { lineOverlap } = require("@turf/line-overlap");

const EAST = 73171;  // meters of a degree of longitude at 49 degrees north
const line = (meters) => ({
  type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: meters.map((x) => [8.4 + x / EAST, 49]) },
});
/** The stretches that turf finds on two lines along one parallel, each as its first and last meter. */
function shared(one, other, tolerance) {
  const found = lineOverlap(line(one), line(other), { tolerance }).features.map((feature) => feature.geometry.coordinates);
  return found.map((places) => places.map(([x]) => Math.round((x - 8.4) * EAST)));
}
const CASES = {  // two lines, the meters that they share, the meters that turf finds
  "one segment inside another": [[0, 100], [20, 80], 60, 60],
  "the same line twice": [[0, 50, 100], [0, 50, 100], 100, 100],
  "ends over each other": [[0, 100], [50, 150], 50, 0],
  "inside, but for a vertex at 50": [[0, 50, 100], [20, 80], 60, 0],
  "vertices between each other's": [[0, 30, 60, 90], [15, 45, 75, 85], 70, 10],
};
let asSeen = true;
for (const [name, [one, other, truth, expected]] of Object.entries(CASES)) {
  for (const tolerance of [0, 0.005]) {  // kilometers
    const stretches = shared(one, other, tolerance);
    const meters = stretches.reduce((sum, places) => sum + (places.length ? Math.abs(places.at(-1) - places[0]) : 0), 0);
    console.log(`${name}, tolerance ${tolerance * 1000} m: ${meters} of ${truth} m`, JSON.stringify(stretches));
    asSeen &&= meters === expected;
  }
}
if (!asSeen) {
  console.log("changed: only segments inside one segment of the other line were found");
  process.exit(1);
}
END
echo "as described"
