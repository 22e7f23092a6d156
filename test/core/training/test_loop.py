"""The training loop: it learns, resumes to the same losses, refuses another config, and stops at nonsense."""
import re
from dataclasses import replace

import pytest
import torch
from killed_runs import killed_after
from toy import SIZE, ToySamples

from mapkd_core.artifact import load_model
from mapkd_core.commands.main import main
from mapkd_core.config import AugmentConfig, DataConfig, LossConfig, TrainConfig
from mapkd_core.files import FolderLock
from mapkd_core.grid import BevGrid
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training
from mapkd_core.training.objective import TaskObjective
from mapkd_core.training.stages import start_from

OPTIONS = {"variant": "nano", "image_width": 8, "bev_width": 8, "view_channels": 8}


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples())


def config(tmp_path, **changes):
    base = TrainConfig(
        name="run", out=str(tmp_path), model_options=OPTIONS, grid=BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3),
        data=DataConfig(image_size=SIZE), steps=6, batch_size=2, learning_rate=3e-3, schedule="cosine",
        accelerator="cpu", log_every=1, save_every=3, val_every=100, ema=0.9, loss=LossConfig(dice=1.0),
        augment=AugmentConfig(photometric=0.3, flip=True, yaw_degrees=5.0),
    )
    return replace(base, **changes)


def logged(folder, tag):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    return {e.step: e.value for e in events.Scalars(tag)}


def test_it_learns_by_heart(tmp_path):
    folder = training.train(config(tmp_path, steps=60, batch_size=6, augment=AugmentConfig(), val_every=60))
    losses = logged(folder, "train/total")
    assert losses[60] < 0.85 * losses[1]
    assert logged(folder, "val/divider")[60] > 0.4 and logged(folder, "val/boundary")[60] > 0.3


def test_a_killed_run_resumes_to_the_same_losses(tmp_path):
    whole = logged(training.train(config(tmp_path, name="whole")), "train/total")
    with killed_after(4):  # the checkpoint is of step 3
        training.train(config(tmp_path, name="parts"))
    parts = logged(training.train(config(tmp_path, name="parts")), "train/total")
    assert sorted(whole) == list(range(1, 7))
    for at in (4, 5, 6):
        assert parts[at] == whole[at]
    ends = [torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "parts")]
    for part in ("network", "average"):
        assert ends[0][part].keys() == ends[0]["network"].keys()
        assert all(torch.equal(ends[0][part][k], ends[1][part][k]) for k in ends[0][part])


@pytest.mark.parametrize(("ema", "kept"), [(0.05, 0.05), (0.99, 1 / 10)])
def test_the_average_follows_the_weights(tmp_path, ema, kept):
    plan = config(tmp_path, ema=ema)
    with training.open_run(plan, TaskObjective(plan)) as (run, _):
        before = {name: value.clone() for name, value in run.average.module.state_dict().items()}
        run.advance(training.training_batches(plan, 0, 0, 1))
    now = run._plain().state_dict()
    for name, value in run.average.module.state_dict().items():
        expected = kept * before[name] + (1 - kept) * now[name] if value.is_floating_point() else now[name]
        torch.testing.assert_close(value, expected, msg=name)


def test_accumulation_counts_its_batches(tmp_path):
    """Two accumulated batches read on where the next step begins: the order of samples is that of single batches."""
    seen = []
    real = ToySamples.__getitem__
    try:
        ToySamples.__getitem__ = lambda self, i: seen.append(i) or real(self, i)
        training.train(config(tmp_path, steps=3, accumulate=2, batch_size=1, augment=AugmentConfig(), val_every=99))
    finally:
        ToySamples.__getitem__ = real
    assert sorted(seen[2:8]) == list(range(6))  # after a look at a frame of each set, whether it has lines


def test_another_config_is_refused(tmp_path):
    training.train(config(tmp_path, steps=3))
    with pytest.raises(ValueError, match=r"learning_rate: 0\.003 -> 0\.1"):
        training.train(config(tmp_path, steps=3, learning_rate=0.1))
    training.train(config(tmp_path, steps=3, learning_rate=0.1), restart=True)


class Exploding(TaskObjective):
    def terms(self, prediction, batch, step):
        terms, weights = super().terms(prediction, batch, step)
        return {k: v * (float("nan") if step == 2 else 1) for k, v in terms.items()}, weights


def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(tmp_path):
    plan = config(tmp_path)
    with pytest.raises(FloatingPointError, match=r"step 2 is not finite.*not_finite_step2\.pt"):
        training.train(plan, Exploding(plan))
    saved = torch.load(tmp_path / "run" / "not_finite_step2.pt", weights_only=True)
    assert saved["images"].shape == (2, 6, 3, SIZE[1], SIZE[0]) and len(saved["tokens"]) == 2


