"""The objective and its calibration on tensors made by hand: how terms are weighed, what is measured, and when."""
from dataclasses import replace

import pytest
import torch
from hand_step import GRID, LOSS, STEPS, Hand, SmallTeacher
from torch import nn

from mapkd_core.distill import objective as under_test
from mapkd_core.distill.calibration import Calibration
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.losses import task_terms, weigh, where_known


class Role(nn.Module):
    """A network that gives a prediction made by hand, and counts how often."""

    def __init__(self, prediction):
        super().__init__()
        self.any, self.prediction, self.calls = nn.Parameter(torch.zeros(1)), prediction, 0

    def forward(self, batch):
        self.calls += 1
        return self.prediction


class Bench:
    def __init__(self, monkeypatch, draw=None, **config):
        self.hand = hand = Hand()
        self.student, self.teacher, self.coach = (Role(p) for p in (hand.student, hand.teacher, hand.coach))
        self.config = DistillConfig(grid=GRID, loss=LOSS, steps=STEPS, teacher="t", **config)
        monkeypatch.setattr(under_test, "probe_step", lambda *_: hand.step())
        self.objective = DistillObjective(self.config, FrozenNetworks(self.teacher, self.coach, draw))
        self.objective.prepare(self.student)

    def terms(self, step=0, batch=None):
        return self.objective.terms(self.hand.student, batch or self.hand.batch, step)


def test_task_and_method_are_summed_each_with_its_weights(monkeypatch):
    bench = Bench(monkeypatch, method="mapkd", method_options={"patch_m": 4.0, "feature_coach_weight": 0.3})
    terms, weights = bench.terms()
    task = task_terms(bench.hand.student, bench.hand.batch, LOSS)
    given = bench.objective.modules["method"].terms(bench.hand.step())
    assert set(terms) == set(task) | {f"kd_{n}" for n in given}
    for name, term in task.items():
        assert terms[name].item() == pytest.approx(term.item()) and weights[name] == getattr(LOSS, name)
    for name, term in given.items():
        assert terms[f"kd_{name}"].item() == pytest.approx(term.item(), rel=1e-4)
        assert weights[f"kd_{name}"] == bench.objective.modules["method"].weights()[name]
    assert weights["kd_feature_coach"] == 0.3 and weights["kd_response_teacher"] == 0.75


def test_the_methods_step_is_the_runs(monkeypatch):
    """A warm-up of 8 steps: at step 3 half of the way."""
    bench = Bench(monkeypatch, method="bridgeta", method_options={"warmup_steps": 8})
    values = {}
    for step in (3, 7, 20):
        torch.manual_seed(0)
        values[step] = bench.terms(step)[0]["kd_response"].item()
    assert values[3] < values[7] == pytest.approx(values[20], rel=1e-4)


def test_train_only_parameters_are_all_touched_and_at_no_cost(monkeypatch):
    bench = Bench(monkeypatch, method="bevdistill")
    terms, weights = bench.terms()
    assert terms["kd_all_used"].item() == 0 and weights["kd_all_used"] == 1.0
    parameters = list(bench.objective.modules.parameters())
    gradients = torch.autograd.grad(terms["kd_all_used"], parameters)
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
    assert "kd_all_used" not in Bench(monkeypatch, method="kd_logit").terms()[0]


def test_frozen_networks_are_asked_once_and_the_coach_only_by_those_who_read_it(monkeypatch):
    for method, calls in (("mapkd_coach", (1, 0)), ("mapkd_final", (1, 1)), ("none", (0, 0))):
        bench = Bench(monkeypatch, method=method)
        bench.objective.ask(bench.hand.batch)
        bench.terms()
        assert (bench.teacher.calls, bench.coach.calls) == calls, method


