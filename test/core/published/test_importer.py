"""What an import refuses, and what it writes on the card; small tensors stand for a network's."""
import json
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from mapkd_core.artifact import load_card
from mapkd_core.commands.main import main
from mapkd_core.grid import GRID_120X60
from mapkd_core.published import importer
from mapkd_core.published.importer import import_checkpoint
from mapkd_core.published.key_table import KeyTable
from mapkd_core.published.networks import HDMAPNET, NETWORKS, PublishedNetwork

ALL = ("semantic", "embedding", "direction")


def named(name, outputs=ALL):
    """A state dict with all the names of a network and a number under each."""
    table = NETWORKS[name].table(outputs)
    taken = {key for source in table.taken.values() for key in (source.theirs, source.other) if key}
    return OrderedDict((key, torch.zeros(1)) for key in sorted(taken | table.unused.keys()))


def refused(state, name, tmp_path, grid="60x30", wrapper=lambda state: state):
    torch.save(wrapper(state), tmp_path / "authors.pt")
    with pytest.raises(ValueError) as error:
        import_checkpoint(tmp_path / "authors.pt", name, tmp_path / "ours.json", grid)
    assert not (tmp_path / "ours.json").exists() and not (tmp_path / "ours.safetensors").exists()
    return str(error.value)


def test_missing_and_left_over_names_are_listed(tmp_path):
    state = named("hdmapnet")
    del state["bevencode.conv1.weight"], state["camencode.trunk._bn0.bias"]
    state |= {f"decoder.{k}.weight": torch.zeros(1) for k in range(10)}
    line = refused(state, "hdmapnet", tmp_path)
    assert "does not hold hdmapnet: 2 missing: bevencode.conv1.weight, camencode.trunk._bn0.bias; " in line
    assert "10 left over: decoder.0.weight, " in line and line.endswith("decoder.7.weight and 2 more")


@pytest.mark.parametrize(
    ("holds", "given"), [("coach", "coach_sd"), ("hdmapnet", "mapkd_student"), ("pmapnet_cl_sd", "pmapnet_c_sd")]
)
def test_what_the_file_holds_instead_is_said(holds, given, tmp_path):
    assert f"it does hold {holds}: give --as {holds}" in refused(named(holds), given, tmp_path)


def test_half_a_head_is_missing_not_overlooked(tmp_path):
    state = named("hdmapnet")
    del state["bevencode.up1_embedded.conv.0.weight"]
    assert "1 missing: bevencode.up1_embedded.conv.0.weight" in refused(state, "hdmapnet", tmp_path)


def test_directions_without_instances_are_refused(tmp_path):
    state = named("hdmapnet")
    state = OrderedDict((key, value) for key, value in state.items() if "_embedded" not in key)
    assert "direction head reads the embedding's layers" in refused(state, "hdmapnet", tmp_path)


def test_the_prefix_of_data_parallel_comes_off_where_every_name_has_it(tmp_path):
    state = named("coach_sd")
    del state["input_proj.bias"]
    prefixed = OrderedDict((f"module.{key}", value) for key, value in state.items())
    assert "1 missing: input_proj.bias; nothing left over" in refused(prefixed, "coach_sd", tmp_path)
    mixed = OrderedDict([*prefixed.items(), ("extra.weight", torch.zeros(1))])
    assert "start with 'module.', extra.weight does not" in refused(mixed, "coach_sd", tmp_path)


def test_a_grid_must_be_said_where_the_file_does_not(tmp_path):
    assert "give --grid 60x30 or 120x60" in refused(named("hdmapnet"), "hdmapnet", tmp_path, grid="")
    assert "--grid 90x30 is not one of 60x30, 120x60" in refused(named("hdmapnet"), "hdmapnet", tmp_path, "90x30")


def test_a_coach_says_its_grid_itself(tmp_path):
    state = named("coach_sd")
    state |= {"pp.dx": torch.tensor([0.3, 0.3, 20.0]), "pp.bx": torch.tensor([-59.85, -29.85, 0.0]),
              "pp.nx": torch.tensor([400, 200, 1]), "pp.frustum": torch.arange(4.0, 45).reshape(-1, 1, 1, 1)}
    assert importer.grid_in(state) == GRID_120X60
    assert "--grid 60x30: " in refused(state, "coach_sd", tmp_path)
    state["pp.nx"] = torch.tensor([800, 200, 1])
    assert "this version knows 60x30, 120x60" in refused(state, "coach_sd", tmp_path, "")
    state["pp.frustum"] = torch.arange(1.0, 42).reshape(-1, 1, 1, 1)
    assert "depths of 4, 5, ... 44 m" in refused(state, "coach_sd", tmp_path, "")


def test_a_weight_of_another_shape_or_not_finite_is_named(tmp_path):
    assert "expected what becomes torch.float32" in refused(named("hdmapnet"), "hdmapnet", tmp_path)


def test_a_network_that_is_not_known(tmp_path, capsys):
    assert main(["import", str(tmp_path / "a.pt"), "--as", "hdmapnett", "--out", str(tmp_path / "b.json")]) == 2
    assert "mean 'hdmapnet'" in capsys.readouterr().err


def test_maptrv2_on_other_cells_is_refused(tmp_path):
    state, encoder = named("maptrv2"), "pts_bbox_head.transformer.encoder"
    state |= {f"{encoder}.dx": torch.tensor([0.15, 0.15, 20.0]), f"{encoder}.bx": torch.tensor([-14.925, -29.925, 0.0]),
              f"{encoder}.nx": torch.tensor([200.0, 800.0, 1.0])}
    line = refused(state, "maptrv2", tmp_path, grid="")
    assert f"{encoder}.nx is [200.0, 800.0, 1.0]" in line and "60 x 30 m at 0.15 m" in line


