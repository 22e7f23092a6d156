"""What a run hands on to whom: processes, streams of batches, order of preparation, logs, checkpoints, validation."""
import contextlib
import logging
import math
from types import SimpleNamespace

import pytest
import torch
from hand_run import Counting, opener
from hand_step import batch_by_hand
from torch import nn

from mapkd_core.config import TrainConfig
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.training import loop as training
from mapkd_core.training.checkpoint import load_checkpoint
from mapkd_core.training.precision import precision_plugin


@pytest.fixture
def opened(monkeypatch, tmp_path):
    return opener(monkeypatch, tmp_path)


class Stopped(Exception):
    """Raised by a stand-in once it has seen enough."""


@pytest.mark.parametrize(("devices", "nodes", "strategy"), [(1, 1, "auto"), (2, 1, "ddp"), (1, 2, "ddp")])
def test_fabric_is_asked_for_what_the_config_says(monkeypatch, tmp_path, devices, nodes, strategy):
    asked = {}

    def fabric(**options):
        asked.update(options)
        raise Stopped

    monkeypatch.setattr(training, "Fabric", fabric)
    monkeypatch.setattr(training, "open_validation", lambda config: None)
    monkeypatch.setattr(training, "precision_plugin", lambda *given: given)
    config = TrainConfig(
        name="run", out=str(tmp_path), accelerator="cpu", devices=devices, nodes=nodes, precision="bf16-mixed"
    )
    with pytest.raises(Stopped), training.open_run(config, Counting(config)):
        pass
    assert (asked["devices"], asked["num_nodes"], asked["strategy"]) == (devices, nodes, strategy)
    assert asked["accelerator"] == "cpu" and asked["plugins"] == [("bf16-mixed", "cpu")]
    assert str(asked["loggers"].log_dir) == str(tmp_path / "run" / "log")


def test_a_network_is_started_frozen_and_prepared_in_this_order_before_numbers_are_drawn(opened, monkeypatch):
    """What a method takes over from the teacher must not be overwritten by an earlier stage."""
    order = []
    monkeypatch.setattr(training, "check_stages", lambda init: order.append(("check", init)))
    monkeypatch.setattr(training, "start_from", lambda network, stage: order.append(("start", stage)))
    monkeypatch.setattr(training, "freeze_parts", lambda network, parts: order.append(("freeze", parts)))
    monkeypatch.setattr(training, "seed_process", lambda seed, rank: order.append(("seed", seed, rank)))
    monkeypatch.setattr(Counting, "prepare", lambda self, network: order.append(("prepare", type(network).__name__)))
    context, _ = opened(init=("a", "b"), frozen=("mix",), seed=7)
    with context:
        pass
    assert order == [
        ("check", ("a", "b")), ("start", "a"), ("start", "b"), ("freeze", ("mix",)), ("prepare", "Tiny"), ("seed", 7, 0)
    ]


def test_frozen_parts_are_not_the_optimizers_and_train_only_modules_are(opened):
    context, batches = opened(frozen=("norm",))
    with context as (run, _):
        held = {id(p) for group in run.optimizer.param_groups for p in group["params"]}
        network = run._plain()
        assert held == {id(p) for p in (*network.mix.parameters(), run.objective.modules.scale)}
        for _ in range(2):
            run.advance(batches)
        assert not network.norm.training and network.mix.training and int(network.norm.num_batches_tracked) == 0


def test_train_only_modules_train_in_every_step_whatever_set_them_to_eval_mode(opened):
    context, batches = opened()
    with context as (run, _):
        run.objective.modules.eval()
        run.advance(batches)
        assert run.objective.modes == [True]


class Processes:
    """The second of three, as far as `fit`, `resume` and `_stop_at` look."""

    global_rank, world_size = 1, 3


def test_a_process_reads_its_part_of_the_batches_from_where_the_run_is(monkeypatch):
    asked = []

    def batches(*given):
        asked.append(given)
        raise Stopped

    monkeypatch.setattr(training, "training_batches", batches)
    run = training.Run.__new__(training.Run)
    run.config, run.fabric, run.step = TrainConfig(accumulate=4), Processes(), 25
    with pytest.raises(Stopped):
        run.fit(resuming=False)
    assert asked == [(run.config, 100, 1, 3)]


def test_a_process_validates_its_part_of_the_frames(opened, monkeypatch):
    asked = []
    context, batches = opened(val_every=1)
    inner = training.validation_batches
    monkeypatch.setattr(training, "validation_batches", lambda *given: asked.append(given) or inner(*given))
    with context as (run, _):
        run.advance(batches)
        assert asked == [(run.config, 0, 1, run.validation)]
        monkeypatch.setattr(type(run.fabric), "global_rank", 2)
        monkeypatch.setattr(type(run.fabric), "world_size", 5)
        monkeypatch.setattr(IouMeter, "reduce", lambda self, fabric: None)
        monkeypatch.setattr(run.fabric, "log_dict", lambda *_: None)
        run.best = math.inf
        run._validate()
    assert asked[1][1:3] == (2, 5)


def test_gradients_wait_for_the_last_of_accumulated_batches_and_are_averaged_before_the_step(opened, monkeypatch):
    seen = []

    @contextlib.contextmanager
    def no_sync(module, enabled):
        seen.append(("held back", enabled))
        yield

    context, batches = opened(accumulate=3)
    with context as (run, _):
        monkeypatch.setattr(run.fabric, "no_backward_sync", no_sync)
        monkeypatch.setattr(training, "average_gradients", lambda fabric, module: seen.append(("averaged", module)))
        monkeypatch.setattr(training, "apply_gradients", lambda *given: seen.append(("applied", given[3])))
        run.advance(batches)
        assert seen == [
            ("held back", True), ("held back", True), ("held back", False), ("averaged", run.objective.modules),
            ("applied", run.config.clip_norm),
        ]


