#!/usr/bin/env bash
# Seen: 2026-11-29 with onnxruntime 1.31.1, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: GridSample with padding_mode zeros gives 0 for a coordinate of infinity or NaN, or NaN, as PyTorch 2.13 does for
#   bilinear (0 for nearest) and OpenVINO 2026.4.1 too.
# Happens: onnxruntime gives content of the image's left or upper edge: half of it for linear, the full pixel for nearest, as
#   if the point were seen. The same from about 1e19 on; 1e10 gives 0 as it should.
# Matters: A point of the bird's-eye grid that lies in the camera's plane has depth 0 and projects to infinity. In PyTorch its
#   feature is 0 or a NaN that shows; after export the edge of the image is lifted into the map.
# Do instead: Mask by depth before sampling, and clamp coordinates to a few image widths in the graph itself (Clip, with NaN
#   replaced first), for every padding mode.
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

COORDINATES = [0.0, 2.0, 1e10, 1e20, np.inf, -np.inf, np.nan]
image = np.full((1, 1, 4, 4), 7.0, np.float32)  # B C H W
as_seen = True
for axis in ("x", "y"):
    grid = np.zeros((1, 1, len(COORDINATES), 2), np.float32)
    grid[..., "xy".index(axis)] = COORDINATES
    for mode, far in (("linear", 3.5), ("nearest", 7.0)):
        node = helper.make_node("GridSample", ["image", "grid"], ["out"], mode=mode, padding_mode="zeros", align_corners=0)
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in ("image", "grid", "out")]
        graph = helper.make_graph([node], "sample", ports[:2], ports[2:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        out = session.run(None, {"image": image, "grid": grid})[0].ravel()
        print(f"{mode}, {axis}: " + ", ".join(f"{at:g} -> {value:g}" for at, value in zip(COORDINATES, out, strict=True)))
        as_seen &= out.tolist() == [7.0, 0.0, 0.0, far, far, far, far]
if not as_seen:
    print("changed: 7 inside, 0 for 2 and 1e10, and 3.5 (linear) or 7 (nearest) for 1e20, infinity and NaN")
sys.exit(not as_seen)
END
echo "as described"
