"""Backends by name, and how their threads wait."""
import os
import subprocess
import sys

import pytest
from tiny_student import save_tiny_student

from mapkd_core import runtime
from mapkd_core.runtime import graph_path, open_runtime


@pytest.fixture(scope="module")
def card_path(tmp_path_factory):
    return save_tiny_student(tmp_path_factory.mktemp("artifact"))


def test_auto_on_a_cpu_is_torchscript(card_path):
    found = open_runtime(card_path, "cpu")
    assert (found.backend, found.precision, found.device) == ("torchscript", "fp32", "cpu")
    assert open_runtime(card_path, "cpu", "torch").backend == "torch"


def test_auto_is_int8_where_machine_and_weights_have_it(card_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    asked = []
    monkeypatch.setattr(runtime, "OnnxRuntime", lambda *given, **more: asked.append(given[3]))
    for has_it in (False, True):
        monkeypatch.setattr(runtime, "has_any", lambda flags, has_it=has_it: has_it)
        assert open_runtime(card_path, "cpu", precision="auto").precision == "fp32", "there is no graph"
    graph_path(card_path, "int8").touch()
    open_runtime(card_path, "cpu", precision="auto")
    assert asked == ["int8"]
    assert open_runtime(card_path, "cpu", "torch", "auto").precision == "fp32", "another backend was asked for"


def test_unknown_names_are_refused(card_path):
    with pytest.raises(ValueError, match="backend 'tvm' is not one of auto, torch"):
        open_runtime(card_path, backend="tvm")
    with pytest.raises(ValueError, match="precision 'fp8' is not one of auto, fp32"):
        open_runtime(card_path, precision="fp8")


@pytest.mark.parametrize(("given", "found"), [
    ({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"), ({"GOMP_SPINCOUNT": "9"}, "None"),
])  # fmt: skip
def test_threads_sleep_unless_the_user_decides(given, found):
    code = (
        "import os\nfrom mapkd_core.runtime import wait_without_spinning as wait\n"
        "print(wait(), os.environ.get('OMP_WAIT_POLICY'))\nimport torch\nprint(wait())"
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, env={**kept, **given}, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["True", found, "False"]
