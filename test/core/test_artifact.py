"""Artifacts: round trip, and every way in which one can be unfit."""
import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from mapkd_core.artifact import (
    SHIPPED,
    ArtifactError,
    ModelCard,
    check_graph,
    load_card,
    load_model,
    note_graph,
    save_artifact,
)  # fmt: skip
from mapkd_core.commands.options import CARD_OR_SHIPPED
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.runtime import BELONGS_TO, RuntimeOptions, graph_path, open_runtime

GRID = BevGrid((-6.0, 6.0), (-3.0, 3.0), 0.3)
OPTIONS = {"variant": "nano"}
SIZE = (176, 64)


@pytest.fixture
def card_path(tmp_path):
    torch.manual_seed(0)
    model = build_model("student", GRID, SIZE, OPTIONS)
    training = {"config": {"data": {"image_size": list(SIZE)}}}
    card = ModelCard("tiny", "1.2.3", "student", OPTIONS, GRID, SIZE, training=training)
    save_artifact(tmp_path / "tiny.json", card, model.state_dict())
    return tmp_path / "tiny.json"


def test_round_trip(card_path):
    model, card = load_model(card_path)
    assert (card.name, card.version, card.grid, card.input_size) == ("tiny", "1.2.3", GRID, (176, 64))
    torch.manual_seed(0)
    fresh = build_model("student", GRID, SIZE, OPTIONS).state_dict()
    for name, value in model.state_dict().items():
        assert torch.allclose(value, fresh[name], atol=1e-3), name
    assert not model.training


def test_a_cards_facts_and_counts_of_batches_survive(card_path, tmp_path):
    model, card = load_model(card_path)
    state = model.state_dict()
    count = next(k for k in state if k.endswith("num_batches_tracked"))
    state[count] = torch.tensor(2049)  # no float16 holds that
    written = save_artifact(tmp_path / "other.json", replace(card, least_score=0.2, cameras=("a", "b")), state)
    again, read = load_model(tmp_path / "other.json")
    assert read == written and (read.least_score, read.cameras, read.training) == (0.2, ("a", "b"), card.training)
    assert int(again.state_dict()[count]) == 2049


def test_help_names_every_shipped_student():
    assert set(re.findall(r"\w+", CARD_OR_SHIPPED.partition("shipped:")[2])) - {"default"} == set(SHIPPED)


def test_weights_that_the_network_does_not_know_and_classes_in_another_order_are_refused(card_path, tmp_path):
    model, card = load_model(card_path)
    save_artifact(tmp_path / "more.json", card, {**model.state_dict(), "heads.more": torch.zeros(2)})
    with pytest.raises(ArtifactError, match=r"unknown \['heads.more'\]"):
        load_model(tmp_path / "more.json")
    edit(card_path, classes=["ped_crossing", "divider", "boundary"])
    with pytest.raises(ArtifactError, match="was trained for classes"):
        load_card(card_path)


def test_values_beyond_float16_are_kept(tmp_path):
    model = build_model("student", GRID, SIZE, OPTIONS)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    name = next(k for k in state if k.endswith("running_var"))
    state[name][0] = 1e5  # as in EfficientNet-Lite0's published norms
    save_artifact(tmp_path / "wide.json", ModelCard("wide", "1", "student", OPTIONS, GRID, SIZE), state)
    with safe_open(tmp_path / "wide.safetensors", "pt") as file:
        assert {k for k in file.keys() if file.get_tensor(k).dtype == torch.float32} == {name}
    again = load_model(tmp_path / "wide.json")[0].state_dict()[name]
    assert again.dtype == torch.float32 and torch.equal(again, state[name])


def test_the_weights_path_does_as_well(card_path):
    assert load_card(card_path.with_suffix(".safetensors")).name == "tiny"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_students_go_by_their_names(name):
    onnx = pytest.importorskip("onnx", reason="needs: pip install '.[export]'")
    model, card = load_model(name)
    of = (f"student-{name.replace('_', '-')}", name.partition("_")[0])
    assert (card.name, card.options["variant"]) == of
    assert load_card(SHIPPED[name]) == card
    graph = onnx.load(str(graph_path(name, "int8")))
    assert {p.key: p.value for p in graph.metadata_props}[BELONGS_TO] == card.weights_sha256
    assert sum(p.numel() for p in model.parameters()) > 5e5


def test_missing_card(tmp_path):
    with pytest.raises(ArtifactError, match=r"no model card .*none\.json"):
        load_model(tmp_path / "none.json")


def test_missing_weights(card_path):
    card_path.with_suffix(".safetensors").unlink()
    with pytest.raises(ArtifactError, match="no weights"):
        load_model(card_path)


