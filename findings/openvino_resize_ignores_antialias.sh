#!/usr/bin/env bash
# Seen: 2026-11-29 with openvino 2026.4.1 (CPU, float32), onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Resize with antialias=1 (opset 18) averages over the pixels that fall together, as Pillow and torch do, and
#   keep_aspect_ratio_policy keeps the ratio; or OpenVINO raises, as it does for half_pixel_symmetric.
# Happens: Both attributes are passed over; the result equals that without antialias to the last bit. Lines of 100, four pixels
#   apart, in an image that is made four times smaller become 0 in one half of it and 50 in the other, by where they stand, in
#   place of about 25. With not_larger a 6 x 6 image becomes the asked 7 x 13, not 7 x 7.
# Matters: Models that carry their own preprocessing see aliased images, where thin lane markings flicker or vanish; they differ
#   most from training on exactly what a lane network looks for.
# Do instead: Resize outside the model, or write the averaging as Conv or AveragePool with a stride.
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


def answers(x, sizes, axes, **attributes):
    """What onnxruntime and OpenVINO make of a image."""
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", axes=axes, **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "h", "w"])],
        [helper.make_tensor("sizes", TensorProto.INT64, [2], sizes)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = f"{sys.argv[1]}/model.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return session.run(None, {"x": x})[0], compiled({"x": x})[0]


lines = np.zeros((1, 1, 8, 32), np.float32)
lines[..., ::4] = 100.0
lines[..., 16:] = np.roll(lines[..., 16:], 1, axis=-1)
smooth, theirs = answers(lines, [2, 8], [2, 3], antialias=1)
_, plain = answers(lines, [2, 8], [2, 3])
print("onnxruntime:", smooth[0, 0, 0].round(1).tolist())
print("OpenVINO:   ", theirs[0, 0, 0].round(1).tolist(), "without antialias:", plain[0, 0, 0].round(1).tolist())
square = np.zeros((1, 1, 6, 6), np.float32)
kept, stretched = answers(square, [7, 13], [2, 3], keep_aspect_ratio_policy="not_larger")
print("not_larger than 7 x 13: onnxruntime", kept.shape[2:], "OpenVINO", stretched.shape[2:])
as_seen = (
    np.array_equal(theirs, plain)
    and np.abs(smooth - theirs).max() > 10
    and kept.shape[2:] == (7, 7)
    and stretched.shape[2:] == (7, 13)
)
if not as_seen:
    print("changed: antialias made no difference, and the aspect ratio was not kept")
sys.exit(not as_seen)
END
echo "as described"
