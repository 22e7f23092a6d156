"""Steps of the loop on a network of one convolution, followed by hand: rates, clipping, accumulation, the average,
the modes of training and validation, which checkpoint is the best; and Muon's step written out in NumPy."""
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_run import Tiny, opener
from hand_step import batch_by_hand
from slow_math import array
from torch import nn

from mapkd_core.config import TrainConfig
from mapkd_core.losses import semantic_bce
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.training import loop as training
from mapkd_core.training.muon import Muon
from mapkd_core.training.objective import TaskObjective
from mapkd_core.types import Prediction


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """A run with a tiny network on batches by hand, of which every second one is darker."""
    return opener(monkeypatch, tmp_path)


def gradients(net, batch, weight=1.0):
    """Of the task loss, for a copy of the network in training mode."""
    net.train()
    net.zero_grad()
    (weight * semantic_bce(net(batch).semantic, batch.semantic, 2.13, (1.0, 1.0, 1.0))).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters()}


class Kept:
    """An optimizer's step that keeps the gradients it is given, and changes nothing."""

    def __init__(self, optimizer):
        self.seen = []
        optimizer.step = lambda *_: self.seen.append(
            [p.grad.clone() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        )


@pytest.mark.parametrize(("limit", "clipped"), [(0.0, False), (0.01, True), (1e6, False)])
def test_gradients_are_clipped_to_the_norm_of_the_config_module_by_module(opened, limit, clipped):
    context, batches = opened(clip_norm=limit)
    with context as (run, _):
        expected = list(gradients(Tiny(), batch_by_hand()).values())
        kept = Kept(run.optimizer.optimizer)
        run.advance(batches)
    *network, scale = kept.seen[0]
    norm = math.sqrt(sum(float(g.square().sum()) for g in expected))
    factor = limit / norm if clipped else 1.0
    for given, whole in zip(network, expected, strict=True):
        torch.testing.assert_close(given, factor * whole, rtol=1e-3, atol=1e-7)
    assert scale.item() == pytest.approx(0.01 if clipped else 3 * 2 * 2.0, rel=1e-3)


def test_accumulated_batches_count_as_their_mean_in_one_step(opened):
    context, batches = opened(accumulate=2)
    with context as (run, _):
        pair = [batch_by_hand(), replace(batch_by_hand(), images=torch.full((2, 2, 3, 32, 48), -1.5))]
        parts = [gradients(Tiny(), batch) for batch in pair]
        kept = Kept(run.optimizer.optimizer)
        value = run.advance(batches)
        assert run.step == 1 and run.objective.steps == [0, 0]
    for (name, one), given in zip(parts[0].items(), kept.seen[0][:-1], strict=True):
        torch.testing.assert_close(given, (one + parts[1][name]) / 2, rtol=1e-3, atol=1e-7)
    losses = [float(semantic_bce(Tiny()(b).semantic, b.semantic, 2.13, (1.0, 1.0, 1.0)).detach()) for b in pair]
    assert value == pytest.approx(sum(losses) / 2 + 3 * 4.0, rel=1e-4)


def test_gradients_of_a_step_do_not_leak_into_the_next(opened):
    context, batches = opened()
    with context as (run, _):
        kept = Kept(run.optimizer.optimizer)
        for _ in range(3):
            run.advance(batches)
    first, _, third = kept.seen  # the same batch, and weights that did not move
    for one, other in zip(first, third, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_every_group_gets_the_rate_of_its_step(opened):
    context, batches = opened(optimizer="muon", warmup_steps=4, learning_rate=0.2)
    rates = []
    with context as (run, _):
        for _ in range(6):
            run.advance(batches)
            rates.append({group["lr"] for group in run.optimizer.param_groups})
        assert len(run.optimizer.param_groups) == 2
    assert [sorted(r) for r in rates] == [pytest.approx([x]) for x in (0.05, 0.1, 0.15, 0.2, 0.2, 0.2)]


def test_after_validation_the_network_trains_on(opened):
    """It is validated without gradients, in eval mode; batch norms learn again in the step after."""
    context, batches = opened(val_every=1)
    with context as (run, _):
        for _ in range(2):
            run.advance(batches)
        modes = run._plain().modes
        assert modes == [(True, True), (False, False)] * 2
        assert run.objective.modes == [True, True]
        assert int(run._plain().norm.num_batches_tracked) == 2


def test_the_average_is_what_is_validated_and_it_stays_in_eval_mode(opened, monkeypatch):
    context, batches = opened(val_every=1, ema=0.9)
    with context as (run, _):
        before = run._plain().mix.weight.detach().clone()
        run.advance(batches)
        now = run._plain().mix.weight.detach()
        assert not torch.equal(now, before)
        torch.testing.assert_close(run.average.module.mix.weight, 0.1 * before + 0.9 * now)
        assert run._plain().modes == [(True, True)], "the network itself is not validated"
        assert run.average.module.modes == [(False, False)]
        run.advance(batches)
        assert not run.average.training and run._plain().training


def test_the_best_checkpoint_is_that_of_the_highest_score(opened, monkeypatch, tmp_path):
    scores = iter([0.2, 0.5, 0.3, 0.5, 0.6, 0.1])
    monkeypatch.setattr(IouMeter, "result", lambda self: {"miou": next(scores)})
    context, batches = opened(val_every=1, steps=6)
    best = []
    with context as (run, _):
        for _ in range(6):
            run.advance(batches)
            state = torch.load(tmp_path / "run" / "best.pt", weights_only=True)
            best.append((state["step"], round(state["best"], 3)))
    assert best == [(1, 0.2), (2, 0.5), (2, 0.5), (2, 0.5), (5, 0.6), (5, 0.6)]


def test_what_is_due_comes_at_its_steps_and_at_the_end(opened, monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr(training.Run, "_validate", lambda self: done.append(("validate", self.step)))
    monkeypatch.setattr(training.Run, "_save", lambda self, name: done.append((name, self.step)))
    logged = []
    context, batches = opened(val_every=2, save_every=3, log_every=4, steps=7)
    with context as (run, _):
        monkeypatch.setattr(run.fabric, "log_dict", lambda values, step: logged.append((step, sorted(values))))
        for _ in range(7):
            run.advance(batches)
    assert [step for step, _ in logged] == [4, 7]
    assert logged[0][1] == ["learning_rate", "steps_per_second", "train/kd_own", "train/semantic", "train/total"]
    assert done == [("validate", 2), ("last.pt", 3), ("validate", 4), ("validate", 6), ("last.pt", 6),
                    ("validate", 7), ("last.pt", 7)]  # fmt: skip


def test_a_checkpoint_gives_everything_back(opened, tmp_path, monkeypatch):
    context, batches = opened(ema=0.9, save_every=3, optimizer="muon")
    with context as (run, _):
        for _ in range(3):
            run.advance(batches)
        run.best, run.least_score = 0.42, 0.17
        monkeypatch.setattr(run.fabric.strategy.precision, "state_dict", lambda: {"scale": 8.0})
        torch.rand(7)  # further than a run that is only seeded
        run._save("last.pt")
        drawn = torch.rand(4)
        expected = run._state()
    context, _ = opened(ema=0.9, save_every=3, optimizer="muon")
    with context as (again, resuming):
        assert resuming and again.step == 0
        loaded = []
        monkeypatch.setattr(again.fabric.strategy.precision, "load_state_dict", loaded.append)
        again.resume()
        assert (again.step, again.best, again.least_score, loaded) == (3, 0.42, 0.17, [{"scale": 8.0}])
        assert torch.equal(torch.rand(4), drawn), "random numbers go on where they were"
        for part in ("network", "train_only", "average"):
            given, wanted = again._state()[part], expected[part]
            assert given.keys() == wanted.keys() and all(torch.equal(v, wanted[k]) for k, v in given.items())
            assert given or part == "train_only"
        for key, state in expected["optimizer"]["state"].items():
            mine = again.optimizer.state_dict()["state"][key]
            assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(mine[n])) for n, v in state.items())


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("muon", Muon)])
def test_the_optimizer_is_the_configs(name, kind, tmp_path):
    config = TrainConfig(out=str(tmp_path), optimizer=name, learning_rate=0.3, weight_decay=0.07)
    made = training.make_optimizer(config, Tiny().parameters())
    assert type(made) is kind
    assert all(g["lr"] == 0.3 and g["weight_decay"] == 0.07 for g in made.param_groups)


