"""What holds for the terms of every method: where tensors are made, and that a step repeated is the same step."""
import copy

import pytest
import torch
from hand_step import Hand, SmallTeacher, prediction_by_hand

from mapkd_core.distill.methods import METHODS


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
