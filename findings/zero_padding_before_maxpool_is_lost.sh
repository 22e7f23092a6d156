#!/usr/bin/env bash
# Seen: 2026-11-29 with onnxruntime 1.31.1 (gone in 1.32.0), onnxoptimizer 0.4.2, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: A graph optimizer leaves the results as they are. Pad with zeros and then MaxPool takes the maximum of the zeros too.
# Happens: onnxruntime, at its default level of optimization, and onnxoptimizer (pass fuse_pad_into_pool, among its default ones)
#   turn the Pad into MaxPool's own padding, which counts as minus infinity. Where all values near the border are negative the result is
#   the largest of them, in place of 0: a map of -1 has -1 around its border. AveragePool and Conv after Pad stay right.
# Matters: Backbones that pad by themselves before pooling and have negative features there (LeakyReLU, SiLU, no activation yet)
#   change at the image's border only, and with the optimizer on only.
# Do instead: onnxruntime 1.32.0; for older ones InferenceSession(..., disabled_optimizers=["Pad_Fusion"]); leave fuse_pad_into_pool out
#   of onnxoptimizer's list of passes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    onnxruntime==1.31.1 onnxoptimizer==0.4.2 onnx==1.23.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper

x = np.full((1, 1, 4, 4), -1, np.float32)
graph = helper.make_graph(
    [
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[3, 3]),
    ],
    "padded",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "h", "w"])],
    [helper.make_tensor("pads", TensorProto.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)


def corner(model, plain=False, **keywords):
    options = onnxruntime.SessionOptions()
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], **keywords
    )
    return float(session.run(None, {"x": x})[0][0, 0, 0, 0])


right, default = corner(model, plain=True), corner(model)
without = corner(model, disabled_optimizers=["Pad_Fusion"])
optimized = onnxoptimizer.optimize(model)
fused = corner(optimized, plain=True)
print(f"corner, without optimization: {right}; onnxruntime's default: {default}; its Pad_Fusion off: {without}")
print(f"after onnxoptimizer.optimize: {fused}, nodes {[node.op_type for node in optimized.graph.node]}")
as_seen = (right, default, without, fused) == (0.0, -1.0, 0.0, -1.0)
if not as_seen:
    print("changed: 0 without optimization, -1 with it")
sys.exit(not as_seen)
END
echo "as described"
