"""Students side by side: each learns exactly what it would have learnt alone, and resumes."""
from dataclasses import replace

import pytest
import torch
from distill_bench import TEACHER, batch_of, config, network

from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.training import lockstep
from mapkd_core.training import loop as training
from mapkd_core.training.lockstep import train_together
from mapkd_core.training.loop import train
from mapkd_core.training.trained import trained_network


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    torch.set_num_threads(1)
    batches = [batch_of(seed=k) for k in range(3)]

    def numbered(config, first, *rest):
        return iter(batches[i % 3] for i in range(first, 99))

    for module in (training, lockstep):
        monkeypatch.setattr(module, "training_batches", numbered)
    monkeypatch.setattr(training, "validation_batches", lambda config, *rest: batches[:1])


def plan(tmp_path, **changes):
    return config(out=str(tmp_path), batch_size=2, steps=4, save_every=2, val_every=100, log_every=1, **changes)


def weights(tmp_path, name):
    return trained_network(tmp_path / name, "last")[0].state_dict()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_student_learns_what_it_would_have_learnt_alone(tmp_path, threads):
    frozen = FrozenNetworks(network(TEACHER, 2))
    rows = [plan(tmp_path, method=m, name=m) for m in ("none", "kd_logit", "kd_mse")]
    costs = train_together(rows, frozen, threads)
    assert costs.keys() == {"none", "kd_logit", "kd_mse"}
    assert all(cost["step_ms"] > 0 and cost["kept_mb"] > 0 for cost in costs.values())
    assert costs["kd_mse"]["kept_mb"] > costs["none"]["kept_mb"]
    alone = replace(rows[1], name="alone")
    train(alone, DistillObjective(alone, frozen))
    together, single = weights(tmp_path, "kd_logit"), weights(tmp_path, "alone")
    for key, value in single.items():
        torch.testing.assert_close(together[key], value, msg=key)
    assert any(not torch.equal(together[k], v) for k, v in weights(tmp_path, "none").items())


def test_interrupted_students_and_new_ones_go_on_together(tmp_path, monkeypatch):
    frozen = FrozenNetworks(network(TEACHER, 2))
    rows = [plan(tmp_path, method=m, name=m) for m in ("none", "kd_logit")]
    train_together([replace(row, name=f"whole_{row.name}") for row in rows], frozen)
    step, calls = training.Run.advance, []

    def killed(self, batches):
        calls.append(1)
        if len(calls) > 3:  # after the checkpoint at step 2
            raise KeyboardInterrupt
        return step(self, batches)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.Run, "advance", killed)
        train_together(rows[:1], frozen)
    costs = train_together(rows, frozen)
    assert costs.keys() == {"none", "kd_logit"}
    for name in ("none", "kd_logit"):
        whole = weights(tmp_path, f"whole_{name}")
        for key, value in weights(tmp_path, name).items():
            torch.testing.assert_close(value, whole[key], msg=f"{name} {key}")
    assert train_together(rows, frozen) == {}


def test_students_that_see_other_batches_are_refused(tmp_path):
    rows = [plan(tmp_path, method="none", name="a"), plan(tmp_path, method="none", name="b", seed=1)]
    with pytest.raises(ValueError, match=r"b and a differ in \['seed'\]"):
        train_together(rows, FrozenNetworks(None))
