"""Stages of training, as a user meets them: commands, configs and what is said when one is missing."""
import re
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from toy import SIZE, ToySamples

from mapkd_core.commands.main import main
from mapkd_core.training import batches as loading
from mapkd_core.training import stages
from mapkd_core.training.stages import check_stages, start_from

ROOT = Path(__file__).parents[3]
RECIPES = sorted((ROOT / "config" / "train").rglob("*.yaml"))
TOY = {
    "out": "runs", "grid": {"x_range_m": [-12.0, 12.0], "y_range_m": [-6.0, 6.0], "cell_m": 0.3},
    "data": {"image_size": list(SIZE), "sd_map": False}, "steps": 2, "batch_size": 2, "val_every": 2,
    "accelerator": "cpu",
}  # fmt: skip
NARROW = {
    "encoder": "small", "camera_channels": 8, "view": "pillars", "bev_width": 8,
    "mae_dim": 16, "mae_layers": 1, "mae_heads": 2,
}  # fmt: skip


@pytest.fixture
def three_recipes(tmp_path, monkeypatch):
    """A project with the three stages' configs, where the toy data stand for everything."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples())
    folder = tmp_path / "config" / "train" / "toy"
    folder.mkdir(parents=True)
    sensors = {"model": "hdmapnet", "init": []}
    joint = {"model": "pmapnet_c_sd_hd", "init": ["runs/toy/sensors", "runs/toy/prior"]}
    for name, values in (("prior", {"model": "hd_prior"}), ("sensors", sensors), ("joint", joint)):
        options = {**NARROW, "sd_prior": False} if name == "joint" else NARROW
        recipe = {**TOY, "name": f"toy/{name}", "model_options": options, **values}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))


def test_the_commands_that_are_told_lead_to_the_last_stage(three_recipes, capsys):
    last = ["train", "--config", "config/train/toy/joint.yaml"]
    assert main(last) == 2
    told = capsys.readouterr().err
    assert "runs/toy/sensors and runs/toy/prior, which have not been trained" in told
    commands = re.findall(r"mapkd (train --config \S+)\n", told)
    assert commands == [f"train --config config/train/toy/{name}.yaml" for name in ("sensors", "prior")]
    assert not Path("runs/toy/joint").exists()
    for command in commands:
        assert main(command.split()) == 0
    assert main(last) == 0
    assert Path("runs/toy/joint/best.pt").exists()


def test_stages_of_stages_come_first(three_recipes):
    path = Path("config/train/toy/sensors.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "init": ["runs/toy/prior"]}))
    with pytest.raises(FileNotFoundError) as told:
        check_stages(["elsewhere/toy/sensors"])
    assert re.findall(r"mapkd (.*)\n", str(told.value)) == [
        "train --config config/train/toy/prior.yaml", "train --config config/train/toy/sensors.yaml --out elsewhere"
    ]


def test_recipes_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = ROOT / "config" / "train" / "small" / "teacher.yaml"
    assert list(stages._commands("runs/small/teacher"))[-1] == f"mapkd train --config {recipe}"


def test_a_stage_without_recipe_and_a_card(three_recipes):
    with pytest.raises(FileNotFoundError, match=r"--config YAML --out mine --name unknown"):
        check_stages(["mine/unknown"])
    with pytest.raises(FileNotFoundError, match=r"mapkd export RUN --out mine/coach\.json"):
        check_stages(["mine/coach.json"])


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: str(p.relative_to(ROOT / "config" / "train")))
def test_shipped_recipes_name_stages_that_have_recipes(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = path.read_text()
    keys = re.findall(r"^(\w+):", text, re.M)
    assert len(keys) == len(set(keys)), "a key stands twice; YAML would silently take the last"
    for stage in yaml.safe_load(text).get("init", []):
        assert stages.is_trained(stage) or "YAML:" not in "".join(stages._commands(stage)), stage


def test_a_stage_gives_what_has_the_same_name_and_shape(monkeypatch):
    """The rest stays as it was drawn."""
    stage, network = (nn.Sequential(nn.Linear(2, 3), nn.Linear(3, last)) for last in (5, 4))
    monkeypatch.setattr("mapkd_core.training.stages.check_stages", lambda init: None)
    monkeypatch.setattr("mapkd_core.training.trained.load_trained", lambda place: (stage, None))
    drawn = network[1].weight.clone()
    assert start_from(network, "runs/a") == ["0.bias", "0.weight"]
    assert torch.equal(network[0].weight, stage[0].weight) and torch.equal(network[1].weight, drawn)
    with pytest.raises(ValueError, match="has no parameter in common"):
        start_from(nn.Conv2d(1, 1, 1), "runs/a")