def test_train_only_modules_are_drawn_from_the_seed_and_nothing_else_is(monkeypatch):
    drawn = []
    for seed, before in ((3, 1), (3, 2), (4, 1)):
        torch.manual_seed(before)
        expected = torch.Generator().manual_seed(before)
        bench = Bench(monkeypatch, method="distillbev", seed=seed)
        drawn.append(torch.cat([p.detach().flatten() for p in bench.objective.modules.parameters()]))
        assert torch.equal(torch.rand(3), torch.rand(3, generator=expected)), "the run's own numbers go on as before"
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_without_labels_the_drawn_map_is_what_the_method_sees(monkeypatch):
    def draw(batch, answer):
        assert answer is bench.hand.teacher or torch.equal(answer.semantic, bench.hand.teacher.semantic)
        return replace(bench.hand.batch, labelled=None)

    values = {}
    for pseudo in (True, False):
        bench = Bench(monkeypatch, draw=draw, method="mapkd_final", pseudo_labels=pseudo)
        empty = Hand(lines=((), ())).batch
        unknown = replace(empty, labelled=torch.tensor([False, False]), images=empty.images + 1)
        values[pseudo], _ = bench.terms(batch=unknown)
    drawn, _ = bench.terms()
    assert values[True]["semantic"].item() == pytest.approx(drawn["semantic"].item())
    assert values[False]["semantic"].item() == 0
    for found in values.values():
        assert found["kd_response_teacher"].item() == pytest.approx(drawn["kd_response_teacher"].item())


def test_the_method_gets_the_batch_with_the_drawn_labels(monkeypatch):
    drawn = replace(Hand().batch, labelled=None)
    bench = Bench(monkeypatch, draw=lambda *_: drawn, method="kd_logit")
    steps, method = [], bench.objective.modules["method"]
    monkeypatch.setattr(method, "terms", lambda step: steps.append(step) or {})
    bench.terms(7, replace(bench.hand.batch, labelled=torch.tensor([False, True])))
    (step,) = steps
    assert step.batch is drawn and step.regions.batch is drawn and step.step == 7
    assert step.coach is None and torch.equal(step.teacher.semantic, bench.hand.teacher.semantic)


# --- calibration ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["none", "kd_logit"])
def test_drawn_cells_of_which_the_teacher_is_unsure_count_for_nothing_in_the_task(monkeypatch, method):
    def draw(batch, teacher):
        return replace(bench.hand.batch, labelled=None)

    bench = Bench(monkeypatch, draw=draw, method=method, pseudo_confidence=0.6)
    unknown = replace(bench.hand.batch, labelled=torch.tensor([True, False]))
    terms, _ = bench.terms(batch=unknown)
    sure = bench.hand.teacher.semantic.softmax(1).amax(1) >= 0.6
    sure[0] = True
    assert 0.2 < sure[1].float().mean() < 0.8
    (gradient,) = torch.autograd.grad(terms["semantic"], [bench.hand.student.semantic])
    assert torch.equal(gradient.abs().sum(1) > 0, sure)
    masked = replace(bench.hand.batch, known_cells=sure)
    masked.semantic = torch.where(sure[:, None], masked.semantic, torch.eye(4)[0].view(1, 4, 1, 1))
    expected = task_terms(where_known(bench.hand.student, masked), masked, LOSS)["semantic"]
    assert terms["semantic"].item() == pytest.approx(expected.item(), rel=1e-5)
    known, _ = bench.terms()  # where all labels are known, all cells count
    assert known["semantic"].item() == pytest.approx(
        task_terms(bench.hand.student, bench.hand.batch, LOSS)["semantic"].item(), rel=1e-5
    )
    half = torch.zeros(2, *GRID.shape, dtype=torch.bool)
    half[:, :8] = True
    draw_half = replace(bench.hand.batch, labelled=None, known_cells=half)
    bench = Bench(monkeypatch, draw=lambda *_: draw_half, method=method, pseudo_confidence=0.6)
    (gradient,) = torch.autograd.grad(bench.terms(batch=unknown)[0]["semantic"], [bench.hand.student.semantic])
    assert torch.equal(gradient.abs().sum(1) > 0, sure & half)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_a_confidence_that_means_nothing_is_refused(value):
    with pytest.raises(ValueError, match="pseudo_confidence is"):
        DistillConfig(teacher="t", pseudo_confidence=value)


def test_the_ratio_is_of_weighed_gradients_at_the_methods_tap(monkeypatch):
    bench = Bench(monkeypatch, method="kd_logit", calibrate_steps=8, method_options={"response_weight": 50.0})
    terms, weights = bench.terms(0)
    method = bench.objective.modules["method"]
    given = weigh(method.terms(bench.hand.step()), method.weights())
    task = weigh(task_terms(bench.hand.student, bench.hand.batch, LOSS), LOSS)
    logits = bench.hand.student.semantic
    pulls = [torch.autograd.grad(loss, logits, retain_graph=True)[0].norm() for loss in (given, task)]
    ratio = (pulls[0] / pulls[1]).item()
    assert ratio > 1
    assert weights["kd_response"] == pytest.approx(50 * 0.3 / ratio, rel=1e-4)
    assert terms["calibration_factor"].item() == pytest.approx(0.3 / ratio, rel=1e-4)
    assert weights["calibration_factor"] == 0.0
    assert "calibration_factor" not in Bench(monkeypatch, method="kd_logit").terms()[0]
    assert "calibration_factor" not in Bench(monkeypatch, method="none", calibrate_steps=8).terms()[0]


