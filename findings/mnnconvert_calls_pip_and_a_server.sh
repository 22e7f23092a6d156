#!/usr/bin/env bash
# Seen: 2026-11-30 with MNN 3.6.1, onnx 1.23.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: A converter from ONNX to MNN reads one file and writes another, and leaves network and installation alone.
# Happens: mnnconvert, and any import of MNN.tools.mnnconvert, runs "pip install -U aliyun-log-python-sdk" where that is missing: with the
#   first pip on PATH, which is another Python's unless the environment was activated. Then it asks a server at aliyuncs.com for credentials.
#   With them it means to send a record of each conversion (/etc/machine-id, options, sizes); in 3.6.1 that fails unseen, since a module
#   is missing from the wheel. It does not ask, and its metadata names no such requirement.
# Matters: A build machine gets packages that nobody pinned, in a Python that nobody meant (seen: the system Python's typing_extensions
#   raised to another version), and every conversion in a closed project calls a server abroad.
# Do instead: from _tools import mnnconvert; mnnconvert(["mnnconvert", "-f", "ONNX", ...]), the same converter without what is around it;
#   or convert in a container without a network.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check MNN==3.6.1 onnx==1.23.2 numpy==2.2.6
# Neither pip nor the server is reached here: both are replaced by what writes down how it is called.
mkdir -p "$folder/bin" "$folder/standin/aliyun/log"
printf '#!/bin/sh\necho "called: $*" >> "%s/pip.txt"\n' "$folder" > "$folder/bin/pip"
chmod +x "$folder/bin/pip"
PATH="$folder/bin:$PATH" env -u PYTHONPATH "$folder/venv/bin/python" -c "import MNN.tools.mnnconvert" > "$folder/import.txt" 2>&1
cat "$folder/pip.txt"
grep -qx "called: install -U aliyun-log-python-sdk" "$folder/pip.txt"
touch "$folder/standin/aliyun/__init__.py"
cat > "$folder/standin/aliyun/log/__init__.py" <<'END'
sent, clients = [], []


class LogClient:
    def __init__(self, endpoint, *credentials):
        clients.append(endpoint)

    def put_logs(self, request):
        sent.append(request)


def PutLogsRequest(*parts):
    return parts
END
cat > "$folder/standin/aliyun/log/logitem.py" <<'END'
class LogItem:
    def set_time(self, time):
        pass

    def set_contents(self, contents):
        self.contents = contents
END
PATH="$folder/bin:$PATH" PYTHONPATH="$folder/standin" "$folder/venv/bin/python" - "$folder" <<'END'
import io
import json
import sys
import urllib.parse
import urllib.request

import onnx
from onnx import TensorProto, helper

folder, asked = sys.argv[1], []
value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one", value[:1], value[1:])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{folder}/secret.onnx")


def open_url(request, *rest, **options):
    asked.append(urllib.parse.urlsplit(request.full_url).hostname)
    names = {"AccessKeyId": "", "AccessKeySecret": "", "SecurityToken": "", "Expiration": "2099-01-01T00:00:00Z"}
    return io.BytesIO(json.dumps({"Credentials": names}).encode())


urllib.request.urlopen = open_url
from MNN.tools import mnnconvert  # noqa: E402

sys.argv = f"mnnconvert -f ONNX --modelFile {folder}/secret.onnx --MNNModel {folder}/out.mnn --bizCode project".split()
mnnconvert.main()
from aliyun.log import clients, sent  # noqa: E402

print("credentials from", asked, "client for", clients, "records sent", len(sent))
from MNN.tools.utils.log import mnn_logger  # noqa: E402

try:
    mnn_logger._collect_basic_logs()
    missing = None
except ImportError as error:
    missing = str(error)
print("the record:", missing)
as_seen = (
    len(asked) == 1
    and asked[0].endswith(".aliyuncs.com")
    and len(clients) == 1
    and clients[0].endswith(".aliyuncs.com")
    and not sent
    and missing == "No module named 'MNN.version'"
)
if not as_seen:
    print("changed: a server at aliyuncs.com was asked, and no record sent")
sys.exit(not as_seen)
END
echo "as described"
