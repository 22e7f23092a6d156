#!/usr/bin/env bash
# Seen: 2026-11-29 with opencv-python-headless 4.14.0.94 and 5.0.0.93, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: cv2.imdecode and cv2.imread give the same for the same bytes, and a JPEG that lacks only its end marker (the last
#   two bytes) is decoded, as all its pixels are there.
# Happens: imread puts the marker in and gives every pixel right; imdecode returns None, without an error. A JPEG cut in half
#   is half an image to imread and None to imdecode. A flipped byte inside gives an image that is wrong in part.
# Matters: Motion-JPEG cameras and drivers with fixed buffers leave the marker off. The frame as a file looks good in every
#   viewer, as a CompressedImage it is None; code that indexes the result fails far from the cause.
# Do instead: Test imdecode's result for None; where the bytes do not end in FF D9 (after stripping zero bytes), append it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for release in 4.14.0.94 5.0.0.93; do
    python3 -m venv "$folder/$release"
    "$folder/$release/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$release" numpy==2.2.6
    FOLDER=$folder "$folder/$release/bin/python" - <<'END'
import os
import sys
from pathlib import Path

import cv2
import numpy as np

rows, columns = np.mgrid[0:120, 0:160]
image = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
jpeg = cv2.imencode(".jpg", image)[1].tobytes()
whole = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
path = Path(os.environ["FOLDER"], "frame.jpg")


def seen(decoded: np.ndarray | None) -> str:
    if decoded is None:
        return "None"
    return "all pixels right" if np.array_equal(decoded, whole) else "part of the image"


answers = {}
for name, data in {
    "whole": jpeg, "without end marker": jpeg[:-2], "half": jpeg[: len(jpeg) // 2], "marker put back": jpeg[:-2] + b"\xff\xd9",
}.items():  # fmt: skip
    path.write_bytes(data)
    answers[name] = seen(cv2.imread(str(path))), seen(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    print(f"OpenCV {cv2.__version__}, {name}: imread {answers[name][0]}, imdecode {answers[name][1]}")
RIGHT = "all pixels right"
if answers != {
    "whole": (RIGHT, RIGHT), "without end marker": (RIGHT, "None"), "half": ("part of the image", "None"),
    "marker put back": (RIGHT, RIGHT),
}:  # fmt: skip
    print("changed: imread read all four, imdecode the first and the last alone")
    sys.exit(1)
END
done
echo "as described"
