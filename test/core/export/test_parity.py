"""The proof of an export: what counts as the same map, and that it is run on frames that need no files."""
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_student import SIZE

from mapkd_core.artifact import ModelCard
from mapkd_core.export import parity
from mapkd_core.export.parity import agreement, compare, element_difference, proof_frames
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import MapElement

LINE = MapElement("divider", np.array([[0.0, 1.0], [5.0, 1.0]], np.float32), 0.9)


class Fixed:
    """A predictor that always finds the same."""

    card = ModelCard("any", "1", "student", {}, BevGrid(), SIZE)

    def __init__(self, elements, shift=0.0):
        self.result = PredictedMap(elements, np.full((4, 2, 2), 0.25 + shift, np.float32))

    def predict_frame(self, frame):
        return self.result


@pytest.mark.parametrize(("found", "words"), [
    ([LINE], ""),
    ([replace(LINE, points_m=LINE.points_m + 1e-5)], ""),
    ([], "0 elements, expected 1"),
    ([LINE, LINE], "2 elements, expected 1"),
    ([replace(LINE, label="boundary")], "element 0 is a boundary of 2 points, expected a divider of 2"),
    ([replace(LINE, points_m=LINE.points_m + 0.01)], "element 0, a divider, is up to 10.0 mm away"),
])  # fmt: skip
def test_what_counts_as_the_same_map(found, words):
    assert element_difference([LINE], found) == words


class Maps(Fixed):
    """A predictor that gives one class map (rows of cells) after the other."""

    def __init__(self, *maps):
        self.maps = [np.eye(4, dtype=np.float32)[np.array(m)].transpose(2, 0, 1) for m in maps]

    def predict_frame(self, frame):
        return PredictedMap([], self.maps[frame])


def test_agreement_is_the_iou_of_the_cells_of_all_frames():
    one = Maps([[0, 1, 1, 3]], [[1, 0, 0, 3]])
    two = Maps([[1, 1, 0, 3]], [[1, 0, 3, 3]])
    assert agreement(one, two, range(2)) == {"divider": 2 / 4, "ped_crossing": 1.0, "boundary": 2 / 3}
    with pytest.raises(ValueError, match="no frame to compare on"):
        agreement(one, two, [])


@pytest.mark.parametrize("second", [[[0, 1]], [[0, 2]]])
def test_the_largest_error_of_all_frames_counts(second):
    by_scene = [SimpleNamespace(scene="s", token=str(k)) for k in range(2)]
    one, two = Maps([[0, 1]], second), Maps([[0, 2]], [[0, 2]])
    for role in (one, two):
        role.predict_frame = lambda frame, maps=role.maps: PredictedMap([], maps[int(frame.token)])
    assert compare(one, two, by_scene).probability_error == compare(one, two, by_scene[::-1]).probability_error == 1.0


def test_frames_are_spread_over_the_data(monkeypatch):
    monkeypatch.setattr(parity, "open_frames", lambda name, image_size: (range(11), name))
    assert list(proof_frames(None, SIZE, 3)) == [0, 5, 10] and list(proof_frames("d", SIZE, 99)) == list(range(11))


def test_comparison_on_simulated_frames():
    frames = list(proof_frames(None, SIZE, 2))
    assert len(frames) == 2 and len({frame.token for frame in frames}) == 2
    found = compare(Fixed([LINE]), Fixed([LINE], 0.01), frames)
    assert (found.frames, found.elements, found.differences) == (2, 2, [])
    assert found.probability_error == pytest.approx(0.01, abs=1e-6)
    found = compare(Fixed([LINE]), Fixed([]), frames[:1])
    assert found.differences == [f"{frames[0].scene} {frames[0].token}: 0 elements, expected 1"]
    with pytest.raises(ValueError, match="no frame to compare on"):
        compare(Fixed([]), Fixed([]), [])
