"""ONNX Runtime's backends: what is refused, and with which remedy."""
import json

import pytest
from tiny_student import save_tiny_student

from mapkd_core.artifact import ArtifactError, note_graph
from mapkd_core.runtime import RuntimeOptions, graph_face, open_runtime
from mapkd_core.runtime.onnx_backend import check_combination

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime needs: pip install '.[deploy]'")
PROVIDERS = onnxruntime.get_available_providers()


@pytest.fixture(scope="module")
def card_path(tmp_path_factory):
    return save_tiny_student(tmp_path_factory.mktemp("artifact"))


def test_missing_graphs(card_path, monkeypatch):
    with pytest.raises(ArtifactError, match=r"tiny\.onnx; write it with: .* (/.*/tiny\.json) --out \1 --onnx$"):
        open_runtime(card_path, RuntimeOptions(device="cpu", backend="onnx"))
    with pytest.raises(ArtifactError, match=r"tiny\.int8\.onnx; write it with: .* --onnx --int8$"):
        monkeypatch.setattr(graph_face, "has_any", lambda flags: True)
        open_runtime(card_path, RuntimeOptions(device="cpu", backend="auto", precision="int8"))


def test_a_damaged_graph_is_named(tiny_graph, tmp_path):
    (tmp_path / "tiny.json").write_bytes(tiny_graph.read_bytes())
    (tmp_path / "tiny.onnx").write_bytes(tiny_graph.with_suffix(".onnx").read_bytes()[:5000])
    note_graph(tmp_path / "tiny.json", tmp_path / "tiny.onnx")
    words = r"tiny\.onnx does not load in ONNX Runtime \(.*\); .*write it again with: "
    with pytest.raises(ArtifactError, match=words):
        open_runtime(tmp_path / "tiny.json", RuntimeOptions(device="cpu", backend="onnx"))


def test_another_network_does_not_run_from_a_graph(tiny_graph, tmp_path):
    card = json.loads(tiny_graph.read_text())
    (tmp_path / "tiny.onnx").write_bytes(tiny_graph.with_suffix(".onnx").read_bytes())
    for change, reason in (
        ({"model": "hdmapnet"}, "model 'hdmapnet'; only a student runs from a graph"),
        ({"options": {"variant": "huge"}}, r"tiny\.json: student variant 'huge' is not one of"),
    ):
        (tmp_path / "tiny.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(ArtifactError, match=reason):
            open_runtime(tmp_path / "tiny.json", RuntimeOptions(device="cpu", backend="onnx"))


def test_the_remedy_leaves_the_package_as_it_is():
    words = r"small\.onnx \(precision int8 .* is there\); write it with: .*/small\.json --out small\.json --onnx$"
    with pytest.raises(ArtifactError, match=words):
        open_runtime("small", RuntimeOptions(device="cpu", backend="onnx"))


def test_devices_and_engines_that_are_not_there(card_path):
    with pytest.raises(ValueError, match=r"not served by this ONNX Runtime.*use auto, cpu or cuda"):
        open_runtime(card_path, RuntimeOptions(device="tpu", backend="onnx"))
    with pytest.raises(ValueError, match="backend tensorrt needs device cuda, not cpu; use backend onnx"):
        open_runtime(card_path, RuntimeOptions(device="cpu", backend="tensorrt"))
    if "CUDAExecutionProvider" not in PROVIDERS:
        with pytest.raises(ValueError, match="pip install onnxruntime-gpu in place of onnxruntime"):
            open_runtime(card_path, RuntimeOptions(device="cuda", backend="onnx"))
    if "TensorrtExecutionProvider" not in PROVIDERS:
        with pytest.raises(ValueError, match="pip install onnxruntime-gpu tensorrt"):
            open_runtime(card_path, RuntimeOptions(device="auto", backend="tensorrt"))


@pytest.mark.parametrize(("backend", "precision"), [("onnx", "fp16"), ("onnx", "bf16"), ("tensorrt", "bf16")])
def test_precisions_that_are_not_served(backend, precision):
    with pytest.raises(ValueError, match=f"precision {precision} is not served by backend {backend}, which has fp32"):
        check_combination(RuntimeOptions(backend=backend, precision=precision, device="cpu"))


def test_int8_needs_a_cpu_with_the_instructions(monkeypatch):
    with pytest.raises(ValueError, match="int8 needs device cpu, not cuda; on a GPU use fp16"):
        check_combination(RuntimeOptions(backend="onnx", precision="int8", device="cuda"))
    monkeypatch.setattr(graph_face, "has_any", lambda flags: False)
    with pytest.raises(ValueError, match=r"none of the flags amx_int8, .*; use fp32"):
        check_combination(RuntimeOptions(backend="onnx", precision="int8", device="cpu"))
