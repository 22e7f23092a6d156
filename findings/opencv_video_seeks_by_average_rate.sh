#!/usr/bin/env bash
# Seen: 2026-11-30 with opencv-python-headless 5.0.0.93, av 18.1.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: cv2.VideoCapture, set to a frame's number or to its time, reads that frame; PyAV and sequential reading agree on both.
# Happens: Numbers and times are turned into each other by the average rate. In a video whose steps vary (33, 80, 87 ms: a camera that
#   dropped frames) frame 30 is frame 28, and the exact times of frames 4, 9 and 11 give frames 5, 11 and 13. Times that are read
#   back after each frame are right, so is reading in order; with even steps all is right.
# Matters: Labels and poses that are looked up by time or index get images 30 to 130 ms off, at 20 m/s up to 2.6 m, on recordings with
#   dropped frames only.
# Do instead: Read in order and note CAP_PROP_POS_MSEC after each read(), or PyAV: seek to the time and decode until frame.pts fits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys
from fractions import Fraction

import av
import cv2
import numpy as np

folder = sys.argv[1]
uneven = [0, 33, 67, 100, 180, 213, 247, 280, 313, 400, 433] + [467 + 33 * i for i in range(30)]


def record(path, stamps):
    """A video whose frame n has n + 1 white columns of three pixels."""
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.options = {"g": "12", "crf": "10"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, stamp in enumerate(stamps):
            image = np.zeros((64, 128, 3), np.uint8)
            image[:, : 3 * number + 3] = 255
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def number(image):
    return round(float((image[:, :, 0] > 128).mean()) * 128 / 3) - 1


found = {}
for name, stamps in (("uneven", uneven), ("even", [40 * i for i in range(41)])):
    path = f"{folder}/{name}.mp4"
    record(path, stamps)
    with av.open(path) as file:
        decoded = [(number(frame.to_ndarray(format="rgb24")), round(frame.time * 1000)) for frame in file.decode(video=0)]
    video = cv2.VideoCapture(path)
    in_order = []
    while (image := video.read()[1]) is not None:
        in_order.append((number(image), round(video.get(cv2.CAP_PROP_POS_MSEC))))
    sought = {"number": {}, "time": {}}
    for wanted in (4, 9, 11, 20, 30):
        for key, option, value in (("number", cv2.CAP_PROP_POS_FRAMES, wanted), ("time", cv2.CAP_PROP_POS_MSEC, stamps[wanted])):
            video.set(option, value)
            sought[key][wanted] = number(video.read()[1])
    found[name] = decoded == in_order == list(enumerate(stamps)), sought
    print(f"{name}: read in order right: {found[name][0]}; frames by number {sought['number']}; by time {sought['time']}")
same = {wanted: wanted for wanted in (4, 9, 11, 20, 30)}
as_seen = found["even"] == (True, {"number": same, "time": same}) and found["uneven"][0]
as_seen = as_seen and found["uneven"][1]["number"] != same and found["uneven"][1]["time"][4] == 5 and found["uneven"][1]["time"][11] == 13
if not as_seen:
    print("changed: frames by number or time were others where the steps vary")
sys.exit(not as_seen)
END
echo "as described"
