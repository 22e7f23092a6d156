"""A vector student as a graph: the same elements through ONNX Runtime, in eight bits nearly so, on any rig."""
import numpy as np
import pytest
import torch
from rigs import ring
from tiny_student import GRID, SIZE, tiny_images, tiny_rig

from mapkd_core.artifact import ArtifactError, ModelCard, load_card, load_model, note_graph, save_artifact
from mapkd_core.export import graphs
from mapkd_core.export import int8 as export_int8
from mapkd_core.export.onnx_graph import export_onnx
from mapkd_core.export.parity import agreement, proof_frames
from mapkd_core.model.build import build_model
from mapkd_core.predictor import MapPredictor
from mapkd_core.runtime import BELONGS_TO, OnnxRuntime, RuntimeOptions, TorchRuntime, graph_path
from mapkd_core.runtime.kernel_lookup import KernelTables
from mapkd_core.runtime.processor import INT8_FLAGS, has_any
from mapkd_core.types import CAMERAS
from mapkd_core.vector_elements import LEAST_SCORE

pytest.importorskip("onnxscript", reason="ONNX export needs: pip install '.[export]'")
pytest.importorskip("onnxruntime", reason="ONNX Runtime needs: pip install '.[deploy]'")

OPTIONS = {
    "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 32, "hidden": 32,
    "vectors": 6, "points": 5, "layers": 2, "heads": 4, "sampling_heads": 4,
}  # fmt: skip


KERNEL = {
    "width": 32, "hidden": 16, "bev_cell_m": 1.5, "vectors": 6, "points": 4, "sampling_heads": 4, "layers": 1,
    "published": True,
}  # fmt: skip


def random_network(options, seed=0):
    torch.manual_seed(seed)
    network = build_model("vector_student", GRID, SIZE, options)
    for name, parameter in network.named_parameters():  # what starts at zero would hide what lies behind it
        if "weights" in name or "offsets" in name:
            torch.nn.init.normal_(parameter, 0.0, 0.1)
    return network


@pytest.fixture(scope="module")
def kernel_artifact(tmp_path_factory):
    """MapTR's network, with the six cameras that it belongs to."""
    path = tmp_path_factory.mktemp("kernel") / "kernel.json"
    save_artifact(path, ModelCard("k", "1", "vector_student", KERNEL, GRID, SIZE), random_network(KERNEL).state_dict())
    network, card = load_model(path)
    export_onnx(network, graph_path(path), card)
    note_graph(path, graph_path(path))
    return path


def test_a_kernel_view_runs_as_a_dense_matrix(kernel_artifact):
    ours = TorchRuntime(kernel_artifact, RuntimeOptions(device="cpu", backend="torch", precision="fp32"))
    theirs = OnnxRuntime(kernel_artifact, RuntimeOptions(device="cpu", backend="onnx", precision="fp32"))
    assert theirs.cameras == ours.cameras == CAMERAS and theirs.vectors
    images, (intrinsics, poses) = tiny_images(), tiny_rig()
    for moved in (poses, poses[::-1].copy()):
        expected, found = (runtime.probabilities(images, intrinsics, moved) for runtime in (ours, theirs))
        assert np.abs(expected[:, :3] - found[:, :3]).max() < 1e-5 and np.abs(expected - found).max() < 1e-3
    visible = np.ones((6, SIZE[1], SIZE[0]), bool)
    visible[2] = False
    expected, found = (runtime.probabilities(images, intrinsics, poses, visible) for runtime in (ours, theirs))
    assert np.abs(expected - found).max() < 1e-3
    assert np.abs(found - theirs.probabilities(images, intrinsics, poses)).max() > 1e-4, "that camera gave something"


def test_large_linear_layers_of_the_decoder_are_in_eight_bits_what_places_vertices_is_not(kernel_artifact, monkeypatch):
    import onnx

    monkeypatch.setattr(export_int8, "LARGE_LINEAR", 32 * 32)
    model = onnx.load(str(graph_path(kernel_artifact))).graph
    kept = set(export_int8._of_decoder(graph_path(kernel_artifact)))
    sizes = {tensor.name: list(tensor.dims) for tensor in model.initializer}
    linear = {node.name: sizes[node.input[1]] for node in model.node
              if node.op_type == "MatMul" and node.input[1] in sizes}  # fmt: skip
    coarse = [size for name, size in linear.items() if name not in kept]
    # The view's value and output, the decoder's reading of the BEV (value, output), and two layers that move vertices.
    assert coarse == [[32, 32]] * 6, "hidden layers are 32 x 16 here"
    assert all(node.name in kept for node in model.node if node.op_type in ("Softmax", "LayerNormalization"))
    fine = [size for name, size in linear.items() if name in kept]
    assert [32, 2] in fine and [32, 3] in fine, "vertices and scores"
    assert fine.count([32, 32]) == 2, "the classifier's"


