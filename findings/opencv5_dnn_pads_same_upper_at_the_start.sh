#!/usr/bin/env bash
# Seen: 2026-11-30 with opencv-python-headless 5.0.0.93 and 4.14.0.94, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: cv2.dnn computes Conv and AveragePool with auto_pad SAME_UPPER as onnxruntime does: the odd cell of padding at the lower and
#   right end, as TensorFlow has it.
# Happens: OpenCV 5 puts it at the upper and left end, as for SAME_LOWER: the result of a stride of 2 moves by a pixel of the input. 4.14 has it
#   the other way round: SAME_UPPER is right, SAME_LOWER is computed as SAME_UPPER. ConvTranspose's auto_pad is passed over in
#   both: 15 x 19 cells for 16 x 20, without a word.
# Matters: EfficientNet-Lite and MobileNet from TensorFlow halve the image five times with SAME_UPPER: features shift by 1 + 2 + 4 + 8 + 16
#   pixels, and everything found in them with them; no shape is wrong.
# Do instead: Write the pads out before (pads=[0, 0, 1, 1] is computed right), or let onnxruntime run the model; compare one image.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/look.py" <<'END'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
image = rng.standard_normal((1, 3, 8, 10)).astype(np.float32)  # B C H W


def both(kind, size, weights, **attributes):
    """Results of cv2.dnn and onnxruntime of a model of one layer."""
    constants = [] if weights is None else [numpy_helper.from_array(weights, "w")]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x"] + ["w"] * len(constants), ["y"], strides=[2, 2], **attributes)], "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, size)], constants)  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(image, "x")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return net.forward(), session.run(None, {"x": image})[0]


kernel = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
found = {}
for name, attributes in (
    ("upper", {"auto_pad": "SAME_UPPER"}),
    ("lower", {"auto_pad": "SAME_LOWER"}),
    ("written", {"pads": [0, 0, 1, 1]}),
):
    found[name] = both("Conv", (1, 4, 4, 5), kernel, **attributes)
found["pool"] = both("AveragePool", (1, 3, 4, 5), None, kernel_shape=[3, 3], auto_pad="SAME_UPPER")
close = {name: bool(np.allclose(a, b, atol=1e-4)) for name, (a, b) in found.items()}
as_lower = bool(np.allclose(found["upper"][0], found["lower"][1], atol=1e-4))
transposed = both("ConvTranspose", (1, 4, 16, 20), kernel.transpose(1, 0, 2, 3).copy(), auto_pad="SAME_UPPER")
print(f"OpenCV {cv2.__version__}: equal to onnxruntime {close}, SAME_UPPER computed as SAME_LOWER: {as_lower}")
print("ConvTranspose, SAME_UPPER:", transposed[0].shape, "for", transposed[1].shape)
five = cv2.__version__.startswith("5")
as_seen = close == {"upper": not five, "lower": five, "written": True, "pool": not five} and as_lower == five
as_seen &= transposed[0].shape == (1, 4, 15, 19) and transposed[1].shape == (1, 4, 16, 20)
if not as_seen:
    print("changed: OpenCV 5 padded both at the start, OpenCV 4.14 at the end")
sys.exit(not as_seen)
END
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
for version in 4.14.0.94 5.0.0.93; do
  "$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps opencv-python-headless==$version
  env -u PYTHONPATH "$folder/venv/bin/python" "$folder/look.py"
done
echo "as described"
