#!/usr/bin/env bash
# Seen: 2026-11-29 with evo 1.38.1, numpy 2.2.6, scipy 1.16.3, Python 3.11, Linux x86_64
# Expected: associate_trajectories pairs each pose of the reference with one of the estimate, the nearest in time; a part of a
#   perfect estimate scores as well as the whole of it.
# Happens: For each pose of the trajectory with FEWER poses it looks for the nearest of the other, which may be taken any number of
#   times. An estimate at 200 Hz against a reference at 10 Hz over 600 s: 100 s of it are more poses than the reference has, and
#   come as 1001 pairs, APE 0.003 m. 20 s of it are fewer, and come as 852 pairs with 201 reference poses: APE 0.13 m and RPE
#   0.19 m at 20 m/s, though every pose lies exactly on the reference.
# Matters: Short runs of fast odometry are judged by the tolerance max_diff (0.01 s) times the speed, long ones are not; the RPE
#   from pose to pose compares steps with standing still.
# Do instead: Cut the reference to the estimate's time first (reduce_to_time_range), so that it has fewer poses, and count unique
#   reference stamps among the pairs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check numpy==2.2.6 scipy==1.16.3
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps evo==1.38.1
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from evo.core import metrics, sync
from evo.core.trajectory import PoseTrajectory3D

SPEED = 20.0


def drive(stamps):
    """Straight ahead at 20 m/s."""
    places = np.c_[SPEED * stamps, np.zeros((len(stamps), 2))]
    return PoseTrajectory3D(places, np.tile([1.0, 0, 0, 0], (len(stamps), 1)), stamps)


def scores(reference, estimate):
    pairs = sync.associate_trajectories(reference, estimate)
    part = metrics.PoseRelation.translation_part
    errors = []
    for metric in (metrics.APE(part), metrics.RPE(part, 1, metrics.Unit.frames)):
        metric.process_data(pairs)
        errors.append(metric.get_statistic(metrics.StatisticsType.rmse))
    return len(pairs[0].timestamps), len(np.unique(pairs[0].timestamps)), *errors


found = {}
for seconds, cut in ((100, False), (20, False), (20, True)):
    reference, estimate = drive(np.arange(6000) / 10), drive(np.arange(200 * seconds) / 200)
    if cut:
        reference.reduce_to_time_range(0, seconds)
    found[seconds, cut] = scores(reference, estimate)
    pairs, unique, ape, rpe = found[seconds, cut]
    print(f"{seconds} s{', reference cut' * cut}: {pairs} pairs of {unique} reference poses, APE {ape:.3f} m, RPE {rpe:.3f} m")
as_seen = (
    found[100, False][0] == found[100, False][1]
    and found[100, False][2] < 0.01
    and found[20, False][0] > 4 * found[20, False][1]
    and found[20, False][2] > 0.1
    and found[20, False][3] > 0.1
    and found[20, True][0] == found[20, True][1]
    and found[20, True][2] < 0.01
)
if not as_seen:
    print("changed: the short estimate was paired four times with each pose of the reference")
sys.exit(not as_seen)
END
echo "as described"
