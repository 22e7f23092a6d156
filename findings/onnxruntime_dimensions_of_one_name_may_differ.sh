#!/usr/bin/env bash
# Seen: 2026-11-29 with onnxruntime 1.31.1, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Inputs whose dimension carries one name, features [batch, 6, C] and intrinsics [batch, 6, 1], must agree in it; a feed
#   of batch 4 with calibrations of batch 1 is refused, as a wrong fixed dimension is.
# Happens: Names are never compared. The calibration of batch 1 is broadcast over all four, and the call succeeds. A fixed
#   dimension of 1 would have been refused. (OpenVINO 2026.4.1 does the same.)
# Matters: One vehicle's calibration is used for every sample of a batch, and the result has the right shape.
# Do instead: Compare the sizes of same-named dimensions before each run (session.get_inputs()[i].shape holds the names), or
#   export fixed batch sizes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.31.1 onnx==1.23.2 numpy==2.2.6
"$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

CAMERAS, CHANNELS = 6, 3


def session_of(batch: str | int) -> onnxruntime.InferenceSession:
    """A graph that scales each camera's feature by its focal length."""
    shapes = {"features": [batch, CAMERAS, CHANNELS], "focal": [batch, CAMERAS, 1], "out": [batch, CAMERAS, CHANNELS]}
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph([helper.make_node("Mul", ["features", "focal"], ["out"])], "scale", ports[:2], ports[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


features, focal = np.ones((4, CAMERAS, CHANNELS), np.float32), np.full((1, CAMERAS, 1), 1266.0, np.float32)
answers = {}
for batch in ("batch", 4):
    try:
        answers[batch] = session_of(batch).run(None, {"features": features, "focal": focal})[0].shape
    except Exception as error:  # the class of this error differs between releases
        answers[batch] = f"refused: {str(error).splitlines()[0][:60]}"
    print(f"both inputs declared {batch!r} wide, fed 4 and 1: {answers[batch]}")
if answers["batch"] != features.shape or not str(answers[4]).startswith("refused"):
    print("changed: the named dimension was broadcast, the fixed one refused")
    sys.exit(1)
END
echo "as described"
