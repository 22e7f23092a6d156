"""OpenLane-V2's area metric, held to what its devkit gave for the same frames."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from area_frames import CASES, frames

from mapkd_core.metrics.openlane_area import STEP_M, AreaAp, area_points, devkit_frames
from mapkd_core.types import MapElement

DEVKIT = {
    "near": ([0.766234, 0.766234, 0.766234], [0.773414, 0.773414, 0.773414], 0.769824),
    "off": ([0.426446, 0.75915, 0.75915], [0.142857, 0.484849, 0.484849], 0.50955),
    "far": ([0.0, 0.060606, 0.181818], [0.018182, 0.163636, 0.390909], 0.135859),
    "exact": ([0.567493, 0.567493, 0.567493], [0.714448, 0.714448, 0.714448], 0.640971),
}
"""Case -> AP of crossings and of boundaries at 0.5, 1 and 1.5 m, and DET_a: openlanev2 2.1.0 (lane segment track) with
NumPy 1.26.4 and SciPy 1.15.3 on `devkit_frames` of the case."""


def score(predictions: dict, truths: dict) -> np.ndarray:
    definition = AreaAp()
    return definition.total([definition.frame(predictions[token], truths[token]) for token in truths]).ap


@pytest.mark.parametrize("case", DEVKIT)
def test_it_gives_what_the_devkit_gives(case: str) -> None:
    predictions, truths = frames(*CASES[case])
    crossings, boundaries, det_a = DEVKIT[case]
    found = score(predictions, truths)
    assert np.allclose(found[1], crossings, atol=1e-6) and np.allclose(found[2], boundaries, atol=1e-6)
    assert np.nanmean(found) == pytest.approx(det_a, abs=1e-6) and np.isnan(found[0]).all()


def test_how_often_a_line_is_sampled_does_not_matter() -> None:
    true = MapElement("boundary", np.array([[0.0, 3], [20, 3]]))
    fine = MapElement("boundary", np.column_stack([np.linspace(0, 20, 11), np.full(11, 3.1)]), 0.9)
    for one in (fine, replace(fine, points_m=fine.points_m[[0, 4, -1]])):
        assert score({"a": [one]}, {"a": [true]})[2].tolist() == [1, 1, 1]
    points = area_points(true)
    assert np.allclose(np.diff(points[:, 0]), STEP_M) and np.allclose(points[[0, -1]], true.points_m)


def test_each_truth_is_found_once_and_only_nearer_than_the_threshold() -> None:
    true = MapElement("boundary", np.array([[0.0, 0], [10, 0]]))

    def at(y_m: float, confidence: float) -> MapElement:
        return MapElement("boundary", np.array([[0.0, y_m], [10, y_m]]), confidence)

    assert score({"a": [at(0.5, 0.9)]}, {"a": [true]})[2].tolist() == [0, 1, 1]
    twice = score({"a": [at(0.1, 0.9), at(0.2, 0.8)]}, {"a": [true]})[2]
    other_first = score({"a": [at(5.0, 0.9), at(0.2, 0.8)]}, {"a": [true]})[2]
    assert twice.tolist() == [1, 1, 1] and np.allclose(other_first, 0.5)


def test_a_class_that_is_nowhere_is_left_out_and_one_that_is_missed_counts() -> None:
    true = MapElement("boundary", np.array([[0.0, 0], [10, 0]]))
    found = score({"a": []}, {"a": [true]})
    assert np.isnan(found[:2]).all() and found[2].tolist() == [0, 0, 0]


def test_frames_for_the_devkit_hold_areas_with_confidence_and_no_divider() -> None:
    predictions, truths = frames(1, 0.2)
    truth, found = devkit_frames(predictions, truths)
    assert truth.keys() == found["results"].keys() == truths.keys()
    for token, elements in predictions.items():
        areas = found["results"][token]["predictions"]["area"]
        assert len(areas) == sum(e.label != "divider" for e in elements)
        kinds = {"ped_crossing": 1, "boundary": 2}
        assert [area["category"] for area in areas] == [kinds[e.label] for e in elements if e.label in kinds]
        assert [area["confidence"] for area in areas] == [e.score for e in elements if e.label in kinds]
        assert all(len(area["points"][0]) == 3 for area in areas)
    assert not any("confidence" in area for area in truth["f0"]["annotation"]["area"])
    assert found["results"].keys() == devkit_frames({}, truths)[1]["results"].keys()


def test_a_true_ring_counts_its_first_vertex_once_and_a_predicted_one_twice() -> None:
    """As the devkit does: the distance of a square from a triangle that lacks its first corner, by hand."""
    square = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2], [0, 0]])
    triangle = np.array([[2.0, 0], [2, 2], [0, 2], [2, 0]])

    def mean_between(true: np.ndarray, predicted: np.ndarray) -> float:
        every = np.linalg.norm(true[:, None] - predicted, axis=-1)
        return float(every.min(1).mean() + every.min(0).mean()) / 2

    truth, found = (MapElement("ped_crossing", ring, 0.9, closed=True) for ring in (square, triangle))
    true, predicted = area_points(truth), area_points(found)
    assert len(true) == 17 and np.array_equal(true[0], true[-1]) and np.array_equal(predicted[0], predicted[-1])
    right, doubled = mean_between(true[:-1], predicted), mean_between(true, predicted)
    assert doubled - right > 0.01
    thresholds = (right - 1e-6, right + 1e-6, doubled - 1e-6)
    definition = AreaAp(thresholds)
    ap = definition.total([definition.frame([found], [truth])]).ap
    assert ap[1].tolist() == [0, 1, 1]
