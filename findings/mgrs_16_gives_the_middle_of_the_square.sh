#!/usr/bin/env bash
# Seen: 2026-11-30 with mgrs 1.5.4 and 1.6.0, Python 3.11, Linux x86_64
# Expected: toLatLon of an MGRS text gives the south-west corner of its square, as ever; a new minor release changes no coordinates.
# Happens: From 1.6.0 on it is the MIDDLE of the square, in MGRSToUTM as well: 32UMV, which was 400000 east, 5400000 north, is now
#   450000, 5450000; a text of 1 m is moved by half a meter in both directions. toMGRS still cuts off, so there and back
#   gives the same text and a test of that shows nothing.
# Matters: Maps in the way of Autoware keep local_x and local_y in the 100 km square that is named beside them. Who puts the square's corner
#   on Earth with this package lands 71 km away after an upgrade; texts of 1 m move every place by 0.71 m.
# Do instead: pip install "mgrs<1.6", or take half the square's side (5, 50, ... 50000 m) off both coordinates in UTM, and test one
#   corner that is known.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
for version in 1.5.4 1.6.0; do
  "$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check mgrs==$version packaging==25.0
  env -u PYTHONPATH "$folder/venv/bin/python" - "$version" <<'END'
import sys

import mgrs

half = {"1.5.4": 0.0, "1.6.0": 0.5}[sys.argv[1]]
grid = mgrs.MGRS()
as_seen = True
for text, side in (("32UMV", 1e5), ("32UMV5678911111", 1.0)):
    east, north = grid.MGRSToUTM(text)[2:]
    corner = (400000, 5400000) if side > 1 else (456789, 5411111)
    latitude, longitude = grid.toLatLon(text)
    again = grid.toMGRS(latitude, longitude, MGRSPrecision=(len(text) - 5) // 2)
    print(f"mgrs {sys.argv[1]}: {text} is {east:.1f} {north:.1f}, latitude {latitude:.7f} longitude {longitude:.7f}, and back {again}")
    as_seen &= abs(east - corner[0] - half * side) < 0.01 and abs(north - corner[1] - half * side) < 0.01
    as_seen &= half == 0 or again == text
if not as_seen:
    print("changed: 1.5.4 gave the corner of the square, 1.6.0 its middle")
sys.exit(not as_seen)
END
done
echo "as described"
