"""Configs: YAML overrides dataclasses, mistakes get a suggestion, every shipped YAML loads."""
from pathlib import Path

import pytest

from mapkd_core.config import TrainConfig, config_dict, load_config, load_config_dict
from mapkd_core.config_keys import difference, keys_of

SHIPPED = sorted((Path(__file__).parents[2] / "config" / "train").rglob("*.yaml"))
SHIPPED = [path for path in SHIPPED if not path.stem.startswith(("distill", "benchmark"))]  # tested with their command


def test_yaml_overrides_defaults_and_the_command_line_overrides_yaml(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("steps: 5\ngrid: {cell_m: 0.3}\ndata: {image_size: [176, 64]}\n")
    config = load_config(TrainConfig, path, ["--data.workers", "2", "--steps=7"])
    assert (config.steps, config.grid.cell_m, config.data.workers) == (7, 0.3, 2)
    assert config.data.image_size == (176, 64)
    assert config.clip_norm == TrainConfig().clip_norm


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate: 1", "unknown key 'lerning_rate', did you mean 'learning_rate'"),
        ("data: {trian: x}", "did you mean 'train'"),
        ("steps: many", "steps"),
        ("schedule: linear", "expected one of"),
        ("- 1", "expected keys and values"),
        ("steps: [", "not YAML"),
        ("grid: {cell_m: 0.7}", "whole number of cells"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_config(TrainConfig, path)


def test_unknown_override_gets_a_suggestion():
    with pytest.raises(ValueError, match="did you mean 'workers'"):
        load_config(TrainConfig, None, ["--data.workrs", "1"])


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml does not exist; expected a config"):
        load_config(TrainConfig, "nowhere.yaml")


def test_plain_values_round_trip():
    config = load_config(TrainConfig, None, ["--loss.dice", "0.5", "--model_options", "{variant: nano}"])
    assert load_config_dict(TrainConfig, config_dict(config)) == config


def test_difference_names_the_keys():
    a, b = config_dict(TrainConfig()), config_dict(load_config(TrainConfig, None, ["--loss.dice", "1.0"]))
    assert difference(a, b) == ["loss.dice: 0.0 -> 1.0"]
    assert difference(a, a) == []


def test_an_old_key_is_read_under_its_new_name_with_a_notice(tmp_path, caplog):
    path = tmp_path / "old.yaml"
    path.write_text("augment: {picture_dropout: 0.25}\n")
    assert load_config(TrainConfig, path).augment.image_dropout == 0.25
    assert load_config(TrainConfig, None, ["--augment.picture_dropout", "0.5"]).augment.image_dropout == 0.5
    assert load_config(TrainConfig, None, ["--augment.picture_dropout=0.5"]).augment.image_dropout == 0.5
    assert len([r for r in caplog.records if "augment.image_dropout now" in r.getMessage()]) == 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_config_loads_without_a_notice(path, caplog):
    assert load_config(TrainConfig, path).steps > 0
    assert not caplog.records


TWICE = "model_options: {{variant: nano, image_size: {}}}\ndata: {{image_size: [176, 64]}}\n"


def test_an_image_size_that_an_old_config_repeats_is_dropped_with_a_notice(tmp_path, caplog):
    path = tmp_path / "old.yaml"
    path.write_text(TWICE.format([176, 64]))
    config = load_config(TrainConfig, path)
    assert config.model_options == {"variant": "nano"} and config.data.image_size == (176, 64)
    (notice,) = caplog.records
    assert "old.yaml: model_options.image_size can go" in notice.getMessage()
    caplog.clear()  # a run's own record of its config is not the user's to change
    load_config_dict(TrainConfig, {**config_dict(config), "model_options": {"image_size": [176, 64]}})
    assert not caplog.records


@pytest.mark.parametrize("override", [[], ["--data.image_size", "[352, 128]"], ["--data.image_size", "[88, 32]"]])
def test_two_image_sizes_that_differ_are_refused_by_both_names(tmp_path, override):
    path = tmp_path / "two.yaml"
    path.write_text(TWICE.format([176, 64] if override else [352, 128]))
    with pytest.raises(ValueError, match=r"two\.yaml: model_options\.image_size is .*, data\.image_size is \["):
        load_config(TrainConfig, path, override)


def test_an_image_size_has_a_width_and_a_height():
    for size in ("[352]", "[0, 128]"):
        with pytest.raises(ValueError, match=r"data\.image_size"):
            load_config(TrainConfig, None, ["--data.image_size", size])


def test_a_run_stays_in_its_folder():
    for name in ("", "../x", "a/../../x", "/tmp/x"):
        with pytest.raises(ValueError, match="expected a relative path"):
            TrainConfig(name=name)
    assert TrainConfig(name="plan/row", out="runs").folder().as_posix() == "runs/plan/row"


@pytest.mark.parametrize(("text", "words"), [
    ("", "is empty; expected keys and values"),
    ("# steps: 7\n", "is empty; expected keys and values"),
    ("steps:\n", "steps has no value; give it one"),
    ("data: {workers: }", r"data\.workers has no value"),
    ("clip_norm: -1", "clip_norm is -1.0; expected at least 0"),
    ("ema: 1", "ema is 1.0; expected a number from 0 to below 1"),
    ("learning_rate: 0", "learning_rate is 0.0; expected a number above 0"),
    ("learning_rate: .nan", "learning_rate is nan"),
    ("warmup_steps: -1", "warmup_steps is -1; expected at least 0"),
    ("devices: 0", "devices is 0; expected at least 1"),
    ("data: {workers: -1}", r"data\.workers is -1; expected at least 0"),
    ("seed: -1", "seed is -1"),
    ("augment: {camera_dropout: 30}", r"augment\.camera_dropout is 30.0; expected a number from 0 to 1"),
    ("augment: {yaw_degrees: .inf}", r"augment\.yaw_degrees is inf"),
    ("loss: {dice: -0.5}", r"loss\.dice is -0.5"),
    ("loss: {class_weight: [1, -1, 1]}", r"loss\.class_weight is \(1.0, -1.0, 1.0\); expected at least 0"),
])  # fmt: skip
def test_a_config_that_would_teach_nonsense_is_refused(tmp_path, text, words):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        load_config(TrainConfig, path)
    assert "c.yaml" in str(error.value)


def test_the_printed_config_is_read_back(tmp_path):
    from mapkd_core.config import yaml_text

    path = tmp_path / "c.yaml"
    path.write_text(yaml_text(TrainConfig(steps=7)))
    assert load_config(TrainConfig, path) == TrainConfig(steps=7)
    shown = {key.name: key.shown_default() for key in keys_of(TrainConfig)}
    assert (shown["steps"], shown["data.workers"], shown["data.unlabelled"]) == ("10000", "0", "''")


def test_every_key_has_a_type_and_a_meaning():
    from mapkd_core.distill.config import DistillConfig

    keys = keys_of(DistillConfig)
    assert len(keys) > 50 and [key.name for key in keys if not (key.type and key.meaning)] == []
    assert next(key for key in keys if key.name == "grid.cell_m").meaning == "Edge length of a cell."
    assert next(key for key in keys if key.name == "data.image_size").type == "tuple[int, int]"
