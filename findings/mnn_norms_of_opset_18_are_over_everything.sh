#!/usr/bin/env bash
# Seen: 2026-11-30 with MNN 3.6.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: mnnconvert turns an ONNX model into one that MNN computes as ONNX defines it, or refuses it.
# Happens: ReduceL1, ReduceL2, ReduceLogSum, ReduceLogSumExp and ReduceSumSquare of opset 18 on, where the axes are an input, are taken over
#   all axes; opset 17 and ReduceMax, ReduceMean and their like are right. Einsum "bij,bjk->bki" comes as "bij,bjk->bik". Split of 7 into 3
#   parts gives 2, 2, 2 in place of 3, 3, 1, the last element is lost. ArgMax with select_last_index takes the first.
#   Round takes halves away from 0, not to the even number. mnnconvert says "Converted Success!".
# Matters: Opset 18 and later are what today's exporters write: normalize(x, dim=1), norm(dim) and logsumexp(dim) divide by one number for
#   the whole batch, which broadcasts, so every shape after it is right; torch.chunk of an odd size shifts all parts.
# Do instead: Export for opset 17, write norms as sqrt(sum(x * x)), attention's products as matmul and transpose, and name
#   the parts' sizes; compare results with onnxruntime's.
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


rows = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
as_seen = True
for kind in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"):
    as_seen &= equal(*both(kind, [rows], opset=17, axes=[1], keepdims=0))
    ours, theirs = both(kind, [rows], [("axes", np.array([1]))], opset=18, keepdims=0)
    over_all, _ = both(kind, [rows], opset=17, keepdims=0)
    as_seen &= ours.size == 1 and theirs.shape == (2,) and np.allclose(ours, over_all)
for kind in ("ReduceMax", "ReduceMean"):
    as_seen &= equal(*both(kind, [rows], [("axes", np.array([1]))], opset=18, keepdims=0))

ours, theirs = both("Einsum", [rows.reshape(1, 2, 3), np.arange(12, dtype=np.float32).reshape(1, 3, 4)], equation="bij,bjk->bki")
as_seen &= ours.shape == (1, 2, 4) and equal(ours.transpose(0, 2, 1), theirs)
ours, theirs = both("Split", [np.arange(7, dtype=np.float32)], opset=18, results=3, num_outputs=3)
print("Split of 7 into 3: MNN", [part.tolist() for part in ours], "onnxruntime", [part.tolist() for part in theirs])
as_seen &= [len(part) for part in ours] == [2, 2, 2] and [len(part) for part in theirs] == [3, 3, 1]
ours, theirs = both("ArgMax", [np.array([[3, 1, 3, 2]], np.float32)], axis=1, select_last_index=1)
as_seen &= ours.item() == 0 and theirs.item() == 2
ours, theirs = both("Round", [np.array([-2.5, 0.5, 1.5, 2.5], np.float32)])
as_seen &= ours.tolist() == [-3, 1, 2, 3] and theirs.tolist() == [-2, 0, 2, 2]
if not as_seen:
    print("changed: norms of opset 18 were over all axes, Einsum's order was passed over, Split lost the last element")
sys.exit(not as_seen)
END
echo "as described"
