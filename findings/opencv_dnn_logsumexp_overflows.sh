#!/usr/bin/env bash
# Seen: 2026-11-30 with opencv-python-headless 5.0.0.93, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: cv2.dnn computes ReduceLogSumExp, GatherND and PRelu as ONNX defines them, or refuses the model.
# Happens: ReduceLogSumExp takes the exponentials as they are: inf from 89 on, where onnxruntime gives 101.4. GatherND takes an index of
#   -1 for "the cell before the first" and not for the last: the last row of the frame before it. A slope of PRelu that has the
#   last axis' size and not the channels' is not used by column. Nothing is raised.
# Matters: Scores by torch.logsumexp of unscaled logits become inf, and NaN after the next difference; models that pick the last time step
#   or class by -1 read another sample's.
# Do instead: Take the maximum out in the graph (max + ReduceLogSumExp of the rest), write indices as positive numbers; compare cv2.dnn's
#   results with onnxruntime's for inputs of real size before it is relied on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def both(kind, image, constants, size, opset=16, **attributes):
    """Results of cv2.dnn and onnxruntime of a model of one node."""
    names = [f"c{i}" for i in range(len(constants))]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *names], ["y"], **attributes)], "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, size)],
        [numpy_helper.from_array(value, name) for name, value in zip(names, constants, strict=True)])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(image, "x")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return net.forward(), session.run(None, {"x": image})[0]


scores = rng.standard_normal((1, 3, 4, 5)).astype(np.float32)  # B C H W
logsum = {shift: both("ReduceLogSumExp", scores + shift, [], (1, 1, 4, 5), axes=[1]) for shift in (0, 80, 100)}
for shift, (ours, theirs) in logsum.items():
    print(f"log of the sum of exponentials near {shift}: cv2.dnn {ours.max():.4g}, onnxruntime {theirs.max():.4g}")

rows = np.arange(3 * 8 * 2, dtype=np.float32).reshape(3, 8, 2)
ours, theirs = both("GatherND", rows, [np.array([[0, 1], [2, -1]], np.int64)], (2, 2))
places = [[tuple(int(i) for i in place) for place in np.argwhere((rows == row).all(-1))] for row in (ours[1], theirs[1])]
print("the row at [2, -1]: cv2.dnn takes", places[0], "onnxruntime", places[1])

slope = np.linspace(0.1, 0.9, 5).astype(np.float32)
by_column = both("PRelu", scores, [slope], scores.shape)
print(f"PRelu by column: differs by {np.abs(by_column[0] - by_column[1]).max():.2f}")
as_seen = (
    all(np.allclose(*logsum[shift], atol=1e-3) for shift in (0, 80))
    and np.isinf(logsum[100][0]).all()
    and np.isfinite(logsum[100][1]).all()
    and places == [[(1, 7)], [(2, 7)]]
    and np.abs(by_column[0] - by_column[1]).max() > 0.1
)
if not as_seen:
    print("changed: large exponentials were inf, -1 the last row of the frame before, slopes not by column")
sys.exit(not as_seen)
END
echo "as described"
