#!/usr/bin/env bash
# Seen: 2026-11-30 with MNN 3.6.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: mnnconvert turns an ONNX model into one that MNN computes as ONNX defines it, or refuses it.
# Happens: GridSample of mode "cubic" is computed as linear, padding_mode "reflection" as border. Resize of mode "cubic" gets its first row and
#   column wrong by far: of a ramp 0, 10, 20, ... the first value is 6.7, not -1.1; cubic_coeff_a is taken for -0.75 whatever it is.
#   nearest_mode "ceil" rounds to the nearest, half_pixel_symmetric is computed as something else. mnnconvert says "Converted Success!", after a
#   line "Don't support mode cubic" (and "mode linear", which is right) among its others; for reflection and the resizing there is none
#   but for ceil.
# Matters: BEV networks and deformable attention sample features with GridSample, decoders grow them with Resize: results
#   differ a little everywhere, and strongly at the images' border, where no shape and no message points at it.
# Do instead: grid_sample with mode "bilinear" and padding "zeros" or "border", interpolate with "bilinear" (all computed right) from
#   the training on; compare results with onnxruntime's for one input before a model is shipped.
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


ramp = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8) * 10  # B C H W
grid = np.zeros((1, 1, 6, 2), np.float32)
grid[..., 0] = [-1.4, -1.1, -0.5, 0.55, 1.1, 1.4]
found = {}
for mode in ("linear", "cubic"):
    for padding in ("zeros", "border", "reflection"):
        found[mode, padding] = both("GridSample", [ramp, grid], mode=mode, padding_mode=padding)
right = {key for key, pair in found.items() if equal(*pair)}
as_seen = right == {("linear", "zeros"), ("linear", "border")}
as_seen &= all(equal(found["cubic", padding][0], found["linear", padding][0]) for padding in ("zeros", "border", "reflection"))
as_seen &= all(equal(found[mode, "reflection"][0], found[mode, "border"][0]) for mode in ("linear", "cubic"))


def resized(mode, **attributes):
    return both("Resize", [ramp], [("", None), ("scales", np.array([1, 1, 1, 2], np.float32))], mode=mode, **attributes)


ours, theirs = resized("cubic")
as_seen &= equal(ours[..., 1:], theirs[..., 1:]) and abs(ours[0, 0, 0, 0] - 6.68) < 0.01 and abs(theirs[0, 0, 0, 0] + 1.055) < 0.01
half, theirs = resized("cubic", cubic_coeff_a=-0.5)
as_seen &= equal(half, ours) and differ(half[..., 1:], theirs[..., 1:])
as_seen &= equal(*resized("linear")) and equal(*resized("nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric"))
as_seen &= differ(*resized("nearest", nearest_mode="ceil", coordinate_transformation_mode="asymmetric"))
as_seen &= differ(*resized("linear", coordinate_transformation_mode="half_pixel_symmetric"))
if not as_seen:
    print("changed: cubic sampling was linear, reflection was border, the first column of a cubic resize was wrong")
sys.exit(not as_seen)
END
echo "as described"
