"""The teacher's map in the place of labels: where they are missing, and only there."""
from dataclasses import replace

import torch
from distill_bench import GRID
from toy import ToySamples

from mapkd_core.data.dataset import Collate
from mapkd_core.training.pseudo_labels import draw_unknown_labels
from mapkd_core.types import Prediction


def samples():
    known, hidden = ToySamples()[1], ToySamples()[4]
    return known, hidden, replace(hidden, elements=(), labelled=False)


def test_a_teacher_that_knows_gives_back_the_labels():
    known, hidden, unknown = samples()
    whole, partly = Collate(GRID)([known, hidden]), Collate(GRID)([known, unknown])
    assert whole.labelled is None and partly.labelled.tolist() == [True, False]
    told = Prediction(8.0 * whole.semantic.float())
    drawn = draw_unknown_labels(partly, told, GRID)
    assert drawn.labelled is None and torch.equal(drawn.semantic, whole.semantic)
    assert {e.label for e in drawn.elements[1]} == {e.label for e in whole.elements[1]}
    same = ((drawn.instance[1] > 0) == (whole.instance[1] > 0)).float().mean()
    assert same > 0.95 and (drawn.direction[1] > 0).any()


def test_known_labels_stay_whatever_the_teacher_says():
    known, _, unknown = samples()
    partly = Collate(GRID)([known, unknown])
    wrong = Prediction(torch.randn(2, 4, *GRID.shape, generator=torch.Generator().manual_seed(0)))
    drawn = draw_unknown_labels(partly, wrong, GRID)
    for name in ("semantic", "instance", "direction"):
        assert torch.equal(getattr(drawn, name)[0], getattr(partly, name)[0])
    assert drawn.elements[0] == partly.elements[0]
    assert torch.equal(drawn.semantic[1].argmax(0), wrong.semantic[1].argmax(0))
    assert partly.labelled is not None and not partly.semantic[1, 1:].any(), "the batch itself stays as it was"


def test_outlines_of_what_nobody_labelled_are_the_teachers_crossings_alone():
    known, hidden, unknown = samples()
    partly = Collate(GRID, outlines=True)([unknown, known])
    partly.outlines[1] = ("the labels' own",)
    logits = 8.0 * Collate(GRID)([hidden, known]).semantic.float()
    for top in (GRID.rows // 2 - 12, GRID.rows // 2 + 5):
        logits[0, :, top : top + 7, 20:60] = 0.0
        logits[0, 2, top : top + 7, 20:60] = 8.0
    drawn = draw_unknown_labels(partly, Prediction(logits), GRID)
    (ring,) = drawn.outlines[0]
    assert (ring.label, ring.closed) == ("ped_crossing", True) and drawn.outlines[1] == ("the labels' own",)
    assert [e.closed for e in drawn.elements[0] if e.label == "ped_crossing"] == [False, False]
    assert Collate(GRID)([unknown, known]).outlines is None
    assert draw_unknown_labels(Collate(GRID)([unknown, known]), Prediction(logits), GRID).outlines is None
