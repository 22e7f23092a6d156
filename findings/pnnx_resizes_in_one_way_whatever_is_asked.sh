#!/usr/bin/env bash
# Seen: 2026-11-30 with pnnx 20261020, ncnn 1.0.20261020, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: pnnx, ncnn's converter, keeps where a Resize or a GridSample takes its pixels from, or refuses the model.
# Happens: Of Resize it reads the mode and, for linear and cubic, align_corners. All else becomes half_pixel for linear and cubic, and asymmetric with
#   floor for nearest: asymmetric and half_pixel_symmetric, half_pixel for nearest, a nearest_mode that is left out (round_prefer_floor), antialias,
#   cubic_coeff_a and exclude_outside are passed over (round_prefer_floor written out is refused). GridSample of opset 20 with mode="cubic" becomes linear. pnnx says nothing of it and ends with 0; shapes are right.
# Matters: The features of a decoder that was trained in TensorFlow or JAX (half_pixel for nearest, antialias) lie up to half a pixel of each
#   stage aside, lines with them; a network that was checked in onnxruntime is another one on the phone or the board.
# Do instead: Export with half_pixel for linear, asymmetric and floor for nearest, no antialias, GridSample linear; compare with onnxruntime.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check)
"${pip[@]}" onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
"${pip[@]}" --no-deps ncnn==1.0.20261020 pnnx==20261020
env -u PYTHONPATH OMP_NUM_THREADS=1 "$folder/venv/bin/python" - "$folder" <<'END'
import importlib.util
import subprocess
import sys
from pathlib import Path

import ncnn
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

program = Path(importlib.util.find_spec("pnnx").submodule_search_locations[0], "pnnx")
program.chmod(0o755)
rng = np.random.default_rng(3)
image = rng.normal(size=(1, 4, 7, 9)).astype(np.float32)
grid = rng.uniform(-0.6, 0.6, (1, 5, 6, 2)).astype(np.float32)
models = {}


def model(name, node, constants, height, width, opset):
    """The file of a model of one node."""
    graph = helper.make_graph(
        [node], "one", [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, height, width])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()])  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    models[name] = Path(sys.argv[1], f"{len(models)}.onnx")
    onnx.save(made, models[name])


def resize(name, scales=(1.7, 2.3), **attributes):
    height, width = int(7 * np.float32(scales[0])), int(9 * np.float32(scales[1]))
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
    model(name, node, {"scales": np.array([1, 1, *scales], np.float32)}, height, width, 19)


for mode in ("linear", "cubic"):
    resize(mode, mode=mode, coordinate_transformation_mode="half_pixel")
    for where in ("asymmetric", "half_pixel_symmetric"):
        resize(f"{mode} {where}", mode=mode, coordinate_transformation_mode=where)
resize("cubic a=-0.5", mode="cubic", cubic_coeff_a=-0.5)
resize("cubic exclude_outside", mode="cubic", exclude_outside=1)
resize("linear of half", (0.4, 0.4), mode="linear")
resize("linear of half antialias", (0.4, 0.4), mode="linear", antialias=1)
resize("nearest", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
resize("nearest half_pixel floor", mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="floor")
for where in ("half_pixel", "asymmetric"):
    resize(f"nearest {where}", mode="nearest", coordinate_transformation_mode=where)
for mode in ("linear", "cubic"):
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], mode=mode, align_corners=0)
    model(f"grid {mode}", node, {"grid": grid}, 5, 6, 20)


def by_onnxruntime(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": image})[0][0]


def by_ncnn(path):
    words = [program, path.name, "inputshape=[1,4,7,9]", "fp16=0"]
    done = subprocess.run(words, cwd=path.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(f"{path.with_suffix('')}.ncnn.param") == 0 and net.load_model(f"{path.with_suffix('')}.ncnn.bin") == 0
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(image[0]).clone())
    return np.array(extractor.extract("out0")[1])


right = {name: by_onnxruntime(path) for name, path in models.items()}
as_seen = True
for name, path in models.items():
    found, plain = by_ncnn(path), name
    while " " in plain and plain not in ("linear of half", "grid linear"):
        plain = "grid linear" if plain == "grid cubic" else plain.rpartition(" ")[0]
    plain_too, right_too = (np.allclose(found, right[key], atol=1e-3) for key in (plain, name))
    print(f"{name}: as {plain}: {plain_too}, as onnxruntime: {right_too}, off by {np.abs(found - right[name]).max():.2f}")
    as_seen &= plain_too and right_too == (name == plain)
if not as_seen:
    print("changed: what was asked of the sampling was passed over")
sys.exit(not as_seen)
END
echo "as described"
