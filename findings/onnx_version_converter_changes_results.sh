#!/usr/bin/env bash
# Seen: 2026-11-29 with onnx 1.23.2, onnxruntime 1.31.1, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: onnx.version_converter gives a graph with the same results in another opset, or raises, as it does for Resize with
#   antialias (18 to 17) and GridSample (20 to 16).
# Happens: Three conversions pass the full checker and compute something else. Upsample (opset 9, linear) becomes Resize without
#   its coordinate_transformation_mode, whose default is half_pixel: everything moves by half a pixel of the result at
#   scale 2. Softmax from 13 to 11 keeps its axis, which in 11 means "flatten from there on". Hardmax from 11 to 13 likewise.
# Matters: Older segmentation and lane networks (Upsample) and class scores over an inner axis (Softmax) are taken to the opset of
#   a board's runtime: lines shift, scores of all cells sum to 1 together, and nothing says so.
# Do instead: Export anew in the opset wanted. Where that cannot be, set coordinate_transformation_mode to asymmetric by hand,
#   bring Softmax's axis last with Transpose first, and compare both graphs' outputs on real input.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.31.1 onnx==1.23.2 numpy==2.2.6
"$folder/venv/bin/python" -W ignore - <<'END'
import sys

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from onnx.version_converter import convert_version

onnxruntime.set_default_logger_severity(3)
RAMP = np.arange(5, dtype=np.float32).reshape(1, 1, 1, 5)
SCORES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
SCALES = numpy_helper.from_array(np.array([1, 1, 1, 2], np.float32), "scales")


def model_of(operator: str, opset: int, value: np.ndarray, constants: list[TensorProto], **attributes: str | int) -> ModelProto:
    names = ["x", *(constant.name for constant in constants)]
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, value.shape)]
    ports += [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * value.ndim)]
    graph = helper.make_graph([helper.make_node(operator, names, ["y"], **attributes)], "g", ports[:1], ports[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model: ModelProto, value: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": value})[0]


wrong = False
for name, model, target, value, same in (
    ("Upsample 9 to 13", model_of("Upsample", 9, RAMP, [SCALES], mode="linear"), 13, RAMP, False),
    ("Softmax 13 to 11, axis 1", model_of("Softmax", 13, SCORES, [], axis=1), 11, SCORES, False),
    ("Hardmax 11 to 13, axis 1", model_of("Hardmax", 11, SCORES, [], axis=1), 13, SCORES, False),
    ("Softmax 11 to 13, axis 1", model_of("Softmax", 11, SCORES, [], axis=1), 13, SCORES, True),
):
    converted = convert_version(model, target)
    checker.check_model(converted, full_check=True)
    before, after = run(model, value), run(converted, value)
    print(f"{name}: largest difference {np.abs(after - before).max():.3f}; first row {before.reshape(-1)[:5].round(3)} "
          f"before, {after.reshape(-1)[:5].round(3)} after")  # fmt: skip
    if np.allclose(before, after, atol=1e-5) != same:
        print(f"changed: the results {'were the same' if same else 'differed'}")
        wrong = True
sys.exit(wrong)
END
echo "as described"
