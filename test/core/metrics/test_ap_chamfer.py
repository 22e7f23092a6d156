import itertools
from dataclasses import replace

import numpy as np
import pytest
from reference_frames import random_lines, reference, reference_frames, shipped, tie_tolerance

from mapkd_core.metrics.ap_chamfer import ap_chamfer, pair_distances_m
from mapkd_core.types import CLASSES, MapElement


def records(frames):
    return [
        [{"pts": e.points_m, "type": CLASSES.index(e.label), "confidence_level": e.score} for e in elements]
        for elements in frames
    ]


def line(points, score=1.0, label="divider", closed=False):
    return MapElement(label, np.array(points, float), score, closed)


def test_compatible_form_equals_the_published_evaluator_on_the_shipped_frames():
    predictions, truths, thresholds, expected = shipped()
    found = ap_chamfer(predictions, truths, thresholds).ap
    np.testing.assert_allclose(found, expected["ap_chamfer"], rtol=0, atol=tie_tolerance())


WITHOUT_TIES = [
    [0.04924454912543297, 0.22931906580924988, 0.3892754018306732, 0.4352879822254181],
    [0.21429555118083954, 0.4759044349193573, 0.6419169306755066, 0.7561827301979065],
    [0.1161172166466713, 0.31515154242515564, 0.41545456647872925, 0.45666664838790894],
]
"""[class][threshold] of the shipped frames with distinct scores, by the executable definition of MapTR's AP."""


@pytest.mark.parametrize("corrected", [False, True])
def test_on_frames_without_equal_scores_both_forms_equal_the_published_evaluator_to_all_digits(corrected):
    predictions, truths, thresholds, _ = shipped()
    numbers = itertools.count()
    distinct = [[replace(e, score=0.99 * e.score + 1e-5 * next(numbers)) for e in frame] for frame in predictions]
    found = ap_chamfer(distinct, truths, thresholds, corrected).ap
    np.testing.assert_allclose(found, WITHOUT_TIES, rtol=0, atol=1.01e-7)


@pytest.mark.parametrize("thresholds", ["0.5/1.0/1.5", "0.2/0.5/1.0"])
def test_compatible_form_equals_the_printed_values_of_the_reference(thresholds):
    predictions, truths, golden = reference_frames(200)
    table = golden["ap_chamfer_maptr [threshold][class]"][thresholds]
    result = ap_chamfer(predictions, truths, [float(t) for t in thresholds.split("/")])
    np.testing.assert_allclose(result.ap.T, table, rtol=0, atol=tie_tolerance())


def test_compatible_form_equals_the_executable_definition_on_frames_with_equal_scores():
    predictions, truths, _ = reference_frames(40)
    thresholds = (0.5, 1.0, 1.5)
    expected = reference("protocols").maptr_ap(records(predictions), records(truths), thresholds)
    np.testing.assert_array_equal(ap_chamfer(predictions, truths, thresholds).ap.T, expected)


def test_compatible_form_equals_the_executable_definition_on_wild_lines():
    protocols = reference("protocols")
    rng = np.random.default_rng(4)
    truths = [random_lines(rng, 9, 3) for _ in range(6)]
    predictions = [
        [MapElement(e.label, e.points_m + rng.normal(0, 0.5, e.points_m.shape), float(rng.uniform())) for e in truth]
        # Short lines end to end with others: near, yet their flat-ended bands need not meet.
        + [MapElement(e.label, e.points_m[-1] + 0.3 + np.array([[0, 0], [0.4, 0.1]]), 0.5) for e in truth]
        for truth in truths
    ]

    expected = protocols.maptr_ap(records(predictions), records(truths), (0.5, 1.5, 4.0))
    np.testing.assert_array_equal(ap_chamfer(predictions, truths, (0.5, 1.5, 4.0)).ap.T, expected)


