"""Matched queries piece by piece: which of a teacher's elements teach, in which orders, and how samples add up."""
import numpy as np
import pytest
import torch
from torch import nn

from mapkd_core.distill import matched_queries
from mapkd_core.distill.interface import DistillStep, Networks
from mapkd_core.distill.matched_queries import MatchedQueries, MatchedQueriesConfig
from mapkd_core.grid import BevGrid
from mapkd_core.types import VectorPrediction

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def predicted(seed, samples=1, vectors=5, layers=2):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(layers, samples, vectors, 4, 2, generator=generator) * torch.tensor([24.0, 12.0])
    logits = 2 * torch.randn(layers, samples, vectors, 3, generator=generator)
    taps = {"deep": torch.randn(samples, 6, 2, 4, generator=generator)}
    return VectorPrediction(logits.requires_grad_(), (points - torch.tensor([12.0, 6.0])).requires_grad_(), taps)


def method_for(student, teacher, **options):
    step = DistillStep(student, teacher, None, None, None, 0)
    return MatchedQueries(Networks(step, nn.Module(), GRID), MatchedQueriesConfig(**options)), step


def part(prediction, sample):
    return VectorPrediction(
        prediction.logits[:, sample : sample + 1], prediction.points_m[:, sample : sample + 1],
        {"deep": prediction.taps["deep"][sample : sample + 1]},
    )


def test_samples_add_up_and_the_whole_is_divided_by_the_elements_of_all():
    student, teacher = predicted(0, samples=3), predicted(1, samples=3, vectors=6)
    with torch.no_grad():
        teacher.logits[:, 1] -= 2.5
        teacher.logits[:, 2] -= 1.5
    method, step = method_for(student, teacher)
    together = method.terms(step)
    alone, counts = [], []
    for sample in range(3):
        one, its = method_for(part(student, sample), part(teacher, sample))
        counts.append(len(one.elements(its.teacher, 0)[1]))
        alone.append(one.terms(its))
    assert len(set(counts)) > 1 and min(counts) > 0
    for name in ("class", "points"):
        expected = sum(c * t[name].item() for c, t in zip(counts, alone, strict=True)) / sum(counts)
        assert together[name].item() == pytest.approx(expected, rel=1e-5), name
    assert together["feature"].item() == pytest.approx(np.mean([t["feature"].item() for t in alone]), rel=1e-5)


def test_every_layer_of_the_student_learns_from_the_last_one_of_the_teacher():
    student, teacher = predicted(0), predicted(1)
    method, step = method_for(student, teacher)
    terms = method.terms(step)
    for name, leaf in (("class", student.logits), ("points", student.points_m)):
        (gradient,) = torch.autograd.grad(terms[name], leaf, retain_graph=True)
        assert all(layer.abs().sum() > 0 for layer in gradient), name
        assert torch.autograd.grad(terms[name], [teacher.logits, teacher.points_m], retain_graph=True,
                                   allow_unused=True) == (None, None)  # fmt: skip
    with torch.no_grad():
        teacher.logits[0] += 3.0
        teacher.points_m[0] += 3.0
    again = method.terms(step)
    assert {n: t.item() for n, t in again.items()} == pytest.approx({n: t.item() for n, t in terms.items()})


def test_elements_teach_from_the_least_score_on():
    teacher = predicted(1, vectors=4)
    with torch.no_grad():
        teacher.logits[-1, 0] = torch.tensor([[0.0, -9, -9], [-1e-3, -9, -9], [-9, 1, -9], [-9, -9, -1]])
    method, _ = method_for(predicted(0), teacher, least_score=0.5)
    targets, scores = method.elements(teacher, 0)
    assert targets.labels.tolist() == [0, 1] and scores[:, :2].diag().tolist() == pytest.approx([0.5, 0.7311], abs=1e-4)


def test_a_crossing_is_a_ring_that_begins_anywhere_and_a_line_runs_both_ways():
    teacher = predicted(1, vectors=2)
    line = torch.tensor([(-12.0, 0.0), (-6.0, 3.0), (0.0, 3.0), (6.0, 6.0)])
    ring = torch.tensor([(0.0, 0.0), (6.0, 0.0), (6.0, 3.0), (0.1, 0.1)])  # its end almost where it begins
    with torch.no_grad():
        teacher.logits[-1, 0] = torch.tensor([[3.0, 0, 0], [0, 3.0, 0]])
        teacher.points_m[-1, 0] = torch.stack([line, ring])
    method, _ = method_for(predicted(0), teacher)
    places = method.elements(teacher, 0)[0].places.numpy()

    def shares(points):
        return (np.array(points) + [12, 6]) / [24, 12]

    both = [shares(line), shares(line)[::-1]]
    np.testing.assert_allclose(places[0], both * 3, atol=1e-6)
    a, b, c = (0.0, 0.0), (6.0, 0.0), (6.0, 3.0)
    expected = [(a, b, c, a), (b, c, a, b), (c, a, b, c), (a, c, b, a), (c, b, a, c), (b, a, c, b)]
    found = {tuple(map(tuple, order.round(5).tolist())) for order in places[1]}
    assert found == {tuple(map(tuple, shares(order).round(5).tolist())) for order in expected}


def test_pairs_are_found_by_the_methods_own_weights(monkeypatch):
    asked = []
    real = matched_queries.match
    monkeypatch.setattr(matched_queries, "match", lambda *given: asked.append(given[3:]) or real(*given))
    student, teacher = predicted(0), predicted(1)
    method, step = method_for(student, teacher, class_weight=1.5, points_weight=7.0)
    method.terms(step)
    assert asked == [(1.5, 7.0)] * 2 and method.weights() == {"class": 1.5, "points": 7.0, "feature": 1.0}


def test_weights_and_least_score_are_the_tasks_own():
    assert vars(MatchedQueriesConfig()) == {
        "class_weight": 2.0, "points_weight": 5.0, "feature_weight": 1.0, "least_score": 0.3
    }
    assert MatchedQueries.vectors and MatchedQueries.calibration_tap == "deep"
