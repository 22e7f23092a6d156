#!/usr/bin/env bash
# Seen: 2026-11-30 with MNN 3.6.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: mnnconvert turns an ONNX model into one that MNN computes as ONNX defines it, or refuses it.
# Happens: ScatterND with reduction "add", "mul", "max" or "min" writes the values over each other: the last one of a cell stays, and
#   what the cell held before is lost. ScatterElements does so with "max" and "min", and adds and multiplies rightly. GatherElements,
#   GatherND and ScatterElements take an index of -1 for "the cell before the first": another row's value or 0 is read, what should be
#   written is not. (Gather and ScatterND count from the end.) mnnconvert says "Converted Success!".
# Matters: index_put(..., accumulate=True), which is exported as ScatterND, is how LiDAR points and lifted image features are summed into
#   BEV cells: each cell holds one point's value in place of the sum. Shapes are right, sparse scenes look nearly right.
# Do instead: Give scatter_add one flat index per cell, which becomes ScatterElements with "add"; add the size to negative indices before
#   export; compare results with onnxruntime's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    MNN==3.6.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys

import _tools  # the converter in MNN's wheel; MNN.tools around it would call pip when it is imported
import MNN.expr as expr
import MNN.nn
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

path = f"{sys.argv[1]}/one"


def both(kind, given, constants=(), opset=20, results=1, **attributes):
    """Results of MNN and onnxruntime of a model of one node, whose inputs but the last of `given` may be constants."""
    names, outputs = [f"x{i}" for i in range(len(given))], [f"y{i}" for i in range(results)]
    inputs = [names[0], *(name for name, _ in constants), *names[1:]]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, outputs, **attributes)], "one",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in zip(names, given, strict=True)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants if name])  # fmt: skip
    model = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), data_prop=True
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{path}.onnx")
    _tools.mnnconvert(f"mnnconvert -f ONNX --modelFile {path}.onnx --MNNModel {path}.mnn --bizCode one".split())
    net = MNN.nn.load_module_from_file(f"{path}.mnn", names, outputs)
    ours = net.forward([expr.const(x.ravel().tolist(), list(x.shape), expr.NCHW, expr.float) for x in given])
    ours = [np.array(expr.convert(y, expr.NCHW).read() if len(y.shape) == 4 else y.read()).reshape(y.shape) for y in ours]
    session = onnxruntime.InferenceSession(f"{path}.onnx", providers=["CPUExecutionProvider"])
    theirs = session.run(None, dict(zip(names, given, strict=True)))
    if results == 1:
        ours, theirs = ours[0], theirs[0]
        print(f"{kind} of opset {opset} {attributes}: MNN {ours.round(2).tolist()}, onnxruntime {theirs.round(2).tolist()}")
    return ours, theirs


def equal(ours, theirs):
    return ours.shape == theirs.shape and np.allclose(ours, theirs, atol=1e-3)


def differ(ours, theirs):
    return ours.shape == theirs.shape and not equal(ours, theirs)


points = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
cells = np.full((4, 2), 10, np.float32)
twice = np.array([[1], [1], [3]])
as_seen = True
for reduction in ("none", "add", "mul", "max", "min"):
    if reduction == "none":
        as_seen &= equal(*both("ScatterND", [cells, points], [("i", np.array([[1], [0], [3]]))]))
        continue
    last = cells.copy()
    last[twice[:, 0]] = points
    ours, theirs = both("ScatterND", [cells, points], [("i", twice)], opset=18, reduction=reduction)
    as_seen &= equal(ours, last) and differ(last, theirs)
    ours, theirs = both("ScatterElements", [cells, points], [("i", np.repeat(twice, 2, 1))], opset=18, reduction=reduction)
    as_seen &= equal(ours, theirs) if reduction in ("add", "mul") else equal(ours, last) and differ(last, theirs)

rows = np.arange(6, dtype=np.float32).reshape(2, 3)
as_seen &= equal(*both("Gather", [rows], [("i", np.array([-1, 0]))], axis=1))
as_seen &= equal(*both("ScatterND", [cells, points[:1]], [("i", np.array([[-1]]))]))
as_seen &= differ(*both("GatherElements", [rows], [("i", np.array([[-1, 0], [1, -1]]))], axis=1))
as_seen &= differ(*both("GatherND", [rows], [("i", np.array([[0, 1], [1, -1]]))]))
as_seen &= differ(*both("ScatterElements", [cells, points[:1]], [("i", np.array([[-1, -1]]))]))
if not as_seen:
    print("changed: the last value stayed, negative indices counted from the start")
sys.exit(not as_seen)
END
echo "as described"
