#!/usr/bin/env bash
# Seen: 2026-11-29 with onnxruntime 1.31.1, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: quantize_static leaves the sampling positions of GridSample alone, as it has no eight-bit form of GridSample.
# Happens: GridSample stays in float, but the Mul, Add or MatMul that makes its grid is quantized like any other, so positions
#   come in 255 steps over their range. With all points inside the image they are off by a quarter pixel of a feature map
#   128 wide; one point behind the camera that projects to x = 40 stretches the range: all others are off by up to 5 pixels.
# Matters: Lifting to the bird's-eye view projects points into each camera inside the graph, and most of them lie outside it:
#   lines come out displaced, with every layer's own error looking small.
# Do instead: Name the nodes that compute coordinates in nodes_to_exclude, or make the grid outside the graph; check the
#   positions of the quantized graph by sampling an image of column numbers, as below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.31.1 onnx==1.23.2 numpy==2.2.6
FOLDER=$folder "$folder/venv/bin/python" -W ignore - <<'END'
import logging
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

logging.disable(logging.WARNING)
onnxruntime.set_default_logger_severity(3)
WIDTH, POINTS = 128, 500
FLOAT, QUANTIZED = (os.path.join(os.environ["FOLDER"], name) for name in ("float.onnx", "quantized.onnx"))


class OneFeed(CalibrationDataReader):
    def __init__(self, feed: dict[str, np.ndarray]) -> None:
        self._feeds = iter([feed])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


ports = {"image": [1, 1, 1, WIDTH], "points": [1, 1, POINTS, 2], "sampled": [1, 1, 1, POINTS]}
infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ports.items()]
nodes = [
    helper.make_node("Mul", ["points", "scale"], ["grid"], "project"),
    helper.make_node("GridSample", ["image", "grid"], ["sampled"], "sample", padding_mode="border", align_corners=1),
]
scale = numpy_helper.from_array(np.float32(0.5), "scale")
graph = helper.make_graph(nodes, "lift", infos[:2], infos[2:], [scale])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), FLOAT)

image = np.arange(WIDTH, dtype=np.float32).reshape(1, 1, 1, WIDTH)  # each pixel holds its column's number


def worst_px(far_x: float | None, excluded: list[str]) -> float:
    """The largest displacement of a point inside the image, in pixels."""
    points = np.zeros((1, 1, POINTS, 2), np.float32)
    points[..., 0] = 2.0 * np.linspace(-1.0, 1.0, POINTS)
    if far_x is not None:
        points[..., -1, 0] = 2.0 * far_x
    feed = {"image": image, "points": points}
    quantize_static(FLOAT, QUANTIZED, OneFeed(feed), nodes_to_exclude=excluded)
    columns = [
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feed)[0].ravel()[:-1]
        for path in (FLOAT, QUANTIZED)
    ]
    return float(np.abs(columns[1] - columns[0]).max())


seen = {}
for name, far_x, excluded in (
    ("all inside", None, []), ("one point at x = 10", 10.0, []), ("one point at x = 40", 40.0, []),
    ("the same, Mul excluded", 40.0, ["project"]),
):  # fmt: skip
    seen[name] = worst_px(far_x, excluded)
    print(f"{name}: points inside the image are off by up to {seen[name]:.2f} of {WIDTH} columns")
inside, ten, forty, excluded = seen.values()
if not (0.1 < inside < 1.0 < ten < forty and forty > 4.0 and excluded < 1e-3):
    print("changed: below 1 column with all inside, more the farther the far point, above 4 at 40, none with Mul excluded")
    sys.exit(1)
END
echo "as described"
