"""Eight-bit export: the graph runs, is nearly the network, belongs to its weights, and else is thrown away."""
import logging
import shutil

import numpy as np
import pytest
from tiny_student import GRID, SIZE, save_tiny_student, tiny_images, tiny_rig

from mapkd_core.artifact import ArtifactError, ModelCard, load_model, note_graph
from mapkd_core.commands import export as export_command
from mapkd_core.commands.main import main
from mapkd_core.evaluation.evaluate_cache import header_of
from mapkd_core.export import int8 as export_int8
from mapkd_core.export.onnx_graph import ExportError, export_onnx
from mapkd_core.export.parity import agreement, proof_frames
from mapkd_core.predictor import MapPredictor
from mapkd_core.runtime import RuntimeOptions, graph_face, graph_path, open_runtime
from mapkd_core.runtime.processor import INT8_FLAGS, has_any

pytest.importorskip("onnxscript", reason="ONNX export needs: pip install '.[export]'")
pytest.importorskip("onnxruntime", reason="ONNX Runtime needs: pip install '.[deploy]'")

needs_instructions = pytest.mark.skipif(not has_any(INT8_FLAGS), reason="this CPU has no eight-bit instructions")


def onnx_on_cpu(precision):
    return RuntimeOptions(device="cpu", backend="onnx", precision=precision)


def tiny_artifact(folder, seed):
    path = save_tiny_student(folder, seed)
    student, card = load_model(path)
    export_onnx(student, graph_path(path), card)
    note_graph(path, graph_path(path))
    return path


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    path = tiny_artifact(tmp_path_factory.mktemp("artifact"), 0)
    export_int8.export_int8(path, proof_frames(None, SIZE, 2))
    return path


def test_weights_are_in_eight_bits(artifact):
    import onnx

    graph = onnx.load(str(graph_path(artifact, "int8"))).graph
    kinds = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    in_bytes = sum(len(w.raw_data) for w in graph.initializer if w.data_type == onnx.TensorProto.INT8)
    assert in_bytes > 0.9 * sum(p.numel() for p in load_model(artifact)[0].parameters() if p.ndim == 4)


@needs_instructions
def test_nearly_the_same_probabilities(artifact):
    plain, coarse = (open_runtime(artifact, onnx_on_cpu(precision)) for precision in ("fp32", "int8"))
    expected, found = (r.probabilities(tiny_images(), *tiny_rig()) for r in (plain, coarse))
    assert 0 < np.abs(found - expected).max() and np.abs(found - expected).mean() < 0.02
    assert (coarse.backend, coarse.precision) == ("onnx", "int8")


@needs_instructions
def test_the_trunk_lite0_runs_in_eight_bits(tmp_path):
    import onnx

    path = save_tiny_student(tmp_path, 0, trunk="lite0")
    student, card = load_model(path)
    export_onnx(student, graph_path(path), card)
    note_graph(path, graph_path(path))
    export_int8.export_int8(path, proof_frames(None, SIZE, 2))
    operators = {node.op_type for node in onnx.load(str(graph_path(path, "int8"))).graph.node}
    assert "Clip" not in operators  # ReLU6 is the range of eight bits itself; a Clip would compute in float32
    with_torch = RuntimeOptions(device="cpu", backend="torch", precision="fp32")
    exact = open_runtime(path, with_torch).probabilities(tiny_images(), *tiny_rig())
    for precision, within in (("fp32", 1e-5), ("int8", 0.02)):
        found = open_runtime(path, onnx_on_cpu(precision)).probabilities(tiny_images(), *tiny_rig())
        assert np.abs(found - exact).mean() < within


@pytest.mark.parametrize("cameras", [1, 4, 8])
def test_any_number_of_cameras_runs_in_eight_bits(artifact, monkeypatch, cameras):
    # Without the instructions the numbers are others, but of the right shape, and an unseen camera still adds nothing.
    monkeypatch.setattr(graph_face, "has_any", lambda flags: True)
    runtime = open_runtime(artifact, onnx_on_cpu("int8"))
    images, rig = tiny_images(cameras), tiny_rig(cameras)
    found = runtime.probabilities(images, *rig)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-3)
    more = [np.concatenate([part, part[:1]]) for part in (images, *rig)]
    visible = np.ones((cameras + 1, SIZE[1], SIZE[0]), bool)
    visible[-1] = False
    np.testing.assert_allclose(runtime.probabilities(*more, visible), found, atol=1e-5)


