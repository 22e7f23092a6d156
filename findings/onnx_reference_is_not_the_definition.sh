#!/usr/bin/env bash
# Seen: 2026-11-30 with onnx 1.23.2 (onnx.reference), onnxruntime 1.32.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: onnx.reference, ONNX' own evaluator, computes a model by the definitions of the opset that it names: it is what the results of
#   runtimes are held against.
# Happens: Softmax and LogSoftmax of opset 11 with an axis before the last are computed by opset 13's definition (over that axis alone, not
#   over all from it on). LpNormalization with p = 1 divides by the sum of the values, which may be near 0, in place of the sum
#   of their magnitudes: 580 where at most 1 is possible. LRN sums other neighbours than it says. onnxruntime agrees with all three
#   definitions, written out in NumPy, to six digits.
# Matters: Whoever finds that two runtimes differ on an older model and asks the reference is told that the right one is wrong.
# Do instead: Write the node in question in NumPy, as below, before a runtime is blamed; take the reference for today's opsets.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

image = np.random.default_rng(0).standard_normal((1, 3, 8, 10)).astype(np.float32)  # B C H W


def both(kind, opset, **attributes):
    """Results of onnx.reference and onnxruntime of a model of one node."""
    graph = helper.make_graph(
        [helper.make_node(kind, ["x"], ["y"], **attributes)], "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, image.shape)])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(model).run(None, {"x": image})[0], session.run(None, {"x": image})[0]


exact = image.astype(np.float64)
powers = np.exp(exact)
squares = np.pad(exact**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
near = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
cases = {
    "Softmax 11": (powers / powers.sum(), both("Softmax", 11, axis=1)),
    "LogSoftmax 11": (exact - np.log(powers.sum()), both("LogSoftmax", 11, axis=1)),
    "Softmax 13": (powers / powers.sum(1, keepdims=True), both("Softmax", 13, axis=1)),
    "LpNormalization, p = 1": (exact / np.abs(exact).sum(1, keepdims=True), both("LpNormalization", 13, axis=1, p=1)),
    "LRN of 3": (exact / np.sqrt(2 + 0.1 / 3 * near), both("LRN", 13, size=3, alpha=0.1, beta=0.5, bias=2.0)),
}
as_seen = True
for name, (defined, (reference, runtime)) in cases.items():
    off, fine = np.abs(reference - defined).max(), np.abs(runtime - defined).max()
    print(f"{name}: onnx.reference is off by {off:.2g}, onnxruntime by {fine:.1g}")
    as_seen &= bool(fine < 1e-4) and bool(off < 1e-4 if name == "Softmax 13" else off > 0.1)
if not as_seen:
    print("changed: onnx.reference was off in four of the five, onnxruntime in none")
sys.exit(not as_seen)
END
echo "as described"