def test_what_is_logged_is_the_rate_of_the_coming_step_and_the_scale(opened, monkeypatch):
    logged = []
    context, batches = opened(log_every=2, warmup_steps=4, learning_rate=0.2)
    with context as (run, _):
        monkeypatch.setattr(run.fabric, "log_dict", lambda values, step: logged.append((step, values)))
        monkeypatch.setattr(training, "loss_scale", lambda fabric: 512.0)
        clock = iter((10.0, 10.5, 20.0, 20.25))
        monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
        for _ in range(2):
            run.advance(batches) if run.step else run._one_step(batches)
            run.step = max(run.step, 1)
    (step, values), = logged
    assert step == 2 and values["learning_rate"] == pytest.approx(0.15) and values["loss_scale"] == 512.0
    assert values["steps_per_second"] == pytest.approx(2.0)


@pytest.mark.parametrize("scores", [(0.0, 0.0), (-0.5, 0.0)])
def test_the_first_validation_is_kept_whatever_its_score_and_an_equal_one_is_not(opened, monkeypatch, tmp_path, scores):
    given = iter(scores)
    monkeypatch.setattr(IouMeter, "result", lambda self: {"miou": next(given)})
    context, batches = opened(val_every=1)
    with context as (run, _):
        run.advance(batches)
        first = load_checkpoint(tmp_path / "run" / "best.pt")
        run.advance(batches)
        second = load_checkpoint(tmp_path / "run" / "best.pt")
    assert (first["step"], first["best"]) == (1, scores[0])
    assert (second["step"], second["best"]) == ((1, 0.0) if scores[0] == 0 else (2, 0.0))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_validation_computes_in_the_runs_precision(opened, precision):
    halves = []
    context, batches = opened(val_every=1, ema=0.5, precision=precision)
    with context as (run, _):
        run.average.module.register_forward_pre_hook(lambda *_: halves.append(torch.is_autocast_enabled("cpu")))
        run.advance(batches)
    assert halves == [precision == "bf16-mixed"]


def test_a_checkpoint_names_the_cameras_that_the_frames_have(opened, monkeypatch):
    context, _ = opened()
    with context as (run, _):
        assert run._state()["cameras"] == []
    context, _ = opened()
    with context as (run, _):
        run.validation = [SimpleNamespace(cameras=("left", "right"))]
        assert run._state()["cameras"] == ["left", "right"]


@pytest.mark.parametrize(("processes", "name"), [(3, "not_finite_step4_process1.pt"), (1, "not_finite_step4.pt")])
def test_each_process_leaves_a_batch_of_its_own_that_is_not_finite(tmp_path, processes, name):
    batch = batch_by_hand()
    batch.outlines = [(), ()]
    run = training.Run.__new__(training.Run)
    run.folder, run.step = tmp_path, 4
    run.fabric = SimpleNamespace(global_rank=1 if processes > 1 else 0, world_size=processes)
    with pytest.raises(FloatingPointError, match=rf"the loss at step 4 .*\(semantic nan\); the batch is in .*{name}"):
        run._stop_at(batch, {"semantic": torch.tensor(math.nan)})
    saved = load_checkpoint(tmp_path / name)
    assert saved["step"] == 4 and torch.equal(saved["semantic"], batch.semantic)
    assert not {"elements", "outlines", "lidar"} & set(saved)


def test_what_is_logged_is_each_loss_unweighed_and_averaged_over_processes(opened, monkeypatch):
    logged, given = {}, {}
    context, batches = opened(log_every=1)
    with context as (run, _):
        monkeypatch.setattr(run.fabric, "log_dict", lambda values, step: logged.update(values))
        monkeypatch.setattr(run, "_averaged", lambda own: given.update(own) or {k: v + 5 for k, v in own.items()})
        scale = float(run.objective.modules.scale.detach())
        run.advance(batches)
    assert given["kd_own"] == pytest.approx(scale**2) and given["total"] > given["semantic"] + 2.9 * given["kd_own"]
    assert {k: logged[f"train/{k}"] - 5 for k in given} == pytest.approx(given)


def test_batch_norms_are_joined_over_processes_on_gpus_alone():
    def fabric(kind, count):
        return SimpleNamespace(device=torch.device(kind), world_size=count)

    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert training.synchronized(network, fabric("cuda", 1)) is network
    with pytest.raises(ValueError, match="sync_batchnorm works on GPUs, this run is on cpu"):
        training.synchronized(network, fabric("cpu", 2))
    joined = training.synchronized(network, fabric("cuda", 2))
    assert isinstance(joined[1], nn.SyncBatchNorm) and joined[1].num_features == 4


def test_a_cpu_is_asked_for_where_there_is_a_gpu_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert precision_plugin("bf16-mixed", "cpu").device == "cpu"
    assert precision_plugin("bf16-mixed", "auto").device == "cuda"
    with pytest.raises(ValueError, match="16-mixed, which needs a GPU"):
        precision_plugin("16-mixed", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision_plugin("bf16-mixed", "auto").device == "cpu"


def test_only_the_first_process_holds_the_folder_and_writes(opened, monkeypatch, tmp_path):
    context, _ = opened(save_every=1)
    with context as (run, _):
        monkeypatch.setattr(type(run.fabric), "global_rank", 1)
        run._save("last.pt")
        assert not (tmp_path / "run" / "last.pt").exists()
        monkeypatch.setattr(type(run.fabric), "global_rank", 0)
        run._save("last.pt")
        assert (tmp_path / "run" / "last.pt").exists()
    assert logging.getLogger("lightning_fabric").level == logging.WARNING
