"""The proof of an export: what counts as the same map, and that it is run on frames that need no files."""
from dataclasses import replace

import numpy as np
import pytest
from tiny_student import SIZE

from mapkd_core.artifact import ModelCard
from mapkd_core.export.parity import compare, element_difference, proof_frames
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
    ([replace(LINE, label="boundary")], "element 0 is a boundary of 2 points, expected a divider of 2"),
    ([replace(LINE, points_m=LINE.points_m + 0.01)], "element 0, a divider, is up to 10.0 mm away"),
])  # fmt: skip
def test_what_counts_as_the_same_map(found, words):
    assert element_difference([LINE], found) == words


def test_comparison_on_simulated_frames():
    frames = list(proof_frames(None, SIZE, 2))
    assert len(frames) == 2 and len({frame.token for frame in frames}) == 2
    parity = compare(Fixed([LINE]), Fixed([LINE], 0.01), frames)
    assert (parity.frames, parity.elements, parity.differences) == (2, 2, [])
    assert parity.probability_error == pytest.approx(0.01, abs=1e-6)
    parity = compare(Fixed([LINE]), Fixed([]), frames[:1])
    assert parity.differences == [f"{frames[0].scene} {frames[0].token}: 0 elements, expected 1"]
    with pytest.raises(ValueError, match="no frame to compare on"):
        compare(Fixed([]), Fixed([]), [])
