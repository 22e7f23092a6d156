"""Checkpoints: atomic, safe to read, bound to their config."""
import copy
import pickle

import pytest
import torch
from full_disk import files_of_at_most

from mapkd_core.config import TrainConfig, config_dict
from mapkd_core.distill.config import DistillConfig
from mapkd_core.schema import FileFault
from mapkd_core.training.checkpoint import claim_run_folder, load_checkpoint, save_checkpoint
from mapkd_core.training.trained import trained_network


def test_round_trip(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"step": 3, "w": torch.arange(4.0), "config": {"x": [1, "y"]}})
    state = load_checkpoint(tmp_path / "a.pt")
    assert state["step"] == 3 and torch.equal(state["w"], torch.arange(4.0)) and state["config"] == {"x": [1, "y"]}
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_single_changed_bit_is_refused(tmp_path, place):
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"step": 3, "w": torch.arange(4000.0)})
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 4
    path.write_bytes(data)
    with pytest.raises(FileFault, match=r"a\.pt is not a checkpoint of this software, or damaged .*checksum"):
        load_checkpoint(path)


def test_a_full_disk_names_the_file_and_keeps_the_old_checkpoint(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 3})
    with files_of_at_most(20_000), pytest.raises(OSError, match=r"File too large: '.*last\.pt'"):
        save_checkpoint(path, {"step": 4, "w": torch.zeros(10_000)})
    assert load_checkpoint(path) == {"step": 3} and [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_a_checkpoint_of_something_else_is_refused_by_what_lacks(tmp_path):
    save_checkpoint(tmp_path / "best.pt", {"step": 1, "best": 0.5, "network": {}})
    with pytest.raises(FileFault, match=r"best\.pt is not a checkpoint .* the key 'config'"):
        trained_network(tmp_path)
    values = config_dict(TrainConfig())
    save_checkpoint(tmp_path / "best.pt", {"step": 1, "best": 0.5, "config": values, "average": {}, "network": {}})
    with pytest.raises(FileFault, match=r"best\.pt does not fit its own config .*Missing key.*start anew"):
        trained_network(tmp_path)


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"data": 5}', '{"data": {"image_size": 5}}', '{"model_options": 1}', '{"nodes": 0}']
)
def test_a_damaged_config_beside_a_run_is_told(tmp_path, content):
    claim_run_folder(tmp_path, {"lr": 1})
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(FileFault, match=r"config\.json is not the config of a run: .*--restart"):
        claim_run_folder(tmp_path, {"lr": 1})


class Evil:
    def __reduce__(self):
        return (print, ("unpickled code ran",))


def test_code_in_a_file_never_runs(tmp_path, capsys):
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"step": Evil()}))
    torch.save({"step": 1, "best": Evil()}, tmp_path / "b.pt")  # a whole file of PyTorch's own form
    for name in ("a.pt", "b.pt"):
        with pytest.raises(ValueError, match="not a checkpoint"):
            load_checkpoint(tmp_path / name)
    assert "ran" not in capsys.readouterr().out


def test_another_config_is_refused_with_the_difference(tmp_path):
    assert claim_run_folder(tmp_path / "run", {"lr": 1, "steps": 5, "val_every": 2}) is False
    save_checkpoint(tmp_path / "run" / "last.pt", {"step": 1})
    assert claim_run_folder(tmp_path / "run", {"lr": 1, "steps": 5, "val_every": 9}) is True
    with pytest.raises(ValueError, match="lr: 1 -> 2"):
        claim_run_folder(tmp_path / "run", {"lr": 2, "steps": 5, "val_every": 2})
    assert claim_run_folder(tmp_path / "run", {"lr": 2, "steps": 5, "val_every": 2}, restart=True) is False


def test_an_old_run_that_repeats_its_image_size_resumes(tmp_path):
    def config(data, *options):
        repeated = {"image_size": [options[0], 64]} if options else {}
        return {"data": {"image_size": [data, 64]}, "model_options": repeated}

    claim_run_folder(tmp_path / "run", config(176, 176))
    save_checkpoint(tmp_path / "run" / "last.pt", {"step": 1})
    assert claim_run_folder(tmp_path / "run", config(176)) is True
    claim_run_folder(tmp_path / "blind", config(352, 176))
    save_checkpoint(tmp_path / "blind" / "last.pt", {"step": 1})
    with pytest.raises(ValueError, match=r"model_options\.image_size is \[176, 64\], data\.image_size is \[352, 64\]"):
        claim_run_folder(tmp_path / "blind", config(352))


def test_a_run_that_knew_fewer_keys_of_data_resumes_unless_one_is_changed(tmp_path):
    config = config_dict(TrainConfig())
    before = {**config, "data": {k: v for k, v in config["data"].items() if k != "lidar_points"}}
    claim_run_folder(tmp_path, before)
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    with pytest.raises(ValueError, match=r"data\.lidar_points: \(absent\) -> 9"):
        claim_run_folder(tmp_path, {**config, "data": {**config["data"], "lidar_points": 9}})
    with pytest.raises(ValueError, match=r"data\.val: .* -> elsewhere"):
        claim_run_folder(tmp_path, {**config, "data": {**config["data"], "val": "elsewhere"}})
    assert claim_run_folder(tmp_path, config)


