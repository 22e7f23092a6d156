#!/usr/bin/env bash
# Seen: 2026-11-30 with laspy 2.7.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: append_points adds points to a file at the places that they have, as write_points does: it converts them to the scale
#   and offset of the file's header.
# Happens: write_points converts, append_points does not: the integers are copied. A point at (101, 102, 3) with a scale of 1 mm and an
#   offset of 100 m, appended to a file of 1 cm and no offset, is read back as (10, 20, 30). No error, no warning; the header's
#   bounds are those of the wrong places too.
# Matters: Maps of point clouds grow drive by drive, and each tile or drive has an offset of its own: everything after the first lands
#   kilometers away, or ten times as large, within the same file.
# Do instead: las.change_scaling(scales=file.header.scales, offsets=file.header.offsets) before append_points(las.points).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check laspy==2.7.0 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys

import laspy
import numpy as np

folder = sys.argv[1]


def cloud(scale, offset, place):
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.scales, header.offsets = [scale] * 3, [offset, offset, 0]
    data = laspy.LasData(header)
    data.xyz = np.array([place], float)
    return data


first, second = cloud(0.01, 0, (1, 2, 3)), cloud(0.001, 100, (101, 102, 3))
path = f"{folder}/map.las"
with laspy.open(path, mode="w", header=first.header) as file:
    file.write_points(first.points)
    file.write_points(second.points)
written = laspy.read(path).xyz
first.write(path)
with laspy.open(path, mode="a") as file:
    file.append_points(second.points)
appended = laspy.read(path)
first.write(path)
with laspy.open(path, mode="a") as file:
    second.change_scaling(scales=file.header.scales, offsets=file.header.offsets)
    file.append_points(second.points)
mended = laspy.read(path).xyz
print("written", written.round(3).tolist())
print("appended", appended.xyz.round(3).tolist(), "bounds to", appended.header.maxs.tolist())
print("appended after change_scaling", mended.round(3).tolist())
as_seen = (
    np.allclose(written, [(1, 2, 3), (101, 102, 3)])
    and np.allclose(appended.xyz, [(1, 2, 3), (10, 20, 30)])
    and np.allclose(mended, [(1, 2, 3), (101, 102, 3)])
)
if not as_seen:
    print("changed: appended integers were read by the file's scale")
sys.exit(not as_seen)
END
echo "as described"