def test_damaged_weights(card_path):
    weights = card_path.with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_model(card_path)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"classes": ["road"]}, "classes"),
        ({"grid": {"cell_m": 1}}, "not a model card"),
        ({"model": "studnet"}, "did you mean 'student'"),
        ({"options": {"variant": "small"}}, "does not fit"),
        ({"options": {"variant": "nano", "colour": 1}}, "no option 'colour'"),
        ({"options": {"variant": "nano", "image_width": 10_000}}, r"does not fit .*other shape \['trunk"),  # terabytes
        ({"options": {"variant": "nano", "image_width": 10**6}}, "image_width is 1000000; expected a whole number"),
        ({"options": {"variant": "nano", "heights_m": "abc"}}, "heights_m is 'abc'; expected a list"),
        ({"model": "hd_prior", "options": {"mask_ratio": "a"}}, "mask_ratio is 'a'"),
        ({"options": {"image_size": [352, 128]}}, r"options\.image_size is \[352, 128\], input_size is \[176, 64\]"),
        ({"input_size": [352, 128]}, r"is \[352, 128\], training\.config\.data\.image_size is \[176, 64\]"),
        ({"input_size": [178, 64], "training": {}}, "multiples of 4"),
    ],
)
def test_unfit_cards(card_path, changes, message):
    edit(card_path, **changes)
    with pytest.raises(ArtifactError, match=message):
        load_model(card_path)


def test_an_old_card_that_repeats_its_image_size_loads(card_path):
    edit(card_path, options={**OPTIONS, "image_size": list(SIZE)})
    model, card = load_model(card_path)
    assert model.image_size == SIZE == card.input_size and card.options == OPTIONS


def test_a_card_that_is_no_json(card_path):
    card_path.write_text("hello")
    with pytest.raises(ArtifactError, match="not a model card"):
        load_model(card_path)


def test_a_dot_in_a_name_belongs_to_the_name():
    from mapkd_core.artifact import card_path

    assert [str(card_path(f"d/student.{end}")) for end in ("v1", "v2", "json", "safetensors", "onnx")] == [
        "d/student.v1.json", "d/student.v2.json", "d/student.json", "d/student.json", "d/student.json"
    ]  # fmt: skip


def graph_beside(card_path, data=b"a graph"):
    graph = graph_path(card_path)
    graph.write_bytes(data)
    note_graph(card_path, graph)
    return graph


def test_a_graph_is_the_one_that_its_card_was_written_for(card_path):
    graph = graph_beside(card_path)
    check_graph(card_path, load_card(card_path), graph)
    graph.write_bytes(b"a grapf")
    with pytest.raises(ArtifactError, match=r"tiny\.onnx has SHA-256 .* its card says .*damaged"):
        check_graph(card_path, load_card(card_path), graph)


def test_a_card_knows_all_of_its_graphs(card_path):
    graphs = [graph_path(card_path), graph_path(card_path, "int8")]
    for graph in graphs:
        graph.write_bytes(graph.name.encode())
        note_graph(card_path, graph)
    for graph in graphs:
        check_graph(card_path, load_card(card_path), graph)
    assert set(load_card(card_path).graphs_sha256) == {"onnx", "int8.onnx"}


def test_a_damaged_graph_is_refused_before_a_session_opens_it(card_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    graph = graph_beside(card_path)
    graph.write_bytes(bytes(4096))
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    with pytest.raises(ArtifactError, match="SHA-256"):
        open_runtime(card_path, RuntimeOptions(device="cpu", backend="onnx"))


def test_a_graph_that_its_card_does_not_know_is_refused(card_path):
    graph = graph_path(card_path)
    graph.write_bytes(b"a graph")
    with pytest.raises(ArtifactError, match=r"tiny\.onnx is not on its card: .* mapkd export .*tiny\.json --onnx"):
        check_graph(card_path, load_card(card_path), graph)
    graph_path(card_path, "int8").write_bytes(b"another")
    graph_beside(card_path)
    with pytest.raises(ArtifactError, match=r"tiny\.int8\.onnx is not on its card: .*tiny\.json --int8$"):
        check_graph(card_path, load_card(card_path), graph_path(card_path, "int8"))


def test_new_weights_forget_the_graphs_of_the_old(card_path):
    graph_beside(card_path)
    model, card = load_model(card_path)
    assert save_artifact(card_path, card, model.state_dict()).graphs_sha256 == card.graphs_sha256 != {}
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert save_artifact(card_path, card, model.state_dict()).graphs_sha256 == {}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_graphs_are_those_of_their_cards(name):
    card = load_card(name)
    assert "int8.onnx" in card.graphs_sha256
    check_graph(name, card, graph_path(name, "int8"))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("input_size", [176, "64"], r"input_size\[1\] is '64'; expected a whole number"),
        ("grid", {"x_range_m": [-6, 6], "y_range_m": [-3, 3], "cell_m": 0}, "grid.cell_m is 0"),
        ("std", [0, 1, 1], "std is .* with 0"),
        ("training", {"config": 5}, "training.config is 5"),
        ("options", {"variant": 5}, "5"),
        ("graphs_sha256", ["a"], "graphs_sha256 is"),
    ],
)
def test_a_card_names_the_value_that_does_not_fit(card_path, key, value, words):
    values = json.loads(card_path.read_text())
    card_path.write_text(json.dumps({**values, key: value}))
    with pytest.raises(ArtifactError, match=words):
        load_model(card_path)
