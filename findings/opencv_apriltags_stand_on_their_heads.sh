#!/usr/bin/env bash
# Seen: 2026-11-30 with opencv-python-headless 5.0.0.93, pyapriltags 3.4.3.1, pupil-apriltags 1.0.4.post11, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: A tag of the family 36h11 has one upright, whoever finds it, and a detector's ways to refine corners differ by noise.
# Happens: The tag that cv2.aruco draws and finds as upright is upside down for AprilTag: its first corner, bottom left by its documentation, is
#   OpenCV's top right. CORNER_REFINE_APRILTAG gives corners in AprilTag's pixels, whose centers have the coordinates .5; NONE, SUBPIX and
#   CONTOUR give them in those of all else in OpenCV, with whole numbers at the centers: over nine places they lie 0.4 to 0.6 pixels apart.
# Matters: A pose of one library is turned by 180 degrees about the tag's normal against the other's: a camera is mounted backwards, a rig
#   calibrated with Kalibr's boards is mixed with one of OpenCV's. With CORNER_REFINE_APRILTAG the principal point comes out half a pixel off.
# Do instead: Turn the order of corners by two, and subtract 0.5 from AprilTag's corners, and from OpenCV's with CORNER_REFINE_APRILTAG, before
#   they meet cv2's solvePnP or calibrateCamera.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 pyapriltags==3.4.3.1 pupil-apriltags==1.0.4.post11 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import cv2
import numpy as np
import pupil_apriltags
import pyapriltags
from cv2 import aruco

SIDE, FINE = 80, 8
DICTIONARY = aruco.getPredefinedDictionary(aruco.DICT_APRILTAG_36h11)
sheet = np.pad(aruco.generateImageMarker(DICTIONARY, 7, SIDE), 20, constant_values=255)


def photo(corners, width=320, height=240):
    """The tag with its four corners, from the top left clockwise, at places where the image's own corner is (0, 0)."""
    square = np.float32([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]]) + 20
    back = cv2.getPerspectiveTransform(np.float32(corners), square)
    y, x = (np.mgrid[: height * FINE, : width * FINE] + 0.5) / FINE
    u, v = cv2.perspectiveTransform(np.stack([x, y], -1).reshape(-1, 1, 2), back)[:, 0].T
    there = (u >= 0) & (v >= 0) & (u < SIDE + 40) & (v < SIDE + 40)
    light = np.full(u.shape, 200.0)
    light[there] = sheet[v[there].astype(int), u[there].astype(int)]
    return light.reshape(height, FINE, width, FINE).mean((1, 3)).round().astype(np.uint8)


def found_by_opencv(image, refine):
    given = aruco.DetectorParameters()
    given.cornerRefinementMethod = refine
    corners, ids, _ = aruco.ArucoDetector(DICTIONARY, given).detectMarkers(image)
    assert ids.ravel().tolist() == [7]
    return corners[0][0]


peers = {kind.__name__: kind.Detector(families="tag36h11", quad_decimate=1.0) for kind in (pyapriltags, pupil_apriltags)}
ways = {name: getattr(aruco, f"CORNER_REFINE_{name}") for name in ("NONE", "SUBPIX", "CONTOUR", "APRILTAG")}
shifts, firsts = {name: [] for name in (*ways, *peers)}, set()
for place in range(9):
    at = np.array([[90, 70], [180, 50], [200, 160], [80, 150]]) + np.array([place % 3, place // 3]) * 1.37
    image = photo(at)
    for name, way in ways.items():
        shifts[name].append(found_by_opencv(image, way) - at)
    for name, peer in peers.items():
        [tag] = peer.detect(image)
        assert (tag.tag_id, tag.hamming) == (7, 0)
        nearest = [int(np.linalg.norm(at - corner, axis=1).argmin()) for corner in tag.corners]
        firsts.add(tuple(nearest))
        shifts[name].append(tag.corners - at[nearest])
mean = {name: float(np.mean(each)) for name, each in shifts.items()}
print("corner of the drawing (0 top left, clockwise) for each of AprilTag's, bottom left first:", firsts)
print("mean corner, pixels from the true place:", {name: round(value, 2) for name, value in mean.items()})
as_seen = (
    firsts == {(1, 0, 3, 2)}
    and all(-0.65 < mean[name] < -0.4 for name in ("NONE", "SUBPIX", "CONTOUR"))
    and all(abs(mean[name]) < 0.15 for name in ("APRILTAG", *peers))
)
if not as_seen:
    print("changed: AprilTag's first corner was the drawing's top right, CORNER_REFINE_APRILTAG half a pixel from the others")
sys.exit(not as_seen)
END
echo "as described"
