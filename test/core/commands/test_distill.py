"""`mapkd distill`: its configs load, networks are found by place, mistakes are named before training."""
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distill_bench import STUDENT, config
from toy import SIZE, ToySamples

from mapkd_core.commands.main import main
from mapkd_core.config import DataConfig, config_dict, load_config
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.interface import method_config
from mapkd_core.distill.methods import METHODS, method_class
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training

SHIPPED = sorted((Path(__file__).parents[3] / "config" / "train").rglob("distill*.yaml"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A student is a teacher too: a folder of a run and its artifact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "open_samples", lambda spec, config: ToySamples())
        plan = config(name="teacher", out=str(tmp_path_factory.mktemp("runs")), method="none", teacher="", steps=1,
                      batch_size=2, data=DataConfig(image_size=SIZE))
        folder = training.train(plan)
    assert main(["export", str(folder), "--out", str(folder.parent / "teacher.json")]) == 0
    return folder


@pytest.fixture
def yaml_file(tmp_path, teacher, monkeypatch):
    import yaml

    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples())
    plan = config(name="run", out=str(tmp_path), method="kd_logit", teacher=str(teacher), steps=1, batch_size=2,
                  data=DataConfig(image_size=SIZE))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config_dict(plan)))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_config_loads(path):
    plan = load_config(DistillConfig, path)
    assert plan.steps > 0 and plan.teacher
    method_config(method_class(plan.method).Config, plan.method_options, plan.method)


def test_there_are_shipped_configs():
    assert len(SHIPPED) >= 3


@pytest.mark.parametrize("place", ["run", "artifact"])
def test_it_distils_from_a_run_and_from_an_artifact(place, yaml_file, teacher, tmp_path):
    where = str(teacher) if place == "run" else str(teacher.parent / "teacher.json")
    assert main(["distill", "--config", str(yaml_file), "--teacher", where]) == 0
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert saved["step"] == 1 and saved["config"]["teacher"] == where
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "a.json")]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "brigdeta"], "did you mean 'bridgeta'"),
        (["--method_options", "{respons_weight: 1.0}"], "did you mean 'response_weight'"),
        (["--teacher", "nowhere"], "nowhere holds no best.pt"),
        (["--tacher", "x"], "did you mean 'teacher'"),
        (["--data.image_size", "[64, 48]"], "one size (methods that do not: none, kd_mse, balanced,"),
        (["--grid.cell_m", "0.6"], "needs networks of one size"),
        (["--grid.cell_m", "0.6", "--method", "balanced"], "must be a whole multiple"),
        (["--calibrate_steps", "-1"], "expected 0"),
        (["--method", "mapkd"], "needs a coach and there is none"),
    ],
)
def test_mistakes_are_named(words, message, yaml_file, capsys):
    assert main(["distill", "--config", str(yaml_file), *words]) == 2
    assert message in capsys.readouterr().err


def test_methods_are_listed(capsys):
    assert main(["distill", "--methods"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name}" in f"\n{shown}" for name in METHODS) and "response_teacher_weight: 0.75" in shown


def test_a_distillation_config_is_a_training_config():
    plan = config()
    assert replace(plan, method="none", teacher="").steps == plan.steps and plan.model_options == STUDENT
