"""What validations measure: every frame of every process once, the last layer's elements, crossings as rings."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hand_step import GRID, LINES, batch_by_hand

from mapkd_core.config import TrainConfig
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.training.validation import MapValidation, VectorValidation
from mapkd_core.types import MapElement, Prediction

ALONE = SimpleNamespace(world_size=1, device="cpu", all_reduce=lambda counts, reduce_op: counts)


def line(label, y, closed=False):
    points = [(-5, y), (5, y), (5, y + 2), (-5, y + 2), (-5, y)] if closed else [(-5, y), (5, y)]
    return MapElement(label, np.array(points, np.float32), closed=closed)


def test_a_maps_iou_is_over_the_frames_of_all_processes():
    batch = batch_by_hand()
    logits = torch.randn(2, 4, *GRID.shape, generator=torch.Generator().manual_seed(0))
    validation, alone = MapValidation(TrainConfig(grid=GRID)), IouMeter()
    for _ in range(2):
        validation.see(batch, Prediction(logits))
        alone.update(logits, batch.semantic)
    assert len(validation.images._kept) == 4 and validation.score == "miou"
    torch.testing.assert_close(torch.from_numpy(validation.images._kept[1][0]), logits[1].softmax(0))
    asked = []

    def all_reduce(counts, reduce_op):
        asked.append(reduce_op)
        return counts + torch.tensor([[5, 6, 7, 8], [50, 60, 70, 80]])  # another process's

    result = validation.result(SimpleNamespace(world_size=2, device="cpu", all_reduce=all_reduce))
    expected = (alone.intersection + [5, 6, 7, 8]) / (alone.union + [50, 60, 70, 80])
    assert asked == ["sum"] and result["miou"] == pytest.approx(expected[1:].mean(), rel=1e-5)
    assert [result[c] for c in ("divider", "ped_crossing", "boundary")] == pytest.approx(expected[1:], rel=1e-5)


def vectors(elements, scores, layers=2):
    """A prediction of elements in its last layer, and of nonsense in those before."""
    points = torch.full((layers, 1, len(elements), 5, 2), 50.0)
    logits = torch.full((layers, 1, len(elements), 3), 4.0)
    for v, (element, score) in enumerate(zip(elements, scores, strict=True)):
        ends = element.points_m if len(element.points_m) == 5 else np.linspace(*element.points_m[[0, -1]], 5)
        points[-1, 0, v] = torch.from_numpy(ends)
        logits[-1, 0, v] = torch.logit(torch.tensor(score))
    return SimpleNamespace(logits=logits.half(), points_m=points)


def frame(elements, outlines=()):
    batch = batch_by_hand(LINES[:1])
    batch.elements, batch.outlines = [tuple(elements)], [tuple(outlines)]
    return batch


RING, EDGES = line("ped_crossing", -2, closed=True), (line("ped_crossing", -2), line("ped_crossing", 0))
TRUE = [line("divider", 2), *EDGES]


def test_elements_are_the_last_layers_with_a_score_for_each_class_and_crossings_are_rings():
    validation = VectorValidation(TrainConfig(grid=GRID))
    scores = [(0.8, 0.3, 0.1), (0.6, 0.7, 0.2)]
    validation.see(frame(TRUE, (RING,)), vectors([TRUE[0], RING], scores))
    (matches,) = validation.frames
    for label, given in enumerate(zip(*scores, strict=True)):
        assert sorted(matches.scores[label]) == pytest.approx(sorted(given), abs=2e-3), "each class by itself"
    assert matches.truths == (1, 1, 0), "the ring for the crossing, not its edges"
    assert [hits.sum() for hits in matches.hits[0]] == [1, 1, 1] == [hits.sum() for hits in matches.hits[1]]
    found, true = validation.images._kept[0][1:]
    assert {e.score >= 0.3 for e in found} == {True} and [e.label for e in true] == ["divider", "ped_crossing"]


def test_the_least_score_is_that_of_what_lies_within_a_metre():
    """A second line with a score of 0.5 lies 1.2 m from the true one: it is not to be shown."""
    validation = VectorValidation(TrainConfig(grid=GRID))
    found = [line("divider", 2), line("divider", -0.8)]
    scores = [(0.9, 0.01, 0.01), (0.5, 0.01, 0.01)]
    validation.see(frame([line("divider", 2), line("divider", -2)]), vectors(found, scores))
    validation.result(ALONE)
    assert 0.5 < validation.least_score < 0.53


def test_the_ap_is_over_the_frames_of_all_processes(monkeypatch):
    mine, theirs = (VectorValidation(TrainConfig(grid=GRID)) for _ in range(2))
    mine.see(frame(TRUE[:1]), vectors([line("divider", 2)], [(0.9, 0.1, 0.1)]))
    theirs.see(frame(TRUE[:1]), vectors([line("divider", -3)], [(0.8, 0.1, 0.1)]))

    def gather(parts, frames):
        assert frames is mine.frames
        parts[:] = [mine.frames, theirs.frames]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    alone = mine.result(ALONE)
    assert alone["ap_divider"] == pytest.approx(1) and mine.score == "ap_chamfer"
    both = mine.result(SimpleNamespace(world_size=2))
    assert both["ap_divider"] == pytest.approx(0.5), "one of two true lines"
    nobody = VectorValidation(TrainConfig(grid=GRID)).result(ALONE)
    assert nobody == {"ap_chamfer": 0.0, "ap_divider": 0.0, "ap_ped_crossing": 0.0, "ap_boundary": 0.0}
