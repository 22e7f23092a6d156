#!/usr/bin/env bash
# Seen: 2026-11-30 with tract 0.23.9, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: tract computes an ONNX operator as ONNX defines it, or refuses the model, as it does with operators that it has not.
# Happens: LSTM, GRU and RNN of direction "reverse" run forward (bidirectional ones are right). ConvTranspose with output_shape has the
#   right size and the wrong place: what is cut off goes at the end alone, for 4 cells to 8 and to 7 the result lies a cell further right and
#   down. Celu's result lacks the factor alpha, -0.79 becomes -0.39 for alpha = 2. ReduceLogSumExp is inf from 89 on. Relu of NaN is 0,
#   Sigmoid of NaN 0.0000004. Nothing is raised.
# Matters: A history that is read backward from the present frame is weighted from its wrong end. Decoders with output_shape (as converted
#   from TensorFlow) shift by a pixel of each stride, 1 + 2 + 4 with three of them. A network whose values have become NaN predicts
#   "surely nothing" in place of NaN, which a watchdog would find.
# Do instead: Flip the sequence with Slice and run it forward; write pads=[0, 0, 1, 1] and so on out and leave output_shape away; look for NaN
#   at the input; compare one input's results with onnxruntime's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    tract==0.23.9 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
np.set_printoptions(precision=3, suppress=True)


def both(kind, given, constants=(), results=1, **attributes):
    """Results of tract and onnxruntime of a model of one node."""
    names, outputs = [f"c{i}" for i in range(len(constants))], [f"y{i}" for i in range(results)]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *names], outputs, **attributes)], "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in zip(names, constants, strict=True)])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model), full_check=True)
    onnx.save(model, f"{sys.argv[1]}/one.onnx")
    run = tract.onnx().load(f"{sys.argv[1]}/one.onnx").into_model().into_runnable()
    session = onnxruntime.InferenceSession(f"{sys.argv[1]}/one.onnx", providers=["CPUExecutionProvider"])
    return [result.to_numpy() for result in run.run([given])], session.run(None, {"x": given})


def equal(ours, theirs):
    return all(a.shape == b.shape and np.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


as_seen = True
history = rng.standard_normal((5, 2, 3)).astype(np.float32)  # time B C
for kind, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    found = {}
    for direction in ("forward", "reverse", "bidirectional"):
        ways = 2 if direction == "bidirectional" else 1
        shapes = (ways, gates * 4, 3), (ways, gates * 4, 4)
        weights = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        ours, theirs = both(kind, history, weights, 2, hidden_size=4, direction=direction)
        found[direction] = equal(ours, theirs)
        if direction == "reverse":
            _, forward = both(kind, history, weights, 2, hidden_size=4)
            found["reverse is forward"] = equal(ours, forward)
    print(kind, "equal to onnxruntime:", found)
    as_seen &= found == {"forward": True, "reverse": False, "reverse is forward": True, "bidirectional": True}

cells = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4) + 1  # B C H W
kernel = np.ones((1, 1, 3, 3), np.float32)
for size in (7, 8):
    (ours,), (theirs,) = both("ConvTranspose", cells, [kernel], strides=[2, 2], output_shape=[size, size])
    print(f"row 1 of {size} x {size}: tract {ours[0, 0, 1]}, onnxruntime {theirs[0, 0, 1]}")
    as_seen &= ours.shape == theirs.shape and not equal([ours], [theirs])
    as_seen &= np.array_equal(ours[..., 1:, 1:], theirs[..., :-1, :-1])

(ours,), (theirs,) = both("Celu", np.array([-1, 1], np.float32), alpha=2.0)
print("Celu of -1: tract", ours[0], "onnxruntime", theirs[0])
as_seen &= np.allclose(ours, np.array([theirs[0] / 2, 1])) and np.allclose(theirs[0], 2 * np.expm1(-0.5))
for shift, finite in ((80, True), (100, False)):
    (ours,), (theirs,) = both("ReduceLogSumExp", cells / 16 + shift, [np.array([-1])])
    print(f"log of the sum of exponentials near {shift}: tract {ours.max()}, onnxruntime {theirs.max()}")
    as_seen &= np.isfinite(theirs).all() and (equal([ours], [theirs]) if finite else np.isinf(ours).all())
for kind in ("Relu", "Sigmoid"):
    (ours,), (theirs,) = both(kind, np.array([np.nan, -1, 1], np.float32))
    print(f"{kind} of NaN: tract {ours[0]}, onnxruntime {theirs[0]}")
    as_seen &= np.isnan(theirs[0]) and abs(ours[0]) < 1e-5
if not as_seen:
    print("changed: reverse ran forward, output_shape moved the result, Celu lacked alpha, large exponentials were inf, NaN became 0")
sys.exit(not as_seen)
END
echo "as described"
