"""ONNX export: same numbers through ONNX Runtime, only common operators, and a refusal when the graph is wrong."""
import json
import logging
import shutil

import numpy as np
import pytest
import torch
from rigs import ring
from tiny_student import GRID, OPTIONS, SIZE, tiny_images

from mapkd_core.artifact import ArtifactError, ModelCard, load_model, note_graph, save_artifact
from mapkd_core.export import onnx_graph as export
from mapkd_core.model.build import build_model
from mapkd_core.runtime import OnnxRuntime, RuntimeOptions, TorchRuntime

pytest.importorskip("onnxscript", reason="ONNX export needs: pip install '.[export]'")
pytest.importorskip("onnxruntime", reason="ONNX Runtime needs: pip install '.[deploy]'")

COMMON = {
    "Add", "Cast", "Concat", "Conv", "DepthToSpace", "Div", "Exp", "Gather", "Mul", "ReduceMax", "ReduceSum", "Relu",
    "Reshape", "Resize", "Shape", "Slice", "Sub", "Transpose",
}
ON_CPU = {
    TorchRuntime: RuntimeOptions(device="cpu", backend="torch"),
    OnnxRuntime: RuntimeOptions(device="cpu", backend="onnx"),
}


def _export(path, graph):
    student, card = load_model(path)
    return export.export_onnx(student, graph, card)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("artifact")
    model = build_model("student", GRID, SIZE, OPTIONS)
    card = ModelCard("tiny", "1", "student", OPTIONS, GRID, SIZE)
    save_artifact(folder / "tiny.json", card, model.state_dict())
    difference, operators = _export(folder / "tiny.json", folder / "tiny.onnx")
    note_graph(folder / "tiny.json", folder / "tiny.onnx")
    logging.getLogger("torch.onnx").setLevel(logging.WARNING)
    return folder / "tiny.json", difference, operators


def test_only_common_operators_and_a_proof(artifact):
    path, difference, operators = artifact
    assert b".py" not in path.with_suffix(".onnx").read_bytes(), "the exporter's stack traces name our folders"
    assert difference < 1e-5
    assert set(operators) <= COMMON
    assert operators["Conv"] > 10


def test_both_runtimes_agree_on_another_calibration(artifact):
    path = artifact[0]
    intrinsics, poses = ring(6, SIZE, 50.0, height_m=1.7, start=0.2)
    images = tiny_images()
    ours = TorchRuntime(path, ON_CPU[TorchRuntime]).probabilities(images, intrinsics, poses)
    runtime = OnnxRuntime(path, ON_CPU[OnnxRuntime])
    theirs = runtime.probabilities(images, intrinsics, poses)
    assert np.abs(ours - theirs).max() < 1e-4
    runtime.probabilities(images, intrinsics, poses)
    assert runtime.lookups.computed == 1


@pytest.mark.parametrize("cameras", [1, 4, 8])
def test_any_number_of_cameras_runs(artifact, cameras):
    rig = ring(cameras, SIZE, 50.0, height_m=1.7)
    images = tiny_images(cameras)
    ours, theirs = (runtime(artifact[0], options).probabilities(images, *rig) for runtime, options in ON_CPU.items())
    assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize("runtime", [TorchRuntime, OnnxRuntime])
def test_a_camera_that_nothing_looks_at_changes_nothing(artifact, runtime):
    intrinsics, poses = ring(6, SIZE, 50.0, height_m=1.7)
    images, without = tiny_images(), [0, 1, 2, 4, 5]
    runs = runtime(artifact[0], ON_CPU[runtime])
    visible = np.ones((6, SIZE[1], SIZE[0]), bool)
    visible[3] = False
    padded = runs.probabilities(images, intrinsics, poses, visible)
    five = runs.probabilities(images[without], intrinsics[without], poses[without])
    assert np.abs(padded - five).max() < 1e-5
    assert np.abs(padded - runs.probabilities(images, intrinsics, poses)).max() > 1e-3


def test_a_graph_of_a_fixed_number_is_filled_up_or_refused(artifact, tmp_path):
    import onnx

    path = artifact[0]
    shutil.copy(path, tmp_path)
    shutil.copy(path.with_suffix(".safetensors"), tmp_path)
    fixed = onnx.load(str(path.with_suffix(".onnx")))
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 6
    onnx.save(fixed, str(tmp_path / "tiny.onnx"))
    note_graph(tmp_path / "tiny.json", tmp_path / "tiny.onnx")
    old, free = OnnxRuntime(tmp_path / "tiny.json", ON_CPU[OnnxRuntime]), OnnxRuntime(path, ON_CPU[OnnxRuntime])
    four = (tiny_images(4), *ring(4, SIZE, 50.0, height_m=1.7))
    np.testing.assert_allclose(old.probabilities(*four), free.probabilities(*four), atol=1e-6)
    with pytest.raises(ArtifactError, match=r"made for 6 cameras .*, 8 came; write .* mapkd export .*--onnx$"):
        old.probabilities(tiny_images(8), *ring(8, SIZE, 50.0, height_m=1.7))


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [("input_size", [192, 96], r"`images` of \[48, 96\]"),
     ("grid", GRID.scaled(0.5).as_dict(), r"`probabilities` of \[40, 80\]")],
)  # fmt: skip
def test_a_graph_of_another_size_than_its_card_is_refused(artifact, tmp_path, key, value, found):
    for suffix in (".json", ".safetensors", ".onnx"):
        shutil.copy(artifact[0].with_suffix(suffix), tmp_path)
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ArtifactError, match=rf"tiny\.onnx has {found} .* its card's {key} gives"):
        OnnxRuntime(path, ON_CPU[OnnxRuntime])


def test_a_wrong_graph_is_not_kept(artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(export.ExportError, match="differs by"):
        _export(artifact[0], tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []
