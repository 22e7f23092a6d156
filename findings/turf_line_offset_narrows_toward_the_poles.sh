#!/usr/bin/env bash
# Seen: 2026-11-30 with @turf/line-offset 7.4.0 and @turf/line-arc 7.4.0 (npm), node 20.20, Linux x86_64
# Expected: turf.lineOffset(line, 3.5, {units: "meters"}) is a line 3.5 m beside the given one, whatever way that runs: the units are taken,
#   and turf's other functions of distances (destination, lineArc, buffer) compute on the globe.
# Happens: The meters are turned into degrees of latitude and laid off in longitude and latitude as in a plane. Only a line that runs east or
#   west gets its 3.5 m. One that runs north gets 3.5 * cos(latitude): 2.30 m in Karlsruhe, 1.74 m in Helsinki; one to the north-east 2.72 m
#   in Karlsruhe. No error, no warning. lineArc of the same meters is round within a millimeter.
# Matters: Lane borders, curbs and bike lanes drawn beside a centerline have a width that changes with their direction; a lane of 3.5 m that
#   runs north in Helsinki is 1.74 m wide, narrower than a car.
# Do instead: Offset in a local metric frame (aeqd or UTM by proj4, then JSTS or shapely), or move each vertex with turf.destination.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" --cache "$folder/npm" @turf/line-offset@7.4.0 @turf/line-arc@7.4.0
cd "$folder"
node - <<'END'
const { lineOffset } = require("@turf/line-offset");
const { lineArc } = require("@turf/line-arc");

const line = (coordinates) => ({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates } });
const METERS = 6371008.8 * Math.PI / 180;  // of a degree of latitude on turf's sphere

/** Meters from a point to the endless straight line through two points, in the plane that touches the globe at the first of them. */
function beside(point, start, end) {
  const shrink = Math.cos(start[1] * Math.PI / 180);
  const flat = (place) => [(place[0] - start[0]) * shrink * METERS, (place[1] - start[1]) * METERS];
  const [x, y] = flat(point), [dx, dy] = flat(end);
  return Math.abs(x * dy - y * dx) / Math.hypot(dx, dy);
}

let asSeen = true;
const PLACES = { Nairobi: -1.3, Karlsruhe: 49, Helsinki: 60.17 };
const WAYS = { east: [1e-3, 0], north: [0, 1e-3], "north-east": [1e-3, 1e-3] };
for (const [place, latitude] of Object.entries(PLACES)) {
  const cosine = Math.cos(latitude * Math.PI / 180), found = {};
  for (const [way, [dx, dy]] of Object.entries(WAYS)) {
    const start = [8.4, latitude], end = [8.4 + dx, latitude + dy];
    const moved = lineOffset(line([start, end]), 3.5, { units: "meters" }).geometry.coordinates;
    found[way] = beside(moved[0], start, end);
    // in a plane of degrees the offset is 3.5 "meters" across the line; seen in meters the angle and the length change
    const flattened = 3.5 * cosine * Math.hypot(dx, dy) / Math.hypot(dx * cosine, dy);
    asSeen &&= Math.abs(found[way] - flattened) < 0.01;
  }
  const arc = lineArc([8.4, latitude], 3.5, 0, 90, { units: "meters" }).geometry.coordinates;
  const radii = arc.map(([x, y]) => Math.hypot((x - 8.4) * cosine, y - latitude) * METERS);
  asSeen &&= Math.abs(Math.min(...radii) - 3.5) < 1e-3 && Math.abs(Math.max(...radii) - 3.5) < 1e-3;
  const shown = Object.entries(found).map(([way, meters]) => `${way} ${meters.toFixed(2)} m`);
  console.log(`${place}: 3.5 m beside a line to the ${shown.join(", ")}; lineArc ${Math.min(...radii).toFixed(3)} to ${Math.max(...radii).toFixed(3)} m`);
  if (place === "Karlsruhe") asSeen &&= Math.abs(found.east - 3.5) < 0.01 && Math.abs(found.north - 2.30) < 0.01;
}
if (!asSeen) {
  console.log("changed: lines to the north were moved by 3.5 m times the cosine of the latitude");
  process.exit(1);
}
END
echo "as described"
