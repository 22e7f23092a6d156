#!/usr/bin/env bash
# Seen: 2026-11-29 with openvino 2026.4.1 (CPU, float32), onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: An ONNX model is computed by the definitions of the opset that it names; an operator that OpenVINO does not have raises.
# Happens: ReduceL1, ReduceLogSum and ReduceLogSumExp of opsets 13 to 17 have their axes as an attribute, which is not looked at: all
#   axes are reduced, (2, 4, 3, 3) over axis 1 becomes (1, 1, 1, 1), which later additions broadcast. Opset 11 and 18 are right, and
#   so are ReduceL2, ReduceMean and the others. Softmax of opsets 11 and 12 with an axis before the last is computed by opset 13's
#   definition (over that axis alone, not over all from it on); LogSoftmax is right.
# Matters: torch.logsumexp and norms with p = 1 of models exported at opset 13 to 17, attention of older ones: scores are wrong on
#   OpenVINO only, and nothing is raised.
# Do instead: Export at opset 18 or later, and compare OpenVINO with onnxruntime or onnx.reference on one input.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

core = openvino.Core()
x = np.random.default_rng(0).uniform(0.1, 2.0, (2, 4, 3, 3)).astype(np.float32)


def answers(operator, opset, **attributes):
    """What onnxruntime and OpenVINO compute for one node."""
    inputs, more = ["x"], []
    if opset >= 18 and "axes" in attributes:
        more = [helper.make_tensor("axes", TensorProto.INT64, [1], attributes.pop("axes"))]
        inputs.append("axes")
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "h", "w"])],
        more,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = f"{sys.argv[1]}/model.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return session.run(None, {"x": x})[0], compiled({"x": x})[0]


as_seen = True
for operator in ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "ReduceL2", "ReduceMean"):
    shapes = {}
    for opset in (11, 13, 17, 18):
        right, got = answers(operator, opset, axes=[1])
        shapes[opset] = got.shape
        wrong = operator not in ("ReduceL2", "ReduceMean") and 13 <= opset < 18
        as_seen &= right.shape == (2, 1, 3, 3) and got.shape == ((1, 1, 1, 1) if wrong else right.shape)
    print(f"{operator} over axis 1:", shapes)
for operator in ("Softmax", "LogSoftmax"):
    for opset in (11, 12, 13):
        right, got = answers(operator, opset, axis=1)
        off = float(np.abs(right - got).max())
        print(f"{operator} of opset {opset}, axis 1: off by up to {off:.3f}")
        as_seen &= (off > 0.1) == (operator == "Softmax" and opset < 13)
if not as_seen:
    print("changed: three reductions ignored axes in opsets 13 to 17, and Softmax below 13 was that of 13")
sys.exit(not as_seen)
END
echo "as described"
