#!/usr/bin/env bash
# Seen: 2026-11-29 with rosbags 0.11.9, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: An integer NumPy array given for a float64 field, np.array([1266, 0, 816, ...]) for CameraInfo.k, is turned into
#   floats, or refused as arrays of another width are.
# Happens: Only the width is looked at. float32 and int32 arrays are refused; int64 is written bit for bit, and reads back
#   as 6e-321: no error, no warning, right length. So are uint32 for int32 and int8 for uint8.
# Matters: Calibrations typed by hand or rounded are integers: K, identity R (np.eye(3, dtype=int)) and covariances become
#   zeros in effect, which shows only when nothing projects into the image.
# Do instead: np.ascontiguousarray(value, dtype=field's type) for every array before it enters a rosbags message (strided
#   views, such as a matrix's column, are refused anyway), and read one message back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check rosbags==0.11.9 numpy==2.2.6
"$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

store = get_typestore(Stores.ROS2_JAZZY)
store.register(get_types_from_msg("float64[9] k\nfloat64[] d", "demo_msgs/msg/Calibration"))
Calibration = store.types["demo_msgs/msg/Calibration"]
K = [1266, 0, 816, 0, 1266, 491, 0, 0, 1]


def through_cdr(k: np.ndarray, d: np.ndarray) -> str | np.ndarray:
    """Both fields as read back, or the name of the error."""
    try:
        raw = store.serialize_cdr(Calibration(k=k, d=d), "demo_msgs/msg/Calibration")
    except ValueError as error:
        return type(error).__name__
    back = store.deserialize_cdr(raw, "demo_msgs/msg/Calibration")
    return np.concatenate([back.k, back.d])


as_seen = True
for dtype in (np.float64, np.int64, np.int32, np.float32):
    back = through_cdr(np.array(K, dtype), np.array([1, 2], dtype))
    print(f"{dtype.__name__}: {back}")
    if dtype is np.float64:
        as_seen &= back.tolist() == [*K, 1, 2]
    elif dtype is np.int64:
        as_seen &= len(back) == 11 and back[0] != 0 and np.abs(back).max() < 1e-300
    else:
        as_seen &= back == "ValueError"
if not as_seen:
    print("changed: float64 was right, int64 read back as denormal numbers, 32-bit types were refused")
sys.exit(not as_seen)
END
echo "as described"
