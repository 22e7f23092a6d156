#!/usr/bin/env bash
# Seen: 2026-11-30 with albumentations 2.0.8 (albucore 0.0.24, opencv-python-headless 4.12.0.88), numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: OpticalDistortion, GridDistortion, ElasticTransform and ThinPlateSpline move keypoints as they move the image, and with
#   remove_invisible=False each keypoint comes back.
# Happens: By default (keypoint_remapping_method="mask") each keypoint is painted as a cross of five pixels into one mask, which is warped
#   to the nearest pixel, and read back as its first pixel, the top one. A point that two lanes share comes back for the second lane
#   alone; of two lane borders with a point each meter up to 100 m ahead, which lie within a pixel of each other from 25 m on, only
#   104 or 108 of 192 come back. What does is in whole pixels and up to 1.6 pixels too high. No error, no warning; the documents
#   recommend "mask" for many keypoints and say only that it "may be less accurate for large distortions".
# Matters: Lanes and polylines are made of keypoints: forks and merges lose their common vertex on one side, lanes their far half, and
#   arrays of 20 points a lane no longer fit. The labels of label_fields shrink along, so nothing raises.
# Do instead: keypoint_remapping_method="direct" (all points come back; slower), or Affine and Perspective.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check albumentations==2.0.8 albucore==0.0.24 \
    simsimd==6.5.16 stringzilla==4.6.0 opencv-python-headless==4.12.0.88 scipy==1.16.3 numpy==2.2.6 pydantic==2.12.5
NO_ALBUMENTATIONS_UPDATE=1 env -u PYTHONPATH "$folder/venv/bin/python" -W ignore - <<'END'
import sys

import albumentations
import numpy as np

HEIGHT, WIDTH = 450, 800
NAMES = ("OpticalDistortion", "GridDistortion", "ElasticTransform", "ThinPlateSpline")
left = [(400.0 - 3 * i, 420.0 - 15 * i) for i in range(20)]
right = [(400.0 + 3 * i, 420.0 - 15 * i) for i in range(20)]
# two borders of a lane, 1.75 m to each side, from a camera of 400 pixels focal length 1.5 m above the road
borders = [(400 + side * 400 * 1.75 / z, 200 + 400 * 1.5 / z) for side in (-1, 1) for z in range(5, 101)]
SPOTS = [(250, 120), (400, 300), (550, 200), (300, 220), (500, 320)]
black = np.zeros((HEIGHT, WIDTH), np.uint8)


def warped(name, method, points, lanes, image=black):
    """The keypoints and lanes that come back, and the image."""
    step = getattr(albumentations, name)(p=1, **({"keypoint_remapping_method": method} if method else {}))
    params = albumentations.KeypointParams(format="xy", label_fields=["lane"], remove_invisible=False)
    back = albumentations.Compose([step], keypoint_params=params, seed=1)(
        image=np.dstack([image] * 3), keypoints=np.array(points), lane=lanes
    )
    return np.asarray(back["keypoints"], float).reshape(-1, 2), [int(lane) for lane in back["lane"]], back["image"][..., 0]


def below(name):
    """How far below the bright spots of the image their keypoints come back, in pixels, the mean."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    gaps = []
    for x, y in SPOTS:
        spot = (255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50)).astype(np.uint8)
        points, _, image = warped(name, None, [(float(x), float(y))], [0], spot)
        weight = np.where(image > 80, image, 0).astype(float)
        gaps.append(points[0, 1] - (weight * rows).sum() / weight.sum())
    return float(np.mean(gaps))


def told(name, method=None):
    """Points of the first lane, of the second, and of the two borders."""
    lanes = warped(name, method, left + right, [0] * 20 + [1] * 20)[1]
    return lanes.count(0), lanes.count(1), len(warped(name, method, borders, [0] * len(borders))[0])


seen = {name: (*told(name), below(name)) for name in NAMES}
direct = told("OpticalDistortion", "direct")
for name, (first, second, line, gap) in seen.items():
    print(f"{name}: {first} and {second} of 20, {line} of {len(borders)}, {gap:+.2f} pixels below")
print("OpticalDistortion, direct:", direct)
as_seen = (
    all(first == 19 and line < 0.7 * len(borders) and -2 < gap < -0.3 for first, _, line, gap in seen.values())
    and direct == (20, 20, len(borders))
)
if not as_seen:
    print("changed: shared and near points were lost, the others came back too high")
sys.exit(not as_seen)
END
echo "as described"
