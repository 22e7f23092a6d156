#!/usr/bin/env bash
# Seen: 2026-11-29 with onnxoptimizer 0.4.2, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Of two Reshape in a row the first can go, unless the second one needs its shape: a 0 in Reshape's target copies the size
#   of its input at that place, and -1 takes what is left.
# Happens: onnxoptimizer drops the first one anyway (pass eliminate_consecutive_idempotent_ops, among its default ones), and the 0
#   copies sizes of the tensor before it: (1, 6, 4, 4) to (2, 3, 16) to [0, 0, 4, 4] becomes (1, 6, 4, 4) in place of
#   (2, 3, 4, 4). The checker finds nothing, since the number of values is the same; onnxslim keeps both.
# Matters: Folding cameras into the batch and out again is done like this (Paddle's exporter writes 0 everywhere): six cameras of
#   one frame become one camera of six channels, and what follows broadcasts or fails far away.
# Do instead: optimize(model, [name for name in get_fuse_and_elimination_passes() if name != "eliminate_consecutive_idempotent_ops"]),
#   or onnxslim; compare shapes and results of both models.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    onnxoptimizer==0.4.2 onnxslim==0.1.98 onnx==1.23.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
import onnx
import onnxoptimizer
import onnxslim
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.arange(96, dtype=np.float32).reshape(1, 6, 4, 4)
graph = helper.make_graph(
    [
        helper.make_node("Reshape", ["x", "folded"], ["a"]),
        helper.make_node("Reshape", ["a", "unfolded"], ["y"]),
    ],
    "two",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "h", "w"])],
    [
        helper.make_tensor("folded", TensorProto.INT64, [3], [2, 3, 16]),
        helper.make_tensor("unfolded", TensorProto.INT64, [4], [0, 0, 4, 4]),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
BAD = "eliminate_consecutive_idempotent_ops"
others = [name for name in onnxoptimizer.get_fuse_and_elimination_passes() if name != BAD]
shapes = {}
for name, made in (
    ("as it is", model),
    ("optimized", onnxoptimizer.optimize(model)),
    ("without that pass", onnxoptimizer.optimize(model, others)),
    ("onnxslim", onnxslim.slim(model)),
):
    onnx.checker.check_model(made, full_check=True)
    shapes[name] = ReferenceEvaluator(made).run(None, {"x": x})[0].shape
print(shapes)
as_seen = shapes.pop("optimized") == (1, 6, 4, 4) and set(shapes.values()) == {(2, 3, 4, 4)}
if not as_seen:
    print("changed: the optimized model gave (1, 6, 4, 4), the others (2, 3, 4, 4)")
sys.exit(not as_seen)
END
echo "as described"
