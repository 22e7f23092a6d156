#!/usr/bin/env bash
# Seen: 2026-11-30 with laspy 2.7.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Coordinates that do not fit into LAS' 32-bit integers raise, as las.y = ... does: OverflowError, "Values given do not fit".
# Happens: laspy.create() has a scale of 1 cm, las.xyz = ... keeps to that whatever header.scales was set to before, and write() then
#   converts without a look: with header.scales of 1 mm and no offset a UTM northing of 5411111.77 is written as -2147483.65, all
#   points alike. las.xyz shows the right numbers until the file is read. Intensities are cast: 0.0 to 1.0 become 0, 70000 becomes 4464.
# Matters: A finer scale is the first thing one sets for a lane map. East and height are right, every point has one northing:
#   a map becomes a line, 7600 km away.
# Do instead: Set header.offsets to the cloud's corner before anything else, then las.change_scaling(scales, offsets), and x, y, z one by
#   one, which raise; scale intensities to 0 to 65535 yourself; read the file once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check laspy==2.7.0 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" -W ignore - "$folder" <<'END'
import sys

import laspy
import numpy as np

folder = sys.argv[1]
places = np.array([[456789.123, 5411111.765, 115.988], [456799.123, 5411151.765, 116.5]])


def written(las):
    las.write(f"{folder}/map.las")
    return laspy.read(f"{folder}/map.las").xyz


before = laspy.create(point_format=3, file_version="1.2")
before.header.scales = [0.001] * 3
before.xyz = places
shown = before.xyz.copy()
file = written(before)
print("shown  ", shown.tolist())
print("written", file.tolist())

one_by_one = laspy.create(point_format=3, file_version="1.2")
one_by_one.header.scales = [0.001] * 3
try:
    one_by_one.x, one_by_one.y = places[:, 0], places[:, 1]
    raised = False
except OverflowError as error:
    raised = True
    print("y alone:", error)

header = laspy.LasHeader(point_format=3, version="1.2")
header.scales, header.offsets = [0.001] * 3, [456000, 5411000, 0]
good = laspy.LasData(header)
good.xyz = places
good.intensity = np.array([0.9, 70000])
fine = written(good)
print("with offsets", fine.tolist(), "intensity", good.intensity.tolist())
as_seen = (
    np.allclose(shown, places, atol=0.006)
    and np.allclose(file[:, 1], -2147483.648, atol=0.01)
    and np.allclose(file[:, [0, 2]], places[:, [0, 2]], atol=0.006)
    and raised
    and np.allclose(fine, places, atol=0.0006)
    and good.intensity.tolist() == [0, 4464]
)
if not as_seen:
    print("changed: the northing was written as -2147483.648 without an error")
sys.exit(not as_seen)
END
echo "as described"