@pytest.mark.parametrize("name", ["nano", "small", "base"])
def test_shipped_graphs_take_any_number_of_cameras(name):
    import onnx

    inputs = onnx.load(str(graph_path(name, "int8"))).graph.input
    assert inputs[0].name == "images" and inputs[0].type.tensor_type.shape.dim[0].dim_param == "cameras"


@needs_instructions
def test_the_command_makes_graphs_of_an_artifact(artifact, tmp_path, capsys):
    out = tmp_path / "again.json"
    frames = ["--calibrate", "simdrive-v1:train:small:1", "--frames", "2"]
    assert main(["export", str(artifact), "--out", str(out), "--int8", *frames]) == 0
    assert "again.int8.onnx" in capsys.readouterr().out
    assert load_model(out)[1].weights_sha256 == load_model(artifact)[1].weights_sha256


@pytest.mark.parametrize("option, instructions, complaint", [
    ("--no-onnx", True, "--int8 is made from NAME.onnx; leave out --no-onnx"),
    ("--onnx", False, "this CPU has none of the flags"),
])  # fmt: skip
def test_what_would_fail_fails_before_anything_is_written(
    artifact, tmp_path, monkeypatch, capsys, option, instructions, complaint
):
    monkeypatch.setattr(graph_face, "has_any", lambda flags: instructions)
    assert main(["export", str(artifact), "--out", str(tmp_path / "new.json"), "--int8", option]) != 0
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@needs_instructions
def test_another_map_is_an_error(artifact, tmp_path, monkeypatch):
    path = tiny_artifact(tmp_path, 0)
    monkeypatch.setattr(export_int8, "LEAST_AGREEMENT", 1.01)
    with pytest.raises(ExportError, match=r"agree on .* of the cells of class .*--calibrate"):
        export_command.write_int8_graph(path, "simdrive-v1:train:small:1", None, 1)


def test_a_graph_of_other_weights_is_refused(artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(graph_face, "has_any", lambda flags: True)
    other = tiny_artifact(tmp_path, 1)
    for precision, told in (("fp32", "has SHA-256 .*, its card says .*export again"), ("int8", "is of other weights")):
        shutil.copy(graph_path(artifact, precision), graph_path(other, precision))
        with pytest.raises(ArtifactError, match=told):
            open_runtime(other, onnx_on_cpu(precision))


def test_only_the_quantizers_advice_is_not_shown(artifact, caplog):
    import onnxruntime.quantization.quant_utils as theirs

    advice, error = (
        compile(f"import logging\nlogging.{level}('of theirs: {level}')", theirs.__file__, "exec")
        for level in ("warning", "error")
    )

    def frames():
        first, second = proof_frames(None, SIZE, 2)
        yield first
        logging.warning("of the root logger")
        logging.getLogger("camera").warning("of a camera")
        exec(advice)
        exec(error)
        yield second

    export_int8.export_int8(artifact, frames())
    exec(advice)
    assert caplog.messages == ["of the root logger", "of a camera", "of theirs: error", "of theirs: warning"]


def test_no_frames(artifact):
    with pytest.raises(ValueError, match="no frame to calibrate"):
        export_int8.export_int8(artifact, [])


def test_agreement_counts_cells():
    class Fixed:
        def __init__(self, cells):
            self.cells, self.card = np.array(cells, np.uint8), ModelCard("any", "1", "student", {}, GRID, SIZE)

        def predict_frame(self, frame):
            return type("Result", (), {"semantic": self.cells})

    shares = agreement(Fixed([[1, 1, 2], [0, 0, 2]]), Fixed([[1, 0, 2], [1, 0, 2]]), [None, None])
    assert shares == {"divider": pytest.approx(1 / 3), "ped_crossing": 1.0, "boundary": 1.0}
    with pytest.raises(ValueError, match="no frame"):
        agreement(Fixed([[0]]), Fixed([[0]]), [])


def test_predictor_serves_eight_bits_by_itself(artifact, monkeypatch):
    monkeypatch.setattr(graph_face, "has_any", lambda flags: True)
    runtime = MapPredictor.from_artifact(artifact, device="cpu", precision="int8").runtime
    assert (runtime.backend, runtime.precision) == ("onnx", "int8")


def test_scores_in_eight_bits_are_not_mixed_with_others(artifact, monkeypatch):
    monkeypatch.setattr(graph_face, "has_any", lambda flags: True)
    predictors = [MapPredictor.from_artifact(artifact, device="cpu", precision=p) for p in ("fp32", "int8")]
    headers = [header_of(predictor, "x") for predictor in predictors]
    assert [h.pop("precision") for h in headers] == ["fp32", "int8"] and headers[0] == headers[1]
