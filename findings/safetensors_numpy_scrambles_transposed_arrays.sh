#!/usr/bin/env bash
# Seen: 2026-11-29 with safetensors 0.8.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: safetensors.numpy saves an array as it is seen, whatever its memory layout, or refuses it, as safetensors.torch
#   refuses tensors that are not contiguous.
# Happens: It writes the memory from the first element on under the array's shape. A transposed, Fortran-ordered or strided
#   array comes back with the right shape and dtype and the values in other places; no error, no warning. Arrays of
#   the other byte order come back right.
# Matters: camera_from_base rotations as R.T, kernels moved to another layout and cropped maps are such views: calibrations and
#   weights next to a model are wrong from then on, a rotation is even a valid one: its inverse.
# Do instead: Pass np.ascontiguousarray(array) for every entry, and compare with load() once before the file is kept.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.2.6
FOLDER=$folder "$folder/venv/bin/python" - <<'END'
import os
import sys

import numpy as np
from safetensors.numpy import load, load_file, save, save_file

angle = np.radians(30.0)
rotation = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
table = np.arange(24.0).reshape(4, 6)
path = os.path.join(os.environ["FOLDER"], "calibration.safetensors")
wrong = False
for name, array, right in (
    ("as made", rotation, True),
    ("transposed", rotation.T, False),
    ("Fortran order", np.asfortranarray(table), False),
    ("every other column", table[:, ::2], False),
    ("the same, made contiguous", np.ascontiguousarray(table[:, ::2]), True),
    ("big-endian", table.astype(">f8"), True),
):
    save_file({"x": array}, path)
    from_file, from_bytes = load_file(path)["x"], load(save({"x": array}))["x"]
    same = [np.array_equal(array, back) for back in (from_file, from_bytes)]
    print(f"{name}: shape kept {from_file.shape == array.shape}, values kept in a file {same[0]}, in bytes {same[1]}")
    if same != [right, right] or from_file.shape != array.shape:
        print(f"changed: the values were {'kept' if right else 'not kept'}, the shape was")
        wrong = True
save_file({"x": rotation.T}, path)
inverse = np.array_equal(load_file(path)["x"], rotation)
print(f"the transposed rotation was read back as its inverse: {inverse}")
sys.exit(wrong or not inverse)
END
echo "as described"
