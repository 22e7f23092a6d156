#!/usr/bin/env bash
# Seen: 2026-11-29 with pykitti 0.3.1, numpy 2.2.6, Pillow 12.0.0, Python 3.11, Linux x86_64
# Expected: In a KITTI raw drive get_velo(i) is the scan of the frame whose image get_cam2(i) gives and whose time is timestamps[i];
#   frames=[...] picks frames by their numbers, which are the files' names.
# Happens: Each sensor's files are sorted and counted on their own. Where a scan is missing, as four are in KITTI's own drive
#   2011_09_26_0009, every later index pairs an image with the scan of a later frame. frames=[4] then loads image 4 and
#   scan 5 as well.
# Matters: From the gap to the end of the drive LiDAR and images are a tenth of a second or more apart, at 60 km/h 1.7 m for each
#   missing scan: depth labels, calibrations and lanes drawn into images drift off, and only a raised IndexError at the last
#   frames says so.
# Do instead: Pair by file name: {int(Path(name).stem): name for name in drive.velo_files}.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    numpy==2.2.6 Pillow==12.0.0 pandas==2.3.3 opencv-python-headless==4.12.0.88
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps pykitti==0.3.1
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys
from pathlib import Path

import numpy as np
import pykitti
from PIL import Image

DATE, MISSING = "2011_09_26", 2
base = Path(sys.argv[1])
drive = base / DATE / f"{DATE}_drive_0001_sync"
rigid = "calib_time: x\nR: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n"
for name in ("imu_to_velo", "velo_to_cam"):
    path = base / DATE / f"calib_{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(rigid)
rectified = "".join(
    f"R_rect_0{i}: 1 0 0 0 1 0 0 0 1\nP_rect_0{i}: 700 0 600 {-378 * i} 0 700 170 0 0 0 1 0\n" for i in range(4)
)
(base / DATE / "calib_cam_to_cam.txt").write_text(rectified)
for part in ("oxts", *(f"image_0{i}" for i in range(4)), "velodyne_points"):
    (drive / part / "data").mkdir(parents=True)
for frame in range(6):
    (drive / "oxts" / "data" / f"{frame:010}.txt").write_text(" ".join(["49"] + ["0"] * 29) + "\n")
    for camera in range(4):
        Image.new("L" if camera < 2 else "RGB", (4, 2), frame if camera < 2 else (frame,) * 3).save(
            drive / f"image_0{camera}" / "data" / f"{frame:010}.png"
        )
    if frame != MISSING:
        np.full((1, 4), frame, np.float32).tofile(drive / "velodyne_points" / "data" / f"{frame:010}.bin")
(drive / "oxts" / "timestamps.txt").write_text("".join(f"2011-09-26 13:02:2{s}.123456789\n" for s in range(6)))

whole = pykitti.raw(str(base), DATE, "0001")
pairs = [(np.asarray(whole.get_cam2(i))[0, 0, 0].item(), int(whole.get_velo(i)[0, 0])) for i in range(5)]
print(f"scan {MISSING} is missing; (image, scan) of the indices 0 to 4:", pairs)
one = pykitti.raw(str(base), DATE, "0001", frames=[4])
picked = np.asarray(one.get_cam2(0))[0, 0, 0].item(), int(one.get_velo(0)[0, 0])
print("frames=[4]: (image, scan) =", picked)
as_seen = pairs == [(0, 0), (1, 1), (2, 3), (3, 4), (4, 5)] and picked == (4, 5)
if not as_seen:
    print("changed: after the missing scan each image came with the next frame's scan")
sys.exit(not as_seen)
END
echo "as described"
