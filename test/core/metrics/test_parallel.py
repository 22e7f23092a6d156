"""Frames are scored in order whatever the number of processes, and pooled hits are ranked over all frames."""
from typing import ClassVar

import numpy as np
import pytest

from mapkd_core.metrics import parallel
from mapkd_core.metrics.parallel import map_frames
from mapkd_core.metrics.pooled import FrameMatches, nearest_hits, pooled_ap

EMPTY = np.zeros(0)


class Engine:
    """Works in this process; keeps how many it was to have, and how many frames came at a time."""

    made: ClassVar = []

    def __init__(self, processes):
        self.alone, self.sizes = processes <= 1, []
        self.made.append((processes, self.sizes))

    def map(self, job, chunks):
        for chunk in chunks:
            self.sizes.append(len(chunk[0]))
            yield job(chunk)


@pytest.mark.parametrize(("processes", "count", "chosen", "sizes"), [
    (1, 20, 1, 20 * [1]), (3, 16, 1, 16 * [1]), (3, 17, 3, [16, 1]), (2, 40, 2, [16, 16, 8]),
])  # fmt: skip
def test_every_frame_is_scored_once_in_order(monkeypatch, processes, count, chosen, sizes):
    monkeypatch.setattr(parallel, "LocalEngine", Engine)
    monkeypatch.setattr(Engine, "made", [])
    found = map_frames(lambda a, b: (a, b), list(range(count)), [10 * k for k in range(count)], processes)
    assert found == [(k, 10 * k) for k in range(count)] and Engine.made == [(chosen, sizes)]


def test_both_sides_have_one_entry_a_frame():
    with pytest.raises(ValueError, match="2 predictions for 3 truths"):
        map_frames(lambda a, b: 0, [1, 2], [1, 2, 3])
    assert map_frames(lambda a, b: 0, [], []) == []


def test_each_prediction_takes_its_nearest_truth_in_the_order_given():
    distance = np.array([[0.3, 0.1], [0.2, 0.05], [0.4, 9.0]])
    assert nearest_hits(distance, distance < 1, np.array([0, 1, 2])).tolist() == [True, False, True]
    assert nearest_hits(distance, distance < 1, np.array([1, 0, 2])).tolist() == [False, True, True]
    assert nearest_hits(distance, distance < 0.35, np.array([1, 2, 0])).tolist() == [False, True, False]
    assert nearest_hits(np.zeros((2, 0)), np.zeros((2, 0), bool), np.arange(2)).tolist() == [False, False]
    assert nearest_hits(np.zeros((0, 2)), np.zeros((0, 2), bool), np.arange(0)).tolist() == []


def test_hits_of_all_frames_are_ranked_together_class_by_class():
    def frame(scores, hits, truths):
        none = np.zeros((2, 0), bool)
        return FrameMatches((EMPTY, np.array(scores), EMPTY), (none, np.array(hits), none), (0, truths, 3))

    frames = [frame([0.2, 0.9], [[True, False], [False, False]], 4), frame([0.5], [[True], [True]], 1)]
    asked = []
    result = pooled_ap(
        "d", (0.5, 1.0), frames, lambda score: np.argsort(-score),
        lambda ranked, truths: asked.append((ranked.tolist(), truths)) or len(asked),
    )
    assert asked == [([False, True, True], 5), ([False, True, False], 5), ([], 6), ([], 6)]
    assert np.isnan(result.ap[0]).all() and result.ap[1:].tolist() == [[1, 2], [3, 4]]
    assert (result.definition, result.thresholds_m, result.frames) == ("d", (0.5, 1.0), 2)
    assert np.isnan(pooled_ap("d", (0.5,), [], lambda s: np.argsort(s), lambda r, t: 1.0).ap).all()
