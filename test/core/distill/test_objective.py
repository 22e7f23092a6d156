"""The objective in the trainer: frozen stays frozen, the student starts and ships the same, weights calibrate."""
from dataclasses import replace
from functools import partial

import pytest
import torch
from distill_bench import COACH, GRID, STUDENT, TEACHER, batch_of, config, network
from toy import SIZE, ToySamples

from mapkd_core.artifact import ModelCard
from mapkd_core.distill.calibration import Calibration
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.export.onnx_graph import export_onnx
from mapkd_core.losses import task_terms, weigh
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training
from mapkd_core.training.objective import TaskObjective
from mapkd_core.training.pseudo_labels import draw_unknown_labels
from mapkd_core.training.trained import trained_network


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    """Toy samples with LiDAR and SD map: batches are made once, since only the networks matter here."""
    torch.set_num_threads(1)
    batches = [batch_of(2, seed=i) for i in range(2)]
    monkeypatch.setattr(
        training, "training_batches", lambda config, first, *rest: iter(batches[i % 2] for i in range(first, 99))
    )
    monkeypatch.setattr(training, "validation_batches", lambda config, *rest: batches[:1])
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples())


def plan(tmp_path, **changes):
    return replace(
        config(), **{"out": str(tmp_path), "steps": 2, "batch_size": 2, "log_every": 1, "val_every": 99,
                     "save_every": 1, "schedule": "constant", **changes}
    )


def killed_at(step):
    rate = training.Run.rate

    def killed(self):
        if self.step == step:
            raise KeyboardInterrupt
        return rate(self)

    return killed


def test_training_leaves_the_frozen_bit_identical_and_resumes(tmp_path, monkeypatch):
    teacher, coach = network(TEACHER, 2).train(), network(COACH, 3).train()
    before = [{k: v.clone() for k, v in n.state_dict().items()} for n in (teacher, coach)]
    whole = plan(tmp_path, name="whole", steps=2, calibrate_steps=1)
    folder = training.train(whole, DistillObjective(whole, FrozenNetworks(teacher, coach)))
    for frozen, old in zip((teacher, coach), before, strict=True):
        assert all(torch.equal(v, old[k]) for k, v in frozen.state_dict().items())
        assert all(p.grad is None and not p.requires_grad for p in frozen.parameters())
        assert not any(module.training for module in frozen.modules())
    parts = replace(whole, name="parts")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.Run, "rate", killed_at(1))
        training.train(parts, DistillObjective(parts, FrozenNetworks(teacher, coach)))
    training.train(parts, DistillObjective(parts, FrozenNetworks(teacher, coach)))
    ends = [torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "parts")]
    for part in ("network", "train_only"):
        assert ends[0][part] and all(torch.equal(v, ends[1][part][k]) for k, v in ends[0][part].items())
    assert any(key.startswith("method.stats") for key in ends[0]["train_only"])
    assert not any("lidar" in key for key in ends[0]["train_only"]), "the teacher is not saved with the student"
    network_again, its_config, _ = trained_network(folder, "last")
    assert its_config == whole
    assert set(network_again.state_dict()) == set(network("student").state_dict())


def test_every_method_starts_from_the_same_student(tmp_path):
    starts = []
    for method in ("none", "mapkd", "bridgeta"):
        c = plan(tmp_path, method=method)
        torch.manual_seed(7)
        student = training.build_model("student", c.grid, SIZE, STUDENT)
        DistillObjective(c, FrozenNetworks(network(TEACHER, 2), network(COACH, 3))).prepare(student)
        torch.manual_seed(7)
        training.build_model("student", c.grid, SIZE, STUDENT)
        starts.append((student.state_dict(), student.training))
    for state, mode in starts[1:]:
        assert all(torch.equal(v, starts[0][0][k]) for k, v in state.items()) and mode


def test_without_a_method_it_is_the_task_alone(tmp_path):
    c = plan(tmp_path, method="none")
    objective, batch, student = DistillObjective(c, FrozenNetworks(None)), batch_of(), network("student")
    objective.prepare(student)
    prediction = student(batch)
    terms, weights = objective.terms(prediction, batch, 0)
    assert weigh(terms, weights) == weigh(task_terms(prediction, batch, c.loss), c.loss)
    assert list(objective.modules.parameters()) == []


def plain_and_distilled(tmp_path):
    """The student of a run without a method and of one whose method adds most to training."""
    students = []
    for method in ("none", "mapdistill"):
        c = plan(tmp_path, name=method, method=method, steps=1)
        objective = DistillObjective(c, FrozenNetworks(None if method == "none" else network(TEACHER, 2)))
        students.append(trained_network(training.train(c, objective), "last")[0])
    return students


def test_what_is_deployed_is_the_same_with_and_without_distillation(tmp_path):
    plain, distilled = plain_and_distilled(tmp_path)
    shapes = [{k: tuple(v.shape) for k, v in student.state_dict().items()} for student in (plain, distilled)]
    assert shapes[0] == shapes[1] and repr(plain) == repr(distilled)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in distilled.modules())
    assert any(not torch.equal(v, distilled.state_dict()[k]) for k, v in plain.state_dict().items()), "nothing learned"


@pytest.mark.slow
def test_exported_operators_are_the_same_with_and_without_distillation(tmp_path):
    card = ModelCard("any", "1", "student", {}, GRID, (176, 64))
    students = enumerate(plain_and_distilled(tmp_path))
    plain, distilled = (export_onnx(s, tmp_path / f"{i}.onnx", card)[1] for i, s in students)
    assert plain == distilled and sum(plain.values()) > 20


