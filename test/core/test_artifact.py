"""Artifacts: round trip, and every way in which one can be unfit."""
import json

import pytest
import torch

from mapkd_core.artifact import SHIPPED, ArtifactError, ModelCard, load_card, load_model, save_artifact
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.runtime import BELONGS_TO, graph_path

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


def test_the_weights_path_does_as_well(card_path):
    assert load_card(card_path.with_suffix(".safetensors")).name == "tiny"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_students_go_by_their_names(name):
    onnx = pytest.importorskip("onnx", reason="needs: pip install '.[export]'")
    model, card = load_model(name)
    assert (card.name, card.options["variant"]) == (f"student-{name}", name)
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
