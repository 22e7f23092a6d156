"""Blending: every weight lies between, whole numbers stay the run's, other networks are refused."""
import pytest
import torch
from tiny_student import GRID, OPTIONS, SIZE, save_tiny_student

from mapkd_core.artifact import ModelCard, load_card, load_model, save_artifact
from mapkd_core.commands.main import main
from mapkd_core.model.build import build_model
from mapkd_core.training.blending import blend


@pytest.fixture
def two(tmp_path):
    """Cards of two networks of one kind."""
    folders = tmp_path / "one", tmp_path / "other"
    return [save_tiny_student(folder, seed) for seed, folder in enumerate(folders)]


def test_every_weight_lies_between(two):
    (network, _), (other, _) = map(load_model, two)
    for count in (b for b in network.buffers() if not b.is_floating_point()):
        count.fill_(3)  # batches that the run's norms have seen; the other one's are none
    own, theirs = ({k: v.clone() for k, v in n.state_dict().items()} for n in (network, other))
    words = blend(network, two[1], 0.25)
    after = network.state_dict()
    moved = 0
    for name, value in after.items():
        if value.is_floating_point():
            assert torch.allclose(value, 0.75 * own[name] + 0.25 * theirs[name], atol=1e-6), name
            moved += not torch.equal(value, own[name])
        else:
            assert torch.equal(value, own[name]), name
    assert moved > 20 and any("running_var" in name for name in after)
    assert words == f"0.25 of tiny 1 ({load_card(two[1]).weights_sha256[:12]}), the rest of the run"


def test_the_ends_are_the_networks(two):
    for share, expected in ((0, two[0]), (1, two[1])):
        network, _ = load_model(two[0])
        blend(network, two[1], share)
        wanted = load_model(expected)[0].state_dict()
        assert all(torch.equal(v, wanted[k]) for k, v in network.state_dict().items() if v.is_floating_point())


def test_another_network_and_other_shares_are_refused(two, tmp_path):
    options = {**OPTIONS, "bev_width": 16}
    wider = build_model("student", GRID, SIZE, options)
    save_artifact(tmp_path / "w.json", ModelCard("w", "1", "student", options, GRID, SIZE), wider.state_dict())
    network, _ = load_model(two[0])
    with pytest.raises(ValueError, match="holds another network than the run"):
        blend(network, tmp_path / "w.json", 0.5)
    with pytest.raises(ValueError, match=r"a share of 1\.5"):
        blend(network, two[1], 1.5)


def test_an_artifact_of_both_says_so_on_its_card(two, tmp_path, capsys):
    out = tmp_path / "both.json"
    assert main(["export", str(two[0]), "--out", str(out), "--no-onnx", "--blend", f"{two[1]}=0.5"]) == 0
    assert load_card(out).training["blend"].startswith("0.5 of tiny 1 (")
    mixed, own = load_model(out)[0].state_dict(), load_model(two[0])[0].state_dict()
    assert any(not torch.equal(mixed[name], value) for name, value in own.items())
    with pytest.raises(SystemExit):
        main(["export", str(two[0]), "--out", str(out), "--blend", "half"])
    assert "is not CARD=SHARE" in capsys.readouterr().err
