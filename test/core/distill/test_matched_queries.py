"""Vector networks that teach vector students: terms by hand, who is refused, steps of the loop with each teacher."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import SIZE, ToySamples

from mapkd_core.artifact import ModelCard, save_artifact
from mapkd_core.config import DataConfig, LossConfig
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.interface import DistillStep, Networks
from mapkd_core.distill.matched_queries import MatchedQueries, MatchedQueriesConfig, soft_focal
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.distill.probe import probe_batch
from mapkd_core.distill.regions import Regions
from mapkd_core.grid import BevGrid
from mapkd_core.losses import weigh
from mapkd_core.model.build import build_model
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training
from mapkd_core.training.teachers import frozen_networks
from mapkd_core.types import Prediction, VectorPrediction

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
OPTIONS = {
    "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 16, "hidden": 16,
    "vectors": 5, "points": 4, "layers": 2, "heads": 4, "sampling_heads": 4,
}  # fmt: skip
RASTER = {"variant": "nano", "image_width": 8, "view_channels": 8, "bev_width": 8}


def config(folder, **changes):
    base = DistillConfig(
        name="run", out=str(folder), model="vector_student", model_options=OPTIONS, grid=GRID,
        data=DataConfig(image_size=SIZE), steps=2, batch_size=2, accelerator="cpu", val_every=100, log_every=1,
        loss=LossConfig(), method="matched_queries", teacher="any",
    )
    return replace(base, **changes)


def predicted(seed, layers=2, vectors=5, sure=2.0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(layers, 1, vectors, 4, 2, generator=generator) * torch.tensor([24.0, 12.0])
    logits = sure * torch.randn(layers, 1, vectors, 3, generator=generator)
    taps = {"deep": torch.randn(1, 6, 2, 4, generator=generator)}
    return VectorPrediction(logits.requires_grad_(), (points - torch.tensor([12.0, 6.0])).requires_grad_(), taps)


def method_and_step(student, teacher, **options):
    batch = probe_batch(config("unused"))
    step = DistillStep(student, teacher, None, batch, Regions(batch, GRID), 0)
    return MatchedQueries(Networks(step, torch.nn.Module(), GRID), MatchedQueriesConfig(**options)), step


def test_terms_are_sums_over_the_pairs():
    student, teacher = predicted(0), predicted(1, vectors=7)
    method, step = method_and_step(student, teacher)
    targets, scores = method.elements(teacher, 0)
    known = [v for v in range(7) if teacher.logits[-1, 0, v].sigmoid().max() >= 0.3]
    assert len(scores) == len(known) > 2
    assert targets.labels.tolist() == [int(teacher.logits[-1, 0, v].argmax()) for v in known]
    places = (student.points_m.detach() + torch.tensor([12.0, 6.0])) / torch.tensor([24.0, 12.0])
    classes = points = 0.0
    for layer in range(2):
        pairs = method.matched(student.logits[layer, 0].detach(), places[layer, 0], targets)
        teacher_of = dict(zip(pairs.predicted.tolist(), pairs.true.tolist(), strict=True))
        for v in range(5):
            for c in range(3):
                p = 1 / (1 + np.exp(-student.logits[layer, 0, v, c].item()))
                t = scores[teacher_of[v], c].item() if v in teacher_of else 0.0
                classes += (p - t) ** 2 * -(t * np.log(p) + (1 - t) * np.log(1 - p))
        for v, g, o in zip(*(side.tolist() for side in pairs), strict=True):
            apart = (places[layer, 0, v] - targets.places[g, o]).abs().sum().item()
            points += apart * scores[g].max().item()
    terms = method.terms(step)
    assert terms["class"].item() == pytest.approx(classes / len(known), rel=1e-4)
    assert terms["points"].item() == pytest.approx(points / len(known), rel=1e-4)
    feature = (student.taps["deep"] - teacher.taps["deep"]).square().mean()
    assert terms["feature"].item() == pytest.approx(feature.item())
    weigh(terms, method.weights()).backward()
    assert student.logits.grad.abs().sum() > 0 and student.points_m.grad.abs().sum() > 0
    assert teacher.logits.grad is None and teacher.points_m.grad is None


def test_a_student_that_gives_what_the_teacher_gives_is_left_alone():
    teacher = predicted(1, layers=1, sure=0.0)
    teacher = replace(teacher, logits=torch.full_like(teacher.logits, 0.5))
    backwards = teacher.points_m.detach().flip(-2)  # a line is the same in both directions
    labels = torch.zeros(1, 1, 5, dtype=torch.long)
    assert (teacher.logits.argmax(-1) == labels).all()
    student = VectorPrediction(teacher.logits.detach().clone(), backwards, dict(teacher.taps))
    method, step = method_and_step(student, teacher)
    assert all(term.item() == pytest.approx(0.0, abs=1e-5) for term in method.terms(step).values())
    assert soft_focal(torch.tensor([2.0]), torch.tensor([2.0]).sigmoid()) == 0


def test_a_teacher_that_is_sure_of_nothing_teaches_that():
    student, teacher = predicted(0), predicted(1)
    teacher = replace(teacher, logits=torch.full_like(teacher.logits, -5.0))
    method, step = method_and_step(student, teacher, feature_weight=0.0)
    terms = method.terms(step)
    assert set(terms) == {"class", "points"} and terms["points"] == 0
    assert terms["class"].item() == pytest.approx(soft_focal(student.logits, torch.zeros(2, 1, 5, 3)).item())


def test_networks_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="4 vertices, the teacher's 3"):
        teacher = predicted(1)
        method_and_step(predicted(0), replace(teacher, points_m=teacher.points_m[..., :3, :]))
    save_artifact(tmp_path / "raster.json", ModelCard("r", "1", "student", RASTER, GRID, SIZE),
                  build_model("student", GRID, SIZE, RASTER).state_dict())
    with pytest.raises(ValueError, match=r"raster.json predicts a map; the method 'matched_queries' compares vertices"):
        frozen_networks(config(tmp_path, teacher=str(tmp_path / "raster.json")))


def test_the_row_without_a_method_may_have_the_teacher_of_the_others(tmp_path):
    save_artifact(tmp_path / "vector.json", ModelCard("v", "1", "vector_student", OPTIONS, GRID, SIZE),
                  build_model("vector_student", GRID, SIZE, OPTIONS).state_dict())
    alone = config(tmp_path, teacher=str(tmp_path / "vector.json"), method="none")
    assert frozen_networks(alone).teacher is not None
    drawing = replace(alone, data=replace(alone.data, unlabelled="cache:streets"))
    with pytest.raises(ValueError, match=r"vector.json predicts vertices"):
        frozen_networks(drawing)


@pytest.mark.parametrize("method", ["matched_queries", "mapkd"])
def test_a_student_of_vertices_learns_from_either_teacher(tmp_path, monkeypatch, method):
    torch.manual_seed(1)
    model, options = ("vector_student", OPTIONS) if method == "matched_queries" else ("student", RASTER)
    save_artifact(tmp_path / "teacher.json", ModelCard("t", "1", model, options, GRID, SIZE),
                  build_model(model, GRID, SIZE, options).state_dict())
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples())
    teacher = str(tmp_path / "teacher.json")
    chosen = config(tmp_path, teacher=teacher, coach=teacher if method == "mapkd" else "", method=method)
    folder = training.train(chosen, DistillObjective(chosen, frozen_networks(chosen)))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    wanted = {"class", "points", "feature"} if method == "matched_queries" else {"feature_teacher", "response_coach"}
    assert {f"train/kd_{name}" for name in wanted} <= tags and "train/points" in tags


def test_methods_for_maps_see_the_map_beside_the_elements_alone():
    torch.manual_seed(1)
    student = predicted(0)
    with pytest.raises(ValueError, match="vertices and no map beside them"):
        student.dense()
    student = replace(student, semantic=torch.randn(1, 4, *GRID.shape))
    seen = DistillStep(student, student.dense(), None, None, None, 0).dense()
    assert type(seen.student) is Prediction and seen.student.semantic is student.semantic
    assert seen.student.taps is student.taps and seen.student.direction is None