def follow(calibration, ratios):
    """Steps one by one: which are measured, and the factor after each."""
    measured, factors = [], []
    for step, ratio in enumerate(ratios):
        calibration.settle(step)
        if calibration.wants(step):
            measured.append(step)
            calibration.take(step, torch.tensor(ratio))
        factors.append(round(calibration.factor.item(), 4))
    return measured, factors


def test_every_fourth_of_the_first_steps_is_measured_and_the_median_counts():
    calibration = Calibration(12)
    measured, factors = follow(calibration, [2.0] * 4 + [30.0] * 4 + [3.0] * 4 + [99.0] * 8)
    assert measured == [0, 4, 8]
    assert factors[:8] == [0.15] * 8 and factors[8:] == [0.1] * 12, "the lower of two medians, then 3"
    assert bool(calibration.done)


@pytest.mark.parametrize(
    ("ratio", "factor"), [(0.1, 1.0), (1.0, 1.0), (0.099, 0.3 / 0.099), (1.01, 0.3 / 1.01), (0.0, 1.0)]
)
def test_inside_the_band_nothing_changes(ratio, factor):
    calibration = Calibration(4)
    follow(calibration, [ratio])
    assert calibration.factor.item() == pytest.approx(factor, rel=1e-4)


def test_band_and_aim_can_be_set():
    calibration = Calibration(4, low=0.5, high=2.0, aim=0.8)
    follow(calibration, [0.4])
    assert calibration.factor.item() == pytest.approx(2.0)


def test_a_method_that_is_whole_later_is_measured_anew_from_there():
    calibration = Calibration(8, again=20)
    measured, factors = follow(calibration, [2.0] * 20 + [3.0] * 4 + [1.5] * 20)
    assert measured == [0, 4, 20, 24]
    assert factors[:20] == [0.15] * 20 and factors[20:24] == [0.1] * 4, "of 3 alone: not the lower of 3 and 2"
    assert factors[28:] == [factors[27]] * 16 and not Calibration(8, again=20).done
    assert factors[27] == pytest.approx(0.2, rel=1e-3), "the lower of 3 and 1.5"


def test_labeldistill_tells_the_objective_when_it_is_whole(monkeypatch):
    hand = Hand(network=SmallTeacher())
    frozen = FrozenNetworks(SmallTeacher())
    config = DistillConfig(grid=GRID, loss=LOSS, steps=STEPS, teacher="t", method="labeldistill", calibrate_steps=8,
                           method_options={"encoder_steps": 40})  # fmt: skip
    monkeypatch.setattr(under_test, "probe_step", lambda *_: hand.step())
    objective = DistillObjective(config, frozen)
    objective.prepare(nn.Module())
    calibration = objective.modules["calibration"]
    assert (calibration.steps, calibration.again) == (8, 40)


def test_the_factor_is_settled_when_the_measured_steps_are_over(monkeypatch):
    bench = Bench(monkeypatch, method="kd_logit", calibrate_steps=8)
    calibration = bench.objective.modules["calibration"]
    for step in range(9):
        assert not calibration.done
        bench.terms(step)
    assert calibration.done and calibration.ratios.isfinite().sum() == 2


def test_a_feature_that_distillation_does_not_reach_has_no_pull():
    calibration = Calibration(4)
    feature, other = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    calibration.measure(0, feature, other.sum(), feature.sum())
    assert calibration.ratios[0] == 0 and calibration.factor == 1
    calibration.measure(0, feature, (6 * feature).sum(), (2 * feature).sum())
    assert calibration.ratios[0].item() == pytest.approx(3.0)


def test_what_was_measured_survives_a_restart():
    calibration = Calibration(12)
    follow(calibration, [5.0] * 6)
    again = Calibration(12)
    again.load_state_dict(calibration.state_dict())
    assert torch.equal(again.ratios.nan_to_num(-1), calibration.ratios.nan_to_num(-1)) and len(again.ratios) == 3
    assert again.factor == calibration.factor