# --- Muon ----------------------------------------------------------------------------------------------------------

def orthogonalised(matrix):
    a, b, c = 3.4445, -4.7750, 2.0315
    turned = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if turned else matrix) / np.linalg.norm(matrix)
    for _ in range(5):
        g = x @ x.T
        x = a * x + (b * g + c * g @ g) @ x
    return x.T if turned else x


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (8, 3)])
@pytest.mark.parametrize(("momentum", "decay"), [(0.95, 0.0), (0.5, 0.3)])
def test_muon_written_out(shape, momentum, decay):
    """Nesterov: the step looks ahead along the momentum; weights shrink first; five rounds; Adam's typical size."""
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
    optimizer = Muon([weight], lr=0.1, weight_decay=decay, momentum=momentum)
    expected, average = array(weight), np.zeros(shape)
    for _ in range(4):
        gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
        weight.grad = gradient.clone()
        optimizer.step()
        average = momentum * average + (1 - momentum) * array(gradient)
        ahead = (1 - momentum) * array(gradient) + momentum * average
        matrix = orthogonalised(ahead.reshape(shape[0], -1))
        expected = expected * (1 - 0.1 * decay) - 0.1 * 0.2 * max(matrix.shape) ** 0.5 * matrix.reshape(shape)
        np.testing.assert_allclose(array(weight), expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(weight.grad, gradient), "the gradient itself is left as it was"


def test_muons_groups_each_have_their_rate():
    weight, bias = nn.Parameter(torch.eye(3)), nn.Parameter(torch.zeros(3))
    muon = Muon([weight, bias], lr=0.1)
    for still, moving in ((0, 1), (1, 0)):
        muon.param_groups[still]["lr"], muon.param_groups[moving]["lr"] = 0.0, 0.1
        before = [p.detach().clone() for p in (weight, bias)]
        for p in (weight, bias):
            p.grad = torch.ones_like(p)
        muon.step()
        assert [torch.equal(p, b) for p, b in zip((weight, bias), before, strict=True)] == [still == 0, still == 1]


def test_muons_defaults_and_a_parameter_without_gradient():
    mixed, idle, bias = (nn.Parameter(torch.ones(shape)) for shape in ((4, 5), (3, 3), (4,)))
    optimizer = Muon([mixed, idle, bias], lr=0.1)
    matrices, others = optimizer.param_groups
    assert matrices["momentum"] == 0.95 and matrices["weight_decay"] == 0.0
    assert others["betas"] == (0.9, 0.999) and others["eps"] == 1e-8
    mixed.grad, bias.grad = torch.randn(4, 5), torch.randn(4)
    optimizer.step()
    assert (idle == 1).all() and not (mixed == 1).all() and not (bias == 1).all()


def test_losses_of_half_precision_outputs_are_in_single_precision():
    config, batch = TrainConfig(), batch_by_hand()
    logits = 3 * torch.randn(2, 4, *batch.semantic.shape[-2:], generator=torch.Generator().manual_seed(0)).bfloat16()
    terms, _ = TaskObjective(config).terms(Prediction(logits), batch, 0)
    whole, _ = TaskObjective(config).terms(Prediction(logits.float()), batch, 0)
    assert terms["semantic"].dtype == torch.float32 and torch.equal(terms["semantic"], whole["semantic"])
