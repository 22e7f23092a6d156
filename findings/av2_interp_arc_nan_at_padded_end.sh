#!/usr/bin/env bash
# Seen: 2026-11-29 with av2 0.3.6, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: interp_arc, whose description says that duplicate consecutive points are removed, resamples a polyline whose first
#   or last vertex stands there twice.
# Happens: Nothing is removed. A vertex that is repeated inside the line does no harm; a repeated first one makes the first
#   sample NaN, a repeated last one the last sample, with a warning of NumPy's at the most. compute_midpoint_line, and so
#   the map's lane centerlines, pass it on.
# Matters: Vector maps for training are padded by repeating the last vertex, and the devkit closes drivable areas that are
#   closed already: the end point turns NaN, and with it the Chamfer distance or the loss.
# Do instead: Drop repeated neighbours first: points[np.r_[True, np.any(np.diff(points, axis=0) != 0, axis=1)]].
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" numpy==2.2.6 scipy==1.15.3 universal-pathlib==0.3.8
"${pip[@]}" --no-deps av2==0.3.6
"$folder/venv/bin/python" -W ignore::RuntimeWarning - <<'END'
import sys

import numpy as np
from av2.geometry.interpolate import compute_midpoint_line, interp_arc

LINES = {
    "no repeat": [[0, 0], [3, 0]],
    "first vertex twice": [[0, 0], [0, 0], [3, 0]],
    "vertex inside twice": [[0, 0], [1, 0], [1, 0], [3, 0]],
    "last vertex three times": [[0, 0], [3, 0], [3, 0], [3, 0]],
}
NAN_AT = {"first vertex twice": [0], "last vertex three times": [3]}
as_seen = True
for name, vertices in LINES.items():
    line = np.array(vertices, float)
    samples = interp_arc(4, line)
    middle, _ = compute_midpoint_line(line, line + [0.0, 4.0], 4)
    print(f"{name}: x {samples[:, 0].tolist()}, of the midpoint line {middle[:, 0].tolist()}")
    good = np.ones(4, bool)
    good[NAN_AT.get(name, [])] = False
    for found in (samples, middle):
        as_seen &= bool(np.isnan(found[~good]).all()) and np.allclose(found[good, 0], np.arange(4.0)[good])
if not as_seen:
    print("changed: NaN stood at a repeated first or last vertex, and only there")
sys.exit(not as_seen)
END
echo "as described"
