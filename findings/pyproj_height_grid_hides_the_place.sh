#!/usr/bin/env bash
# Seen: 2026-11-29 with pyproj 3.7.2 (PyPI wheel), Python 3.11, Linux x86_64
# Expected: A projection with +geoidgrids, as OpenDRIVE files of road editors carry it in geoReference, gives longitude and
#   latitude; a grid of heights that is not installed concerns heights alone, or CRS() says at once that it lacks.
# Happens: CRS() takes the text without a word, and prints the projection. Making a Transformer or a Proj of it raises
#   ProjError "Invalid projection": even longitude and latitude cannot be had, while the text without the grid gives them.
# Matters: A check "does pyproj know this projection" by CRS() passes, and the map fails later, or its place on Earth is lost.
# Do instead: Take +geoidgrids and +vunits out of the text before plan coordinates are computed; treat heights apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyproj==3.7.2
PROJ_NETWORK=OFF "$folder/venv/bin/python" - <<'END'
import sys

import pyproj
from pyproj.exceptions import ProjError

plain = "+proj=tmerc +lat_0=37.35 +lon_0=-122 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
with_grid = plain.replace(" +no_defs", " +geoidgrids=egm96_15.gtx +vunits=m +no_defs")


def outcome(make):
    try:
        return make()
    except ProjError as error:
        return f"ProjError: {str(error)[:40]}"


seen = {}
for name, text in (("plain", plain), ("with the grid of heights", with_grid)):
    system = outcome(lambda: pyproj.CRS.from_user_input(text))
    print(f"{name}: CRS {'made, projected' if getattr(system, 'is_projected', False) else system}")
    place = outcome(lambda: pyproj.Proj(system)(0.0, 0.0, inverse=True))
    print(f"{name}: (0 m, 0 m) is {place}")
    seen[name] = getattr(system, "is_projected", False), isinstance(place, str)
wrong = seen != {"plain": (True, False), "with the grid of heights": (True, True)}
if wrong:
    print("changed: the projection with a grid was taken by CRS() and then gave no place")
sys.exit(wrong)
END
echo "as described"