@pytest.mark.parametrize("key", ["teacher_precision", "precision", "augment.shift_m"])
def test_a_run_that_knew_fewer_keys_resumes_unless_one_is_changed(tmp_path, key):
    config = config_dict(DistillConfig())
    group, _, inner = key.rpartition(".")
    before, changed = (copy.deepcopy(config) for _ in range(2))
    del (before[group] if group else before)[inner]
    (changed[group] if group else changed)[inner] = "another"
    claim_run_folder(tmp_path, before)
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    with pytest.raises(ValueError, match=rf"{key}: \(absent\) -> another"):
        claim_run_folder(tmp_path, changed)
    assert claim_run_folder(tmp_path, config)


def test_a_checkpoint_of_two_image_sizes_is_refused(tmp_path):
    values = {**config_dict(TrainConfig()), "model_options": {"image_size": [176, 64]}}
    save_checkpoint(tmp_path / "best.pt", {"step": 1, "best": 0.5, "config": values, "average": {}, "network": {}})
    with pytest.raises(ValueError, match=r"best\.pt: model_options\.image_size is .* data\.image_size is \[352, 128\]"):
        trained_network(tmp_path)


def test_a_run_killed_before_its_first_checkpoint_is_not_overwritten_in_silence(tmp_path):
    folder = tmp_path / "run"
    claim_run_folder(folder, {"lr": 1})
    claim_run_folder(folder, {"lr": 2})  # nothing was written yet
    (folder / "log").mkdir()
    with pytest.raises(ValueError, match=r"another config \(lr: 2 -> 1\); .*--restart"):
        claim_run_folder(folder, {"lr": 1})
    claim_run_folder(folder, {"lr": 1}, restart=True)
    assert not (folder / "log").exists()


def test_results_without_a_config_belong_to_nobody(tmp_path):
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    assert claim_run_folder(tmp_path, config_dict(TrainConfig())) and (tmp_path / "config.json").exists()


def test_another_config_is_told_in_a_line_of_bearable_length(tmp_path):
    theirs = {"lr": "x" * 5000, **{f"key{i}": 1 for i in range(40)}}
    claim_run_folder(tmp_path, theirs)
    (tmp_path / "log").mkdir()
    with pytest.raises(ValueError, match=r"another config \(.*; and 33 more\)") as refusal:
        claim_run_folder(tmp_path, {"lr": 1})
    assert len(str(refusal.value)) < 1200


def test_loader_processes_may_change_unless_the_order_follows_from_them(tmp_path):
    for train, free in (("cache:caches/train", True), ("cache:https://example.org/train", False)):
        folder = tmp_path / str(free)
        claim_run_folder(folder, {"data": {"train": train, "workers": 0}})
        save_checkpoint(folder / "last.pt", {"step": 1})
        if free:
            assert claim_run_folder(folder, {"data": {"train": train, "workers": 2}})
        else:
            with pytest.raises(ValueError, match=r"data\.workers: 0 -> 2"):
                claim_run_folder(folder, {"data": {"train": train, "workers": 2}})


def test_other_numbers_of_processes_keep_the_samples_of_a_step(tmp_path):
    """Eight samples a step by one process, or two by each of four: the same run. Anything else is another one."""
    config = {"batch_size": 8, "devices": 1, "nodes": 1, "steps": 5, "data": {"train": "a", "workers": 0}}
    claim_run_folder(tmp_path, config)
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    assert claim_run_folder(tmp_path, {**config, "batch_size": 2, "devices": 2, "nodes": 2})
    with pytest.raises(ValueError, match=r"have 8 samples, now they would have 16 \(devices: 2 -> 8.*batch_size is 8"):
        claim_run_folder(tmp_path, {**config, "batch_size": 2, "devices": 8, "nodes": 1})
    with pytest.raises(ValueError, match="batch_size: 2 -> 4"):
        claim_run_folder(tmp_path, {**config, "batch_size": 4})


@pytest.mark.parametrize(("train", "free"), [("cache:caches/train", True), ("cache:https://example.org/train", False)])
def test_a_streamed_run_keeps_its_processes_even_where_a_step_has_as_many_samples(tmp_path, train, free):
    config = {"data": {"train": train}, "batch_size": 4, "devices": 1, "nodes": 1}
    claim_run_folder(tmp_path, config)
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    shared = {**config, "batch_size": 2, "devices": 2}
    if free:
        assert claim_run_folder(tmp_path, shared)
    else:
        with pytest.raises(ValueError, match="holds a run under another config"):
            claim_run_folder(tmp_path, shared)


@pytest.mark.parametrize("state", [{"best": 0.5}, {"step": "7"}])
def test_a_file_without_a_step_is_no_training_state(tmp_path, state):
    save_checkpoint(tmp_path / "a.pt", state)
    with pytest.raises(ValueError, match="holds no training state"):
        load_checkpoint(tmp_path / "a.pt")
