"""Backends by name, and how their threads wait."""
import os
import subprocess
import sys

import pytest
from tiny_student import save_tiny_student

from mapkd_core import runtime
from mapkd_core.runtime import RuntimeOptions, graph_path, open_runtime, runtime_options


@pytest.fixture(scope="module")
def card_path(tmp_path_factory):
    return save_tiny_student(tmp_path_factory.mktemp("artifact"))


def on_cpu(**settings):
    return RuntimeOptions(device="cpu", **settings)


def test_auto_on_a_cpu_is_torchscript(card_path):
    found = open_runtime(card_path, on_cpu())
    assert (found.backend, found.precision, found.device) == ("torchscript", "fp32", "cpu")
    assert open_runtime(card_path, on_cpu(backend="torch")).backend == "torch"


def test_auto_is_int8_where_machine_and_weights_have_it(card_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    asked = []
    monkeypatch.setattr(runtime, "OnnxRuntime", lambda path, options: asked.append(options))
    for has_it in (False, True):
        monkeypatch.setattr(runtime, "has_any", lambda flags, has_it=has_it: has_it)
        assert open_runtime(card_path, on_cpu(precision="auto")).precision == "fp32", "there is no graph"
    graph_path(card_path, "int8").touch()
    open_runtime(card_path, on_cpu(precision="auto", threads=2))
    assert asked == [on_cpu(backend="onnx", precision="int8", threads=2)]
    found = open_runtime(card_path, on_cpu(backend="torch", precision="auto"))
    assert found.precision == "fp32", "another backend was asked for"


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="backend 'tvm' is not one of auto, torch"):
        RuntimeOptions(backend="tvm")
    with pytest.raises(ValueError, match="precision 'fp8' is not one of auto, fp32"):
        RuntimeOptions(precision="fp8")
    with pytest.raises(ValueError, match="threads is -1; expected"):
        RuntimeOptions(threads=-1)


def test_options_come_whole_or_by_name():
    whole = on_cpu(backend="onnx", precision="int8", threads=3)
    assert runtime_options(whole) is whole
    by_name = {"device": "cpu", "backend": "onnx", "precision": "int8", "threads": 3}
    assert runtime_options(None, settings=by_name) == whole
    assert runtime_options(None, settings={"threads": None}) == RuntimeOptions() == runtime_options(None)
    with pytest.raises(TypeError, match="not both"):
        runtime_options(whole, settings={"threads": 1})
    with pytest.raises(TypeError, match="not both"):
        runtime_options(whole, (4,))  # threads by position, which else nobody would notice
    with pytest.raises(TypeError, match="positional"):
        RuntimeOptions("cpu")


def test_options_by_position_give_a_notice():
    """As an older version took them: device, threads, backend, precision."""
    with pytest.warns(FutureWarning, match="give them by name"):
        found = runtime_options("cpu", (None, "onnx", "int8"))
    assert found == on_cpu(backend="onnx", precision="int8")
    with pytest.warns(FutureWarning):
        assert runtime_options("cpu", settings={"backend": "onnx"}) == on_cpu(backend="onnx")
    with pytest.warns(FutureWarning), pytest.raises(TypeError, match="5 options by position"):
        runtime_options("cpu", (None, "onnx", "int8", 1))


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
