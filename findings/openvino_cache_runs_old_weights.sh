#!/usr/bin/env bash
# Seen: 2026-11-29 with openvino 2026.4.1 (CPU), onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: With CACHE_DIR compile_model(PATH) compiles anew where the model has changed.
# Happens: It looks at the .onnx file's path, size and time, and never at the file of external data beside it, where exporters put
#   the weights. A model that was trained on differs from the last one in that file alone: its new weights run as the old ones,
#   in new processes too. compile_model(read_model(PATH)) with a cache of its own sees them.
# Matters: An update that carries over only what differs (rsync --checksum, layers of an image, object storage) brings a new student
#   to the vehicle, its checksum is the new one's, and the old one goes on running.
# Do instead: compile_model(core.read_model(path), ...), or a cache folder for each version of the model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    openvino==2026.4.1 onnx==1.23.2 numpy==2.2.6
cat >"$folder/export.py" <<'END'
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

path, weight = sys.argv[1], float(sys.argv[2])
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 512]) for name in "xy"]
weights = numpy_helper.from_array(np.full((1, 512), weight, np.float32), "w")
graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "one", ends[:1], ends[1:], [weights])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
onnx.save(model, path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
END
cat >"$folder/run.py" <<'END'
import sys

import numpy as np
import openvino

path, way = sys.argv[1:]
core = openvino.Core()
core.set_property({"CACHE_DIR": f"{path}.cache.{way}"})
compiled = core.compile_model(path if way == "path" else core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print(float(compiled(np.ones((1, 512), np.float32))[0][0, 0]))
END
export PYTHONPATH=
mkdir "$folder/old" "$folder/new"
"$folder/venv/bin/python" "$folder/export.py" "$folder/old/model.onnx" 2
"$folder/venv/bin/python" "$folder/export.py" "$folder/new/model.onnx" 3
cmp "$folder/old/model.onnx" "$folder/new/model.onnx"
seen=""
for weights in old new; do
    if [ "$weights" = new ]; then cp "$folder/new/model.onnx.data" "$folder/old/model.onnx.data"; fi
    for way in path read_model; do
        answer=$("$folder/venv/bin/python" "$folder/run.py" "$folder/old/model.onnx" "$way")
        echo "$weights weights, compiled from $way: $answer"
        seen="$seen $answer"
    done
done
if [ "$seen" != " 2.0 2.0 2.0 3.0" ]; then
    echo "changed: with new weights the path gave the old 2.0, read_model the new 3.0"
    exit 1
fi
echo "as described"
