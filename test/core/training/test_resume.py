"""A run that was killed goes on as if it had not been: networks that draw random numbers, methods, optimizers."""
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distill_bench import COACH, GRID, NARROW, STUDENT, TEACHER, batch_of, network
from toy import SIZE, ToySamples

from mapkd_core.config import AugmentConfig, DataConfig, LossConfig, TrainConfig
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.training import batches as loading
from mapkd_core.training import lockstep
from mapkd_core.training import loop as training
from mapkd_core.training.random_state import draws_random_numbers

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples())


def config(tmp_path, kind=TrainConfig, **changes):
    base = kind(
        out=str(tmp_path), model="student", model_options=STUDENT, grid=GRID, data=DataConfig(image_size=SIZE),
        steps=5, batch_size=2, accelerator="cpu", log_every=1, save_every=2, val_every=3, val_batches=1,
        loss=LossConfig(dice=1.0), augment=AugmentConfig(flip=True),
    )
    return replace(base, **changes)


def ends(tmp_path, names=("whole", "parts")):
    return [torch.load(tmp_path / name / "last.pt", weights_only=True) for name in names]


def assert_equal(one, other):
    for part in ("network", "train_only", "average"):
        assert one[part].keys() == other[part].keys()
        different = [
            key for key, value in one[part].items() if not torch.allclose(value, other[part][key], 0, 0, equal_nan=True)
        ]
        assert different == [], f"{part} differs after the resume"


def killed(monkeypatch, at):
    """Dies in step `at`, counted from 0, after its loss: random numbers have been drawn that nobody saved."""
    real = training.apply_gradients

    def dying(fabric, optimizer, *rest):
        dying.steps += 1
        if dying.steps == at + 1:
            raise KeyboardInterrupt
        real(fabric, optimizer, *rest)

    dying.steps = 0
    monkeypatch.setattr(training, "apply_gradients", dying)


KINDS = {
    "hd_prior": {"model": "hd_prior", "model_options": NARROW},
    "dropout of the SD prior": {
        "model": "pmapnet_c_sd", "model_options": NARROW, "data": DataConfig(image_size=SIZE, sd_map=True)
    },
    "drop-connect": {"model": "hdmapnet", "model_options": {**NARROW, "encoder": "efficientnet-b0"}},
    "muon, average, accumulation": {"optimizer": "muon", "ema": 0.9, "accumulate": 2},
    "bfloat16": {"precision": "bf16-mixed"},
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind == "drop-connect" else []) for kind in KINDS]
)
def test_a_resumed_run_is_equal(kind, tmp_path, monkeypatch):
    if "SD" in kind:
        with_roads = ToySamples.__getitem__
        monkeypatch.setattr(
            ToySamples, "__getitem__",
            lambda self, i: replace(with_roads(self, i), sd_lines_m=(torch.tensor([[-11.0, 0], [11, 2]]).numpy(),)),
        )
    training.train(config(tmp_path, name="whole", **KINDS[kind]))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        killed(patch, at=3)  # a checkpoint stands at step 2, a validation is due at step 3
        training.train(config(tmp_path, name="parts", **KINDS[kind]))
    torch.rand(7)
    training.train(config(tmp_path, name="parts", **KINDS[kind]))
    assert_equal(*ends(tmp_path))


@pytest.mark.parametrize("method", ["mapkd", "bridgeta"])
def test_a_resumed_distillation_is_equal(method, tmp_path, monkeypatch):
    batches = [batch_of(2, seed=i) for i in range(3)]
    monkeypatch.setattr(
        training, "training_batches", lambda config, first, *rest: iter(batches[i % 3] for i in range(first, 99))
    )
    monkeypatch.setattr(training, "validation_batches", lambda config, *rest: batches[:1])
    frozen = FrozenNetworks(network(TEACHER, 2), network(COACH, 3))

    def run(name):
        c = config(tmp_path, DistillConfig, name=name, teacher="t", method=method, calibrate_steps=3,
                   data=DataConfig(image_size=SIZE, lidar=True, sd_map=True))
        training.train(c, DistillObjective(c, frozen))

    run("whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        killed(patch, at=3)
        run("parts")
    run("parts")
    whole, parts = ends(tmp_path)
    assert whole["train_only"]
    assert_equal(whole, parts)


def test_the_number_of_loader_processes_changes_nothing(tmp_path):
    """Nor does it for a network that draws: a loader that starts takes none of its numbers."""
    for name, workers in (("whole", 0), ("parts", 2)):
        changes = {**KINDS["hd_prior"], "data": DataConfig(image_size=SIZE, workers=workers), "steps": 3}
        training.train(config(tmp_path, name=name, **changes))
    assert_equal(*ends(tmp_path))


def test_students_side_by_side_draw_their_own_numbers(tmp_path, monkeypatch):
    """With two threads the numbers of a network with dropout would depend on who comes first."""
    batches = [batch_of(2, seed=i) for i in range(3)]
    monkeypatch.setattr(lockstep, "training_batches", lambda config, first, *rest: iter(batches * 9))
    monkeypatch.setattr(training, "validation_batches", lambda config, *rest: batches[:1])
    data = DataConfig(image_size=SIZE, lidar=True, sd_map=True)

    def students(out, count):
        plans = [
            config(tmp_path / out, DistillConfig, name=f"s{i}", method="none", model="pmapnet_c_sd",
                   model_options=NARROW, data=data, steps=2, learning_rate=1e-3 * (i + 1))
            for i in range(count)
        ]
        lockstep.train_together(plans, FrozenNetworks(None), threads=count)

    students("alone", 1)
    students("together", 3)
    assert_equal(*ends(tmp_path, ("alone/s0", "together/s0")))


def test_what_draws_is_known():
    drawing = {name: draws_random_numbers(network(name)) for name in ("student", "hd_prior", TEACHER, "hdmapnet")}
    assert drawing == {"student": False, "hd_prior": True, TEACHER: True, "hdmapnet": False}


def two_processes(tmp_path, *words):
    script = ROOT / "test" / "support" / "train_random.py"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MASTER_", "LOCAL_RANK", "NODE_RANK", "WORLD_"))}
    path = os.pathsep.join([str(ROOT), str(script.parent)])
    return subprocess.run(
        [sys.executable, str(script), str(tmp_path), *words], cwd=ROOT, capture_output=True, text=True, timeout=180,
        env={**clean, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_two_processes_draw_apart_and_resume_equal(tmp_path):
    for words in (("whole", "4"), ("parts", "2"), ("parts", "4")):
        done = two_processes(tmp_path, *words)
        assert done.returncode == 0, done.stderr[-3000:]
    whole, parts = ends(tmp_path)
    assert len(whole["random"]) == 2 and not torch.equal(whole["random"][0][0], whole["random"][1][0])
    assert_equal(whole, parts)


@pytest.mark.slow
def test_a_loss_that_fails_in_one_process_ends_both(tmp_path):
    done = two_processes(tmp_path, "whole", "4", "--nan-in-process", "1")
    assert done.returncode != 0 and "is not finite" in done.stderr
    assert {p.name for p in (tmp_path / "whole").glob("not_finite*")} == {
        "not_finite_step0_process0.pt", "not_finite_step0_process1.pt"
    }