def test_processes_all_hold_a_gradient_for_every_train_only_parameter(tmp_path):
    c = plan(tmp_path, method="bevdistill")
    objective, student = DistillObjective(c, FrozenNetworks(network(TEACHER, 2))), network("student")
    objective.prepare(student)
    batch = batch_of(with_lines=False)  # no instance: the contrast has nothing to say
    weigh(*objective.terms(student(batch), batch, 0)).backward()
    assert all(p.grad is not None for p in objective.modules.parameters())
    assert any(p.grad.abs().sum() == 0 for p in objective.modules.parameters())


def test_a_coach_that_no_term_reads_is_not_run(tmp_path):
    batch, student, coach, asked = batch_of(), network("student"), network(COACH, 3), []
    coach.register_forward_hook(lambda *_: asked.append(1))
    for method, calls in (("kd_logit", 0), ("mapkd", 1), ("predictable", 1)):
        objective = DistillObjective(plan(tmp_path, method=method), FrozenNetworks(network(TEACHER, 2), coach))
        objective.prepare(student)
        asked.clear()
        objective.terms(student(batch), batch, 0)
        assert len(asked) == calls, method


def test_a_dualdistill_student_inherits_the_head(tmp_path):
    teacher, student = network(TEACHER, 2), network("mapkd_student", 1)
    DistillObjective(plan(tmp_path, method="dualdistill"), FrozenNetworks(teacher)).prepare(student)
    theirs = teacher.encode.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in student.encode.state_dict().items())


def test_weights_are_calibrated_by_the_ratio_of_gradients(tmp_path):
    c = plan(tmp_path, method="kd_mse", calibrate_steps=4, method_options={"feature_weight": 1e4})
    objective, batch, student = DistillObjective(c, FrozenNetworks(network(TEACHER, 2))), batch_of(), network("student")
    objective.prepare(student)
    prediction = student(batch)
    terms, weights = objective.terms(prediction, batch, 0)
    deep = prediction.taps["deep"]
    kd = torch.autograd.grad(terms["kd_feature"] * 1e4, deep, retain_graph=True)[0].norm()
    task = torch.autograd.grad(weigh(task_terms(prediction, batch, c.loss), c.loss), deep, retain_graph=True)[0].norm()
    assert kd > task
    # From the very first step: a run of a few hundred steps does not recover from weights that are far too large.
    settled = pytest.approx(1e4 * 0.3 * (task / kd).item(), rel=1e-4)
    assert weights["kd_feature"] == settled and weights["calibration_factor"] == 0
    _, weights = objective.terms(student(batch), batch, 4)
    assert weights["kd_feature"] == settled


def test_calibration_rests_inside_its_band_and_remembers():
    for ratio, factor in ((0.5, 1.0), (5.0, 0.06), (0.03, 10.0)):
        calibration = Calibration(8)
        for step in range(8):
            if calibration.wants(step):
                calibration.take(step, torch.tensor(ratio))
        assert not calibration.done
        calibration.settle(8)
        assert calibration.done and calibration.factor.item() == pytest.approx(factor)
        again = Calibration(8)
        again.load_state_dict(calibration.state_dict())
        assert again.done and again.factor == calibration.factor
    assert Calibration(0).done


def test_networks_on_another_grid_are_refused(tmp_path):
    small = replace(config().grid, x_range_m=(-6.0, 6.0))
    with pytest.raises(ValueError, match="must share one grid"):
        DistillObjective(plan(tmp_path, grid=small), FrozenNetworks(network(TEACHER, 2))).prepare(network("student"))


def test_a_method_without_a_teacher_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a teacher"):
        plan(tmp_path, teacher="")


def unlabelled_batch():
    """Two samples, of the second of which nobody knows the lines."""
    batch = batch_of(2, seed=7)
    semantic = batch.semantic.clone()
    semantic[1] = 0
    semantic[1, 0] = 1
    return replace(batch, semantic=semantic, elements=[batch.elements[0], ()], labelled=torch.tensor([True, False]))


@pytest.mark.parametrize("method", ["none", "kd_logit", "mapkd"])
def test_where_labels_are_unknown_the_teachers_map_stands_in(tmp_path, method):
    teacher, batch = network(TEACHER, 2), unlabelled_batch()
    frozen = FrozenNetworks(teacher, network(COACH, 3), partial(draw_unknown_labels, grid=GRID))
    student = network("student", 1)
    found = {}
    for pseudo in (True, False):
        mine = plan(tmp_path, method=method, pseudo_labels=pseudo)
        objective = DistillObjective(mine, frozen)
        objective.prepare(student)
        prediction = student(batch)
        terms, _ = objective.terms(prediction, batch, 0)
        found[pseudo] = terms
        wanted = frozen.with_drawn_labels(batch) if pseudo else batch
        for name, expected in task_terms(prediction, wanted, mine.loss).items():
            torch.testing.assert_close(terms[name], expected)
    assert found[True]["semantic"] != found[False]["semantic"]
    for name in found[True]:
        if name.startswith("kd_") and name != "kd_all_used":  # the method sees the drawn map in any case
            torch.testing.assert_close(found[True][name], found[False][name], msg=name)


def test_frames_without_labels_need_somebody_who_labels_them(tmp_path):
    mine = plan(tmp_path, method="none")
    data = replace(mine.data, unlabelled="drives")
    with pytest.raises(ValueError, match="pseudo_labels need a teacher"):
        replace(mine, data=data, teacher="")
    with pytest.raises(ValueError, match="use `mapkd distill`"):
        TaskObjective(replace(mine, data=data))
