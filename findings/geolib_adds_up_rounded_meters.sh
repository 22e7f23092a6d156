#!/usr/bin/env bash
# Seen: 2026-11-30 with geolib 3.3.14 (npm), node 20.20, Linux x86_64
# Expected: getPathLength is the length of a path, and getDistanceFromLine the distance of a point from a line, both in meters, each
#   rounded at the end at most: "accuracy is 1 meter by default".
# Happens: Each distance between two points is rounded to a whole meter before anything is computed with it. A drive of 1 km at 50 km/h,
#   recorded ten times a second (1.39 m from point to point), has a length of 720 m; a walk recorded as often has 0 m, and a point every
#   1.6 m makes 1250 m of the kilometer. A point 2 to 5 m beside a lane of 100 m is 0 m from it, one at 10 m is 11.4 m away.
# Matters: Odometers, travelled distances and speeds are a third short, more so the finer the log; a vehicle in the neighboring lane is "on"
#   the lane. Nothing tells: on logs of one fix a second and 100 m beside a line the figures are right within a percent.
# Do instead: getPathLength(points, (a, b) => getPreciseDistance(a, b, 0.001)) and getDistanceFromLine(point, start, end, 0.001).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" --cache "$folder/npm" geolib@3.3.14
cd "$folder"
node - <<'END'
const { getDistanceFromLine, getPathLength, getPreciseDistance } = require("geolib");

// meters of a degree at 49 degrees north on the WGS84 ellipsoid, from its radii of curvature
const a = 6378137, e2 = 0.00669437999014, sine = Math.sin(49 * Math.PI / 180), root = Math.sqrt(1 - e2 * sine * sine);
const NORTH = a * (1 - e2) / root ** 3 * Math.PI / 180, EAST = a / root * Math.cos(49 * Math.PI / 180) * Math.PI / 180;
const at = (x, y) => ({ latitude: 49 + y / NORTH, longitude: 8.4 + x / EAST });
const near = (value, wanted, most) => Math.abs(value - wanted) <= most;

const lengths = {}, fine = {};
for (const step of [0.14, 1.389, 1.6, 13.89]) {
  const path = Array.from({ length: Math.round(1000 / step) + 1 }, (_, i) => at(i * step, 0));
  lengths[step] = getPathLength(path);
  fine[step] = getPathLength(path, (one, other) => getPreciseDistance(one, other, 0.001));
}
const beside = {}, besideFine = {};
for (const meters of [2, 3.5, 5, 10, 100]) {
  const [point, start, end] = [at(30, meters), at(0, 0), at(100, 0)];
  beside[meters] = getDistanceFromLine(point, start, end);
  besideFine[meters] = getDistanceFromLine(point, start, end, 0.001);
}
console.log("1 km, by meters from point to point:", lengths, "by getPreciseDistance of 0.001:", fine);
console.log("distance from a line, by meters beside it:", beside, "with an accuracy of 0.001:", besideFine);
const asSeen =
  lengths[0.14] === 0 && near(lengths[1.389], 720, 1) && near(lengths[1.6], 1250, 1) && near(lengths[13.89], 1008, 1) &&
  Object.values(fine).every((length) => near(length, 1000, 1)) &&
  beside[2] === 0 && beside[3.5] === 0 && beside[5] === 0 && near(beside[10], 11.36, 0.01) && near(beside[100], 100, 1) &&
  Object.entries(besideFine).every(([meters, found]) => near(found, Number(meters), 0.01 + 0.002 * meters));
if (!asSeen) {
  console.log("changed: a kilometer of fine steps was 0, 720 or 1250 m, and 5 m beside a line were 0");
  process.exit(1);
}
END
echo "as described"
