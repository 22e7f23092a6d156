"""What holds for the terms of every method: where tensors are made, and that a step repeated is the same step."""
import copy

import pytest
import torch
from hand_step import Hand, SmallTeacher, prediction_by_hand

from mapkd_core.distill.methods import METHODS
from mapkd_core.distill.taps import TapPair


@pytest.fixture
def hand():
    return Hand(teacher=prediction_by_hand(2, up1=8), network=SmallTeacher().requires_grad_(False).eval())


def values(method, step):
    torch.manual_seed(0)
    return {name: term.item() for name, term in method.terms(step).items()}


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_made_on_another_device(name, hand):
    """What is made without a device would land on `meta`, and nothing adds to that."""
    method = hand.method(name)
    again = copy.deepcopy(method)
    expected = values(method, hand.step(2))
    with torch.device("meta"):
        assert values(again, hand.step(2)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "count"), [("bevdistill", 1), ("tigbev", 1), ("x3kd", 1), ("dualdistill", 3)])
def test_prescribed_convolutions_stand_between_equal_widths_too_each_its_own(name, count):
    """Those of DualDistill: for the feature and for each of the teacher's heads."""
    network = SmallTeacher().requires_grad_(False).eval()
    hand = Hand(student=prediction_by_hand(1, up1=8), teacher=prediction_by_hand(2, up1=8), network=network)
    found = [m.adapt for m in hand.method(name).modules() if isinstance(m, TapPair)]
    assert len(found) == count
    assert all(isinstance(m, torch.nn.Conv2d) and m.weight.requires_grad for m in found)


@pytest.mark.parametrize("name", METHODS)
def test_a_coach_is_asked_only_by_methods_that_read_it(name, hand):
    """What a method says of itself in `asks_coach` decides whether the coach runs at all."""
    method = hand.method(name)
    hand_without = copy.copy(hand)
    hand_without.coach = None
    if method.asks_coach():
        with pytest.raises(ValueError, match="needs a coach and there is none"):
            method.terms(hand_without.step())
    else:
        assert set(method.terms(hand_without.step())) == set(method.terms(hand.step()))
    readers = {"mapkd", "mapkd_code", "mapkd_final", "mapkd_token", "predictable", "ours"}
    assert method.asks_coach() == (name in readers)
    assert method.whole_from() == (1000 if name == "labeldistill" else 0)


SMALL, LOGITS, THREE, UP1 = {"bev_small"}, {"semantic"}, {"enc1", "enc3", "up1"}, {"up1"}
OF_MAPKD = {"attention": SMALL, "feature": SMALL, "patches": SMALL, "response": LOGITS}
OF_MFD = {"lines": THREE, "background": THREE, "spatial": THREE, "mistakes": UP1}
REACHED = {
    "kd_logit": {"response": LOGITS}, "kd_mse": {"feature": SMALL},
    # The released attention is the identity whatever the features are.
    "mapkd_code": {**OF_MAPKD, "attention": set()},
    **{name: OF_MAPKD for name in ("mapkd", "mapkd_final", "mapkd_token", "mapkd_coach")},
    **{name: {**OF_MAPKD, "hallucination": LOGITS} for name in ("predictable", "ours", "line_space")},
    "balanced": {"lines": LOGITS, "background": LOGITS}, "pyramid": {"overlap": LOGITS},
    "bridgeta": {"feature": SMALL, "decoder": UP1, "response": LOGITS, "assistant": set()},
    "dualdistill": {**OF_MFD, "head": UP1, "direction": UP1}, "distillbev": OF_MFD,
    "unidistill": {"feature": {"full_bev"}, "relation": {"enc3"}, "response": LOGITS, "direction": {"direction"}},
    "bevdistill": {"dense": SMALL, "instance": UP1, "heat": SMALL}, "tigbev": {"points": UP1, "channels": UP1},
    "mapdistill": {
        "relation": {"cam_bev", "image"}, "low": {"cam_bev", "image"}, "high": {"enc3"}, "response": LOGITS,
        "direction": {"direction"},
    },
    "x3kd": {"images": {"image"}, "feature": SMALL, "adversary": SMALL, "output": LOGITS},
    "labeldistill": {"label": SMALL | UP1, "teacher": SMALL | UP1, "response": LOGITS, "encoder": set()},
}  # fmt: skip
"""Method -> term -> the features and outputs of the student that the term teaches."""


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"none", "matched_queries"}))
def test_each_term_teaches_its_features_of_the_student_and_nobody_else(name, hand):
    found = {}
    for term, value in hand.method(name).terms(hand.step(2000)).items():
        found[term] = hand.reached(value)
    assert found
    for term, reached in found.items():
        expected = REACHED[name][term.removesuffix("_teacher").removesuffix("_coach")]
        assert reached == {f"student.{tap}" for tap in expected}, term
