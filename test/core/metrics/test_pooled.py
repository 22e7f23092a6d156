"""What is read off the hits of all frames."""
import numpy as np
import pytest

from mapkd_core.metrics.pooled import FrameMatches, best_least_score


def frame(*classes, truths):
    """(score, hits at two thresholds) of each prediction, class by class."""
    scores = tuple(np.array([score for score, *_ in found]) for found in classes)
    hits = tuple(np.array([hit for _, *hit in found], bool).reshape(-1, 2).T for found in classes)
    return FrameMatches(scores, hits, truths)


def test_the_least_score_has_the_highest_f1():
    # Dividers are best from 0.4 on, boundaries from 0.2 on; crossings do not occur and have no say.
    one = frame([(0.9, 0, 1), (0.4, 0, 1)], [(0.05, 0, 0)], [(0.9, 0, 1), (0.25, 0, 1)], truths=(2, 0, 3))
    other = frame([(0.3, 0, 0)], [], [(0.2, 0, 1), (0.15, 0, 0)], truths=(0, 0, 0))

    def f1(least):
        dividers = {0.1: (2, 3), 0.18: (2, 3), 0.31: (2, 2), 0.5: (1, 1)}[least]
        boundaries = {0.1: (3, 4), 0.18: (3, 3), 0.31: (1, 1), 0.5: (1, 1)}[least]
        return np.mean([2 * right / (shown + true) for (right, shown), true in ((dividers, 2), (boundaries, 3))])

    assert max((0.1, 0.18, 0.31, 0.5), key=f1) == 0.18
    assert best_least_score([one, other], 1) == pytest.approx(0.16)
    assert best_least_score([one, other], 0) == pytest.approx(0.01), "none is right: nothing to choose by"


def test_no_class_decides_alone():
    """Boundaries are perfect with the one at 0.1, dividers poor with all their wrong ones there."""
    dividers, boundaries = [(0.9, 0, 1), *[(0.1, 0, 0)] * 8], [(0.9, 0, 1), (0.8, 0, 1), (0.1, 0, 1)]
    assert best_least_score([frame(dividers, [], boundaries, truths=(1, 0, 3))], 1) == pytest.approx(0.11)


def test_without_truth_everything_is_shown():
    assert best_least_score([frame([(0.9, 0, 0)], [], [], truths=(0, 0, 0))], 1) == 0.0
    assert best_least_score([], 1) == 0.0