def test_a_student_of_the_package_is_not_replaced(tmp_path):
    with pytest.raises(ValueError, match="names a student that ships with the package"):
        import_checkpoint(tmp_path / "a.pt", "hdmapnet", "nano", "60x30")


class Anything:
    pass


def test_objects_are_not_unpickled_and_the_remedy_is_told(tmp_path):
    line = refused({"state_dict": named("hdmapnet"), "config": Anything()}, "hdmapnet", tmp_path)
    assert "Anything" in line and "holds the object" in line and "save_file" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda path: path.write_bytes(b"not a checkpoint"), "is no checkpoint of PyTorch"),
        (lambda path: torch.save({"epoch": 3}, path), "'epoch' is int"),
        (lambda path: torch.save([torch.zeros(2)], path), "holds no weights"),
        (lambda path: torch.save({"a": torch.zeros(2).to_sparse()}, path), "layout torch.sparse_coo"),
    ],
)
def test_files_that_are_no_weights(content, words, tmp_path):
    content(tmp_path / "authors.pt")
    with pytest.raises(ValueError, match=words):
        import_checkpoint(tmp_path / "authors.pt", "hdmapnet", tmp_path / "ours.json", "60x30")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*absent\.pt"):
        import_checkpoint(tmp_path / "absent.pt", "hdmapnet", tmp_path / "ours.json", "60x30")


def table_of_a_student(outputs):
    """Names for a tiny student of ours, as if others had published it."""
    from tiny_student import GRID, OPTIONS, SIZE

    from mapkd_core.model.build import build_model

    table = KeyTable()
    for key in build_model("student", GRID, SIZE, OPTIONS).state_dict():
        place, _, last = key.rpartition(".")
        table.take(place, f"net.{place}", (last,))
    table.leave("net.extra", ("weight",), "not called")
    return table


@pytest.fixture()
def tiny_published(monkeypatch):
    from tiny_student import GRID, OPTIONS, SIZE

    network = PublishedNetwork("student", table_of_a_student, HDMAPNET, "", SIZE, OPTIONS)
    monkeypatch.setattr(importer, "NETWORKS", {"tiny": network})
    monkeypatch.setattr(importer, "GRIDS", {"60x30": GRID})
    monkeypatch.setattr(importer, "_options", lambda network, outputs: dict(network.options))
    from mapkd_core.model.build import build_model

    torch.manual_seed(1)
    state = build_model("student", GRID, SIZE, OPTIONS).state_dict()
    return {f"net.{key}": value for key, value in state.items()} | {"net.extra.weight": torch.zeros(3)}


@pytest.mark.parametrize("kind", ["bare", "mmcv", "safetensors", "old format", "half precision", "without counters"])
def test_every_envelope_gives_the_same_weights(kind, tiny_published, tmp_path):
    path = tmp_path / ("authors.safetensors" if kind == "safetensors" else "authors.pth")
    state, exact = OrderedDict(tiny_published), kind != "half precision"
    if kind == "half precision":
        state = OrderedDict((key, v.half() if v.is_floating_point() else v) for key, v in state.items())
    if kind == "without counters":
        state = OrderedDict((key, v) for key, v in state.items() if "num_batches" not in key)
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "mmcv":
        meta = {"epoch": 24, "time": "now", "CLASSES": ["divider"], "env_info": "a text"}
        torch.save({"meta": meta, "state_dict": state, "optimizer": {"state": {0: {"step": 3}}}}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind != "old format")
    imported = import_checkpoint(path, "tiny", tmp_path / "ours.json", "60x30", licence="as told")
    from safetensors.torch import load_file

    written = load_file(tmp_path / "ours.safetensors")
    for key, value in tiny_published.items():
        if key != "net.extra.weight":
            mine = written[key.removeprefix("net.")]
            assert mine.dtype == value.dtype, "weights stay float32"
            assert torch.equal(mine, value) if exact else torch.allclose(mine, value, atol=1e-2), key
    about = load_card(tmp_path / "ours.json").training["imported"]
    assert about["file"] == path.name and about["licence_of_weights"] == "as told"
    assert about["source"]["licence"] == "GPL-3.0" and len(about["sha256"]) == 64
    assert imported.unused == {"not called": 1}
    assert ("meta" in about["envelope"]) == (kind == "mmcv")


def test_numbers_that_are_not_finite_are_refused(tiny_published, tmp_path):
    key = next(key for key, value in tiny_published.items() if value.ndim == 4)
    tiny_published[key].view(-1)[7] = float("nan")
    line = refused(tiny_published, "tiny", tmp_path)
    assert f"{key} holds numbers that are not finite" in line


def test_a_written_file_that_differs_is_noticed(tiny_published, tmp_path, monkeypatch):
    save = importer.save_artifact
    spoilt = lambda state: {key: value + 1 if value.ndim == 4 else value for key, value in state.items()}  # noqa: E731
    monkeypatch.setattr(importer, "save_artifact", lambda out, card, state, half: save(out, card, spoilt(state), half))
    torch.save(tiny_published, tmp_path / "authors.pt")
    with pytest.raises(ValueError, match="does not hold what the file does"):
        import_checkpoint(tmp_path / "authors.pt", "tiny", tmp_path / "ours.json", "60x30")


def test_the_card_says_that_the_licence_is_not_confirmed(tiny_published, tmp_path):
    torch.save(tiny_published, tmp_path / "authors.pt")
    import_checkpoint(tmp_path / "authors.pt", "tiny", tmp_path / "ours.json", "60x30")
    about = json.loads((tmp_path / "ours.json").read_text())["training"]["imported"]
    assert "not confirmed" in about["licence_of_weights"]
