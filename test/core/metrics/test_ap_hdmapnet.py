import numpy as np
import pytest
import torch
from reference_frames import random_lines, reference, reference_frames, shipped

from mapkd_core.grid import BevGrid
from mapkd_core.metrics import raster_ap
from mapkd_core.metrics.ap_hdmapnet import ap_hdmapnet
from mapkd_core.metrics.drawing import draw
from mapkd_core.types import MapElement

GRID = BevGrid()


def line(label, points, score=1.0):
    return MapElement(label, np.array(points, float), score)


def test_compatible_form_equals_the_published_evaluator_on_the_shipped_frames():
    predictions, truths, thresholds, expected = shipped()
    result = ap_hdmapnet(predictions, truths, GRID, thresholds)
    np.testing.assert_allclose(result.ap, expected["ap_hdmapnet"], atol=1.01e-7)
    assert result.definition == "ap_hdmapnet" and result.frames == 10


@pytest.mark.slow
def test_compatible_form_equals_the_printed_values_of_the_reference():
    predictions, truths, golden = reference_frames(200)
    table = golden["ap_hdmapnet [class][threshold]"]["0.2/0.5/1.0"]
    result = ap_hdmapnet(predictions, truths, GRID)
    np.testing.assert_allclose(result.ap, table, atol=1.5e-7)


@pytest.mark.parametrize("seed", range(3))
def test_compatible_form_equals_the_executable_definition_on_wild_lines(seed):
    protocols = reference("protocols")
    rng = np.random.default_rng(seed)
    truths = [random_lines(rng, 7, 4) for _ in range(3)]
    predictions = [
        [MapElement(e.label, e.points_m + rng.normal(0, 0.3, e.points_m.shape), float(rng.uniform())) for e in truth]
        + random_lines(rng, 2, 3)
        for truth in truths
    ]
    drawn, wanted = [draw(p, GRID) for p in predictions], [draw(t, GRID) for t in truths]
    thresholds = (0.2, 0.5, 1.0, 2.0)
    reference_ap = protocols.hdmapnet_ap(
        [d.ids for d in drawn], [d.confidence for d in drawn], [w.ids for w in wanted], 0.15, 0.15, thresholds
    )
    # One unit in the last place: NumPy 1 divides the sum over recalls in double precision, torch and NumPy 2 do not.
    np.testing.assert_allclose(ap_hdmapnet(predictions, truths, GRID, thresholds).ap, reference_ap, atol=1.2e-7)


def test_perfect_predictions_score_one_and_absent_classes_count_for_nothing():
    truth = [line("divider", [(-20, 0), (20, 0)]), line("boundary", [(-20, 7), (20, 7)])]
    for corrected in (False, True):
        result = ap_hdmapnet([truth], [truth], GRID, corrected=corrected)
        np.testing.assert_array_equal(result.ap[[0, 2]], 1)
        assert np.isnan(result.ap[1]).all() and result.mean == 1


def test_corrected_form_ranks_by_descending_confidence():
    truth = [line("divider", [(-20, 0), (20, 0)])]
    found = [line("divider", [(-20, 0), (20, 0)], 0.9), line("divider", [(-20, 5), (20, 5)], 0.1)]
    assert ap_hdmapnet([found], [truth], GRID, corrected=True).mean == 1
    # Ascending: the false positive comes first, so the precision at every recall is one half.
    assert ap_hdmapnet([found], [truth], GRID).mean == pytest.approx(0.5)


def test_corrected_form_keeps_the_pieces_of_a_line_together():
    leaves_twice = [(-20, 14), (-5, 20), (5, 14), (15, 20), (20, 14)]
    truth = [line("boundary", leaves_twice)]
    found = [line("boundary", leaves_twice, 0.8)]
    assert ap_hdmapnet([found], [truth], GRID, corrected=True).mean == 1
    assert len(np.unique(draw(truth, GRID).ids)) > 2  # the compatible form counts the pieces


def test_frames_with_only_predictions_count_zero():
    truth = [line("divider", [(-20, 0), (20, 0)])]
    result = ap_hdmapnet([truth, truth], [truth, []], GRID)
    assert result.per_class["divider"] == pytest.approx(0.5)


def test_several_processes_give_the_same_numbers():
    predictions, truths, thresholds, _ = shipped()
    alone = ap_hdmapnet(predictions * 2, truths * 2, GRID, thresholds)
    together = ap_hdmapnet(predictions * 2, truths * 2, GRID, thresholds, processes=2)
    np.testing.assert_array_equal(alone.ap, together.ap)


def test_unpaired_frames_are_refused():
    with pytest.raises(ValueError, match="1 predictions for 2 truths"):
        ap_hdmapnet([[]], [[], []], GRID)


def test_seven_hits_of_ten_reach_recall_seven_tenths_only_when_corrected():
    # torch.linspace(0.1, 1, 10) holds 0.70000005, which the released evaluator compares with the float32 7 / 10.
    truth = [line("divider", [(-25, y), (25, y)]) for y in np.arange(-13.5, 14, 3)]
    assert len(truth) == 10
    assert ap_hdmapnet([truth[:7]], [truth], GRID).mean == pytest.approx(0.6)
    assert ap_hdmapnet([truth[:7]], [truth], GRID, corrected=True).mean == pytest.approx(0.7)
    np.testing.assert_array_equal(raster_ap._RECALLS, torch.linspace(0.1, 1, 10).numpy())