def test_schedules(tmp_path):
    run = training.Run.__new__(training.Run)
    run.config = config(tmp_path, steps=110, warmup_steps=10, learning_rate=1.0)
    rates = []
    for run.step in (0, 9, 10, 60, 109):
        rates.append(run.rate())
    assert rates[:3] == pytest.approx([0.1, 1.0, 1.0]) and rates[3] == pytest.approx(0.5) and rates[4] < 0.001
    run.config = replace(run.config, schedule="step", decay_steps=50, warmup_steps=0)
    rates = []
    for run.step in (0, 49, 50, 100):
        rates.append(run.rate())
    assert rates == pytest.approx([1, 1, 0.1, 0.01])


def test_export_of_a_run(tmp_path, capsys):
    training.train(config(tmp_path, steps=3))
    words = ["export", str(tmp_path / "run"), "--out", str(tmp_path / "a.json"), "--version", "2.0.0"]
    assert main([*words, "--about", "data=stripes", "--about", "licence_of_data=a = b"]) == 0
    assert re.search(r"run 2\.0\.0, 0\.\d MB", capsys.readouterr().out)
    _, card = load_model(tmp_path / "a.json")
    assert card.input_size == SIZE and card.training["step"] == 3 and card.training["config"]["steps"] == 3
    assert (card.training["data"], card.training["licence_of_data"]) == ("stripes", "a = b")
    assert main([*words, "--about", "step=4"]) == 2
    assert "the card has 3 there" in capsys.readouterr().err
    with FolderLock(tmp_path, ".a.lock"):  # another export to the same artifact
        assert main(words) == 2
    assert "is in use by" in capsys.readouterr().err
    assert main([*words[:2], "--out", "nano"]) == 2
    assert "--out nano is the name of a student that ships; write --out nano.json" in capsys.readouterr().err


def test_export_of_no_run(tmp_path, capsys):
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "a.json")]) == 2
    assert "holds no best.pt" in capsys.readouterr().err


def test_stages_follow_each_other(tmp_path, capsys):
    """The HD prior and the sensors' network are trained apart and start the joint network; a missing stage is named."""
    narrow = {
        "encoder": "small", "camera_channels": 8, "view": "pillars", "bev_width": 8,
        "mae_dim": 16, "mae_layers": 1, "mae_heads": 2,
    }
    common = {"model_options": narrow, "steps": 2, "augment": AugmentConfig(), "val_every": 2}
    joint = config(tmp_path, name="joint", **common)
    joint = replace(joint, model="pmapnet_c_sd_hd", model_options={**narrow, "sd_prior": False})
    joint = replace(joint, init=(str(tmp_path / "hd_prior_60x30"), str(tmp_path / "sensors")))
    with pytest.raises(FileNotFoundError, match=r"(?s)not been trained.*--config config/train/hd_prior_60x30\.yaml"):
        training.train(joint)
    training.train(config(tmp_path, name="hd_prior_60x30", model="hd_prior", **common))
    training.train(config(tmp_path, name="sensors", model="hdmapnet", **common))
    network = training.build_model(joint.model, joint.grid, SIZE, joint.model_options)
    taken = [start_from(network, stage) for stage in joint.init]
    assert all(name.startswith("hd_prior.") for name in taken[0]) and "hd_prior.position" in taken[0]
    assert any(name.startswith("cameras.encoder") for name in taken[1]) and "encode.stem.0.weight" in taken[1]
    assert set(network.state_dict()) == {*taken[0], *taken[1]}
    with pytest.raises(ValueError, match="no parameter in common"):
        start_from(training.build_model("student", joint.grid, SIZE, OPTIONS), joint.init[0])
    training.train(joint)


def test_the_command_takes_overrides(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(training, "train", lambda config, restart: seen.append((config, restart)) or tmp_path)
    yaml = tmp_path / "a.yaml"
    yaml.write_text("steps: 5\n")
    words = ["train", "--config", str(yaml), "--name", "x", "--data.workers=3", "--loss.dice", "1.0", "--restart"]
    assert main(words) == 0
    (plan, restart), = seen
    assert (plan.steps, plan.name, plan.data.workers, plan.loss.dice, restart) == (5, "x", 3, 1.0, True)
    assert main(["train", "--config", str(yaml), "--nmae", "x"]) == 2
    assert "did you mean 'name'" in capsys.readouterr().err