def test_flat_ended_bands_that_do_not_meet_make_a_pair_infinitely_far():
    short, beyond, beside = line([(0, 0), (0.2, 0)]), line([(0.5, 0), (0.7, 0)]), line([(0, 0.5), (0.2, 0.5)])
    distance = pair_distances_m([short], [beyond, beside], 1.5)
    assert np.isinf(distance[0, 0]) and distance[0, 1] == pytest.approx(0.5, abs=1e-6)


def test_bands_of_two_metres_to_either_side_meet_up_to_four():
    one = line([(0, 0), (20, 0)])
    apart = [line([(0, y), (20, y)]) for y in (1.0, 3.9, 4.1, -3.9, -4.1)]
    distance = pair_distances_m([one], apart, 10.0)[0]
    assert distance[[0, 1, 3]].tolist() == pytest.approx([1.0, 3.9, 3.9]) and np.isinf(distance[[2, 4]]).all()
    assert pair_distances_m([one], apart, 1.5)[0].tolist() == pytest.approx([1.0, 3.9, 4.1, 3.9, 4.1]), "a miss anyway"
    short = line([(5, 0), (6, 0)])
    beyond = [line([(x, 3.0), (x + 1, 3.0)]) for x in (5.9, 6.1)]
    assert np.isfinite(pair_distances_m([short], beyond, 10.0)[0]).tolist() == [True, False], "their ends are flat"


@pytest.mark.parametrize("corrected", [False, True])
def test_lines_whose_bands_do_not_meet_are_no_hit_at_any_threshold(corrected):
    truth, beyond = line([(0, 0), (0.2, 0)]), line([(0.5, 0), (0.7, 0)])
    assert ap_chamfer([[beyond]], [[truth]], (0.2, 1.5), corrected).ap[0].tolist() == [0, 0]


def test_second_nearest_truth_is_never_tried():
    truth = [line([(-10, 0), (10, 0)]), line([(-10, 1), (10, 1)])]
    found = [line([(-10, 0.1), (10, 0.1)], 0.9), line([(-10, 0.2), (10, 0.2)], 0.8)]
    result = ap_chamfer([found], [truth], (1.5,), corrected=True)
    assert result.per_class["divider"] == pytest.approx(0.5)


def test_rings_start_anywhere():
    square = np.array([(0, 0), (4, 0), (4, 10), (0, 10)], float)
    truth = [line([*square, square[0]], label="ped_crossing", closed=True)]
    turned = np.roll(square, 2, axis=0)
    assert ap_chamfer([[line([*turned, turned[0]], label="ped_crossing", closed=True)]], [truth], (0.2,)).mean == 1
    assert ap_chamfer([[line(turned, label="ped_crossing", closed=True)]], [truth], (0.2,)).mean == 1
    assert ap_chamfer([[line(square[:2], label="ped_crossing")]], [truth], (0.2,)).mean == 0


def test_equal_scores_keep_frame_order_when_corrected():
    truth = [line([(-10, 0), (10, 0)])]
    right, wrong = [line([(-10, 0), (10, 0)], 0.5)], [line([(-10, 9), (10, 9)], 0.5)]
    first = ap_chamfer([right] + [wrong] * 3, [truth] * 4, (0.5,), corrected=True).mean
    last = ap_chamfer([wrong] * 3 + [right], [truth] * 4, (0.5,), corrected=True).mean
    assert first == pytest.approx(0.25) and last == pytest.approx(0.0625)


def test_nothing_at_all_is_not_a_number():
    result = ap_chamfer([[]], [[]])
    assert np.isnan(result.ap).all() and result.as_dict()["mAP"] is None


def test_the_corrected_form_sums_in_double_precision_and_the_compatible_one_in_single():
    truth = [line([(-10, y), (10, y)]) for y in (-8, 0, 8)]
    found = [line([(-10, 0), (10, 0)])]
    corrected, compatible = (ap_chamfer([found], [truth], (0.5,), corrected=c) for c in (True, False))
    assert corrected.per_class["divider"] == 1 / 3 and compatible.per_class["divider"] == float(np.float32(1 / 3))
    assert (corrected.definition, compatible.definition) == ("ap_chamfer_corrected", "ap_chamfer")
