"""Methods that compare maps: the controls, `balanced` and `pyramid`, against their formulas written out in NumPy."""
import numpy as np
import pytest
from hand_step import Hand, prediction_by_hand
from slow_math import array, block_mean, cross_entropy, divergence, moments, point_wise, sigmoid, softmax, standardised
from slow_regions import foreground


def test_plain_logits_and_features():
    hand = Hand(student=prediction_by_hand(1, bev_small=3))
    logit = hand.method("kd_logit").terms(hand.step())
    expected = cross_entropy(array(hand.student.semantic), sigmoid(array(hand.teacher.semantic))).mean()
    assert logit["response"].item() == pytest.approx(expected, rel=1e-5)
    assert hand.reached(logit["response"]) == {"student.semantic"}
    method = hand.method("kd_mse")
    feature = method.terms(hand.step())["feature"]
    mine = point_wise(array(hand.student.taps["bev_small"]), method.pair.adapt)
    assert feature.item() == pytest.approx(((mine - array(hand.teacher.taps["bev_small"])) ** 2).mean(), rel=1e-4)
    assert hand.reached(feature) == {"student.bev_small"}
    other = hand.method("kd_mse", tap="up1").terms(hand.step())["feature"]
    assert hand.reached(other) == {"student.up1"}


def taught(hand, share):
    """Class probabilities between the teacher's and the coach's."""
    teacher, coach = (softmax(array(r.semantic), 1) for r in (hand.teacher, hand.coach))
    return (1 - share) * teacher + share * coach


@pytest.mark.parametrize("share", [0.0, 0.25])
@pytest.mark.parametrize("claimed", [0.3, 0.7])
def test_balanced_gives_lines_and_the_rest_their_own_means(share, claimed):
    hand = Hand()
    method = hand.method("balanced", coach_share=share, claimed=claimed, feature_weight=0.5)
    terms = method.terms(hand.step())
    target, student = taught(hand, share), softmax(array(hand.student.semantic), 1)
    apart = divergence(np.moveaxis(target, 1, -1), np.moveaxis(student, 1, -1))
    lines = (foreground()[:, 0] > 0) | (target[:, 0] < 1 - claimed)
    assert lines.any() and not lines.all() and (lines > foreground()[:, 0]).any()
    mean, square = moments(array(hand.teacher.taps["bev_small"]))
    mine, theirs = (standardised(array(r.taps["bev_small"]), mean, square) for r in (hand.student, hand.teacher))
    expected = {
        "lines": apart[lines].mean(), "background": apart[~lines].mean(), "feature": ((mine - theirs) ** 2).mean()
    }
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)
    assert method.asks_coach() == (share > 0)
    response = {"student.semantic"}
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "lines": response, "background": response, "feature": {"student.bev_small"}
    }


def overlap_loss(student, target, scales):
    losses = []
    for scale in scales:
        size = (16 // scale, 24 // scale)
        p, t = block_mean(student[:, 1:], size), block_mean(target[:, 1:], size)
        for c in range(3):
            both, alone = (p[:, c] * t[:, c]).sum(), (p[:, c] ** 2).sum() + (t[:, c] ** 2).sum()
            losses.append(1 - (2 * both + 1e-3) / (alone + 1e-3))
    return np.mean(losses)


@pytest.mark.parametrize("share", [0.0, 0.6])
@pytest.mark.parametrize("scales", [(1, 2, 4, 8), (2,)])
def test_pyramid_compares_overlaps_at_its_scales(share, scales):
    hand = Hand()
    method = hand.method("pyramid", coach_share=share, scales=scales, feature_weight=0.5)
    terms = method.terms(hand.step())
    expected = overlap_loss(softmax(array(hand.student.semantic), 1), taught(hand, share), scales)
    assert terms["overlap"].item() == pytest.approx(expected, rel=1e-4)
    difference = array(hand.student.taps["bev_small"]) - array(hand.teacher.taps["bev_small"])
    assert terms["feature"].item() == pytest.approx((difference**2).mean(), rel=1e-4)
    assert hand.reached(terms["overlap"]) == {"student.semantic"}
    assert hand.reached(terms["feature"]) == {"student.bev_small"}


def test_features_are_not_compared_without_a_weight():
    hand = Hand()
    assert set(hand.method("pyramid").terms(hand.step())) == {"overlap"}
    assert set(hand.method("balanced").terms(hand.step())) == {"lines", "background"}


def test_settings_out_of_range_are_refused():
    hand = Hand()
    for name in ("pyramid", "balanced"):
        for share in (-0.1, 1.1):
            with pytest.raises(ValueError, match=r"coach_share is .*; expected 0\.\.1"):
                hand.method(name, coach_share=share)
    for scales in ((), (0, 2)):
        with pytest.raises(ValueError, match="scales are"):
            hand.method("pyramid", scales=scales)
    hand.coach = None
    with pytest.raises(ValueError, match="needs a coach"):
        hand.method("balanced", coach_share=0.5)
    hand.method("balanced", coach_share=0.0)