def test_the_dense_view_is_the_ragged_table():
    network = random_network({**KERNEL, "frame": "base_link"}).eval()  # dropout would draw two views
    intrinsics, poses = tiny_rig()
    one = [torch.from_numpy(array).float()[None] for array in (intrinsics, poses)]
    with torch.inference_mode():
        ragged = network.lookup(*one)
        query = network.bev_queries(network.at_rest[None])
        weights = network.view.weights(query).unflatten(2, (4, -1)).softmax(-1)[0]
    tables = KernelTables(GRID, SIZE, network.config)
    tables.take(tables.note(weights.numpy()))
    (view,) = tables.table(intrinsics, poses)
    heights, cells, pixels = view.shape
    expected = np.zeros((cells * heights, pixels), np.float64)
    ends = [*ragged.start.tolist()[1:], len(ragged.pixel)]
    for row, (start, end) in enumerate(zip(ragged.start.tolist(), ends, strict=True)):
        np.add.at(expected[row], ragged.pixel[start:end].numpy() // heights, ragged.weight[start:end].numpy())
    assert np.abs(view.transpose(1, 0, 2).reshape(cells * heights, pixels) - expected).max() < 1e-6
    assert view.sum() > 10


def test_scores_and_shares_of_the_grid_are_compared_at_one_scale():
    """Three logits, and two vertices whose metres become shares of the grid's longer side."""
    assert graphs._unit(2, 50.0).tolist() == pytest.approx([1.0] * 3 + [0.02] * 4)


def test_a_view_that_is_too_large_and_a_note_that_does_not_fit_are_refused(kernel_artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_VIEW_BYTES", 1000)
    network, card = load_model(kernel_artifact)
    with pytest.raises(ValueError, match="run it by backend torchscript"):
        export_onnx(network, tmp_path / "large.onnx", card)
    with pytest.raises(ValueError, match="as its card has them"):
        KernelTables(GRID, SIZE, network.config).take("AAAA")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    torch.manual_seed(0)
    network = build_model("vector_student", GRID, SIZE, OPTIONS)
    with torch.no_grad():
        for name, parameter in network.decoder.named_parameters():
            if "weights" in name or "offsets.weight" in name:
                torch.nn.init.normal_(parameter, 0.0, 0.2)
        network.decoder.classify[-1][-1].bias.copy_(torch.tensor([1.0, -1.0, -4.0]))
    path = tmp_path_factory.mktemp("vector") / "vector.json"
    save_artifact(path, ModelCard("vector", "1", "vector_student", OPTIONS, GRID, SIZE), network.state_dict())
    student, card = load_model(path)
    difference, operators = export_onnx(student, graph_path(path), card)
    note_graph(path, graph_path(path))
    export_int8.export_int8(path, proof_frames(None, SIZE, 2))
    return path, difference, operators


def test_the_graph_reads_the_map_by_grid_sample(artifact):
    _, difference, operators = artifact
    assert difference < 1e-5 and operators["GridSample"] == 2
    assert b".py" not in graph_path(artifact[0]).read_bytes()


@pytest.mark.parametrize("cameras", [1, 6])
def test_the_same_elements_on_another_calibration_and_any_number_of_cameras(artifact, cameras):
    rig, images = ring(cameras, SIZE, 50.0, height_m=1.7, start=0.2), tiny_images(cameras)
    options = {name: RuntimeOptions(device="cpu", backend=name, precision="fp32") for name in ("torch", "onnx")}
    ours = TorchRuntime(artifact[0], options["torch"]).probabilities(images, *rig)
    theirs = OnnxRuntime(artifact[0], options["onnx"]).probabilities(images, *rig)
    assert ours.shape == theirs.shape == (6, 3 + 2 * 5)
    assert np.abs(ours[:, :3] - theirs[:, :3]).max() < 1e-5 and np.abs(ours - theirs).max() < 1e-3


def test_a_predictor_shows_what_scores_enough_and_keeps_all_for_an_evaluation(artifact):
    predictor = MapPredictor.from_artifact(artifact[0], device="cpu", backend="onnx", precision="fp32")
    shown = predictor.predict(list(tiny_images()), *tiny_rig())
    assert shown.elements and min(element.score for element in shown.elements) >= LEAST_SCORE
    assert shown.probabilities.shape == (4, *GRID.shape)
    predictor.least_score = 0.0
    assert len(predictor.predict(list(tiny_images()), *tiny_rig()).elements) == 18


@pytest.mark.skipif(not has_any(INT8_FLAGS), reason="this CPU has no eight-bit instructions")
def test_eight_bits_nearly_agree(artifact):
    plain, coarse = (
        MapPredictor.from_artifact(artifact[0], device="cpu", backend="onnx", precision=precision)
        for precision in ("fp32", "int8")
    )
    one, other = (p.runtime.probabilities(tiny_images(), *tiny_rig()) for p in (plain, coarse))
    assert 0 < np.abs(one - other).max() and np.abs(one[:, :3] - other[:, :3]).mean() < 0.02
    assert np.abs(one[:, 3:] - other[:, 3:]).mean() < 0.3
    shares = agreement(plain, plain, proof_frames(None, SIZE, 1))
    assert set(shares.values()) == {1.0}


def test_a_graph_of_another_number_of_elements_than_its_card_is_refused(artifact, tmp_path):
    path = artifact[0]
    other = tmp_path / "other.json"
    options = {**OPTIONS, "vectors": 7}
    save_artifact(other, ModelCard("v", "1", "vector_student", options, GRID, SIZE),
                  build_model("vector_student", GRID, SIZE, options).state_dict())
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(graph_path(path)))
    onnx.helper.set_model_props(graph, {BELONGS_TO: load_card(other).weights_sha256})
    onnx.save(graph, str(graph_path(other)))
    note_graph(other, graph_path(other))
    with pytest.raises(ArtifactError, match=r"`elements` of \[6, 13\] .* options gives \[7, 13\]"):
        OnnxRuntime(other, RuntimeOptions(device="cpu", backend="onnx", precision="fp32"))
