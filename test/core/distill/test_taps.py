"""Taps: which feature serves for which, two of them in one shape, statistics of the teacher, the teacher's heads."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hand_step import GRID, LOSS, Hand, SmallTeacher, prediction_by_hand
from slow_math import array, block_mean, moments, point_wise, standardised
from torch import nn

from mapkd_core.distill.interface import Networks, mean_over_processes
from mapkd_core.distill.taps import ChannelStats, TapPair, adapter, decoder_of, head_after_up1, same_size, shrunk, tap
from mapkd_core.types import Prediction


def of(**taps):
    return Prediction(torch.zeros(1), taps={name: torch.full((1,), float(k)) for k, name in enumerate(taps)})


@pytest.mark.parametrize(
    ("wanted", "offered", "served"),
    [
        ("bev_small", ("deep", "enc3", "bev_small"), "bev_small"), ("bev_small", ("enc3", "deep"), "deep"),
        ("bev_small", ("enc3",), "enc3"), ("enc3", ("bev_small", "deep"), "deep"), ("enc1", ("up1", "fine"), "fine"),
        ("up1", ("enc1", "fine"), "fine"), ("full_bev", ("lid_bev", "cam_bev"), "cam_bev"),
        ("cam_bev", ("lid_bev", "full_bev"), "full_bev"), ("fine", ("deep", "fine"), "fine"),
    ],
)
def test_what_serves_for_a_tap(wanted, offered, served):
    prediction = of(**dict.fromkeys(offered))
    assert tap(prediction, wanted) is prediction.taps[served]


def test_what_is_not_there_is_said_with_what_is():
    with pytest.raises(ValueError, match=r"no feature 'lid_bev' nor \(\); it has \['cam_bev', 'deep'\]"):
        tap(of(deep=0, cam_bev=0), "lid_bev")
    with pytest.raises(ValueError, match=r"no feature 'up1' nor \('fine',\)"):
        tap(of(deep=0), "up1")
    prediction = Prediction(torch.ones(1), None, torch.ones(2), {"embedding": torch.zeros(1)})
    assert tap(prediction, "semantic") is prediction.semantic and tap(prediction, "direction") is prediction.direction
    with pytest.raises(ValueError, match="no head 'embedding'"):
        tap(prediction, "embedding")


def test_the_larger_side_is_averaged_in_each_axis():
    wide, high = torch.randn(1, 2, 4, 12), torch.randn(1, 3, 8, 6)
    a, b = same_size(wide, high)
    np.testing.assert_allclose(a, block_mean(array(wide), (4, 6)), rtol=1e-5)
    np.testing.assert_allclose(b, block_mean(array(high), (4, 6)), rtol=1e-5)
    assert shrunk(wide, (4, 12)) is wide and shrunk(wide, wide.shape[-2:]) is wide


def pair_of(student, teacher, **options):
    hand = Hand(student=student, teacher=teacher)
    return hand, TapPair(Networks(hand.step(), nn.Module(), GRID, 10, LOSS), "up1", **options)


def test_a_pair_has_one_shape_and_the_other_side_no_gradient():
    student = prediction_by_hand(1)
    student.taps["up1"] = torch.randn(2, 3, 16, 6).requires_grad_()
    hand, pair = pair_of(student, prediction_by_hand(2, up1=5))
    assert pair.size == (8, 6) and pair.channels == 5 and isinstance(pair.adapt, nn.Conv2d)
    mine, theirs = pair(hand.step())
    assert mine.shape == theirs.shape == (2, 5, 8, 6) and not theirs.requires_grad and mine.requires_grad
    np.testing.assert_allclose(array(theirs), block_mean(array(hand.teacher.taps["up1"]), (8, 6)), rtol=1e-4)
    assert hand.reached(mine.sum()) == {"student.up1"}
    expected = point_wise(block_mean(array(student.taps["up1"]), (8, 6)), pair.adapt)
    np.testing.assert_allclose(array(mine), expected, rtol=1e-3, atol=1e-5)


def test_equal_widths_need_a_convolution_only_where_the_method_prescribes_it():
    hand, pair = pair_of(prediction_by_hand(1), prediction_by_hand(2))
    assert isinstance(pair.adapt, nn.Identity) and pair.other == "teacher"
    hand, pair = pair_of(prediction_by_hand(1), prediction_by_hand(2), other="coach", always=True)
    mine, theirs = pair(hand.step())
    torch.testing.assert_close(mine, hand.student.taps["up1"])  # it starts as the identity
    torch.testing.assert_close(theirs, hand.coach.taps["up1"])
    assert adapter(3, 4).weight.shape == (4, 3, 1, 1) and adapter(3, 4).weight.std() > 0


def test_statistics_are_plain_averages_at_first_and_then_follow_slowly():
    stats, seen = ChannelStats(2, momentum=0.25), []
    generator = torch.Generator().manual_seed(0)
    mean, square = np.zeros(2), np.ones(2)
    for number in range(7):
        batch = torch.randn(3, 2, 4, 5, generator=generator) * 2 + 3
        stats.follow(batch)
        seen.append(moments(array(batch)))
        rate = max(1 / (number + 1), 0.25)
        mean += rate * (seen[-1][0] - mean)
        square += rate * (seen[-1][1] - square)
        np.testing.assert_allclose(array(stats.mean), mean, rtol=1e-4)
        np.testing.assert_allclose(array(stats.square), square, rtol=1e-4)
        if number == 2:
            np.testing.assert_allclose(mean, np.mean([m for m, _ in seen], 0), rtol=1e-6)
    assert ChannelStats(2).momentum == 0.01 and int(stats.count) == 7
    feature = torch.randn(1, 2, 4, 5, generator=generator)
    np.testing.assert_allclose(array(stats(feature)), standardised(array(feature), mean, square), rtol=1e-3, atol=1e-5)


def test_a_dead_channel_counts_as_a_tenth_of_the_others():
    stats = ChannelStats(4)
    teacher = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    teacher[:, 3] = 0
    stats.follow(teacher)
    given = stats(torch.ones(1, 4, 1, 1))[0, :, 0, 0]
    floor = ((stats.square - stats.mean**2).mean() * 0.01).sqrt()
    assert given[3].item() == pytest.approx(1 / floor.item(), rel=1e-4) and given[3] < 15


def test_a_teacher_without_any_signal_makes_no_infinities():
    stats = ChannelStats(3)
    stats.follow(torch.zeros(1, 3, 4, 4))
    assert (stats.deviation > 0).all() and stats(torch.ones(1, 3, 2, 2)).isfinite().all()


def test_statistics_have_no_gradient_and_are_saved():
    stats = ChannelStats(2)
    stats.follow(torch.randn(1, 2, 3, 3, requires_grad=True))
    assert not stats.mean.requires_grad and set(stats.state_dict()) == {"mean", "square", "count"}


def test_the_last_decoder_of_a_network():
    coarse, fine = nn.Module(), nn.Module()
    assert decoder_of(SimpleNamespace(encode=coarse)) is coarse
    assert decoder_of(SimpleNamespace(encode=coarse, hd_prior=SimpleNamespace(encode=fine))) is fine
    assert decoder_of(SimpleNamespace(encode=coarse, hd_prior=None)) is coarse
    assert decoder_of(SimpleNamespace()) is None


def test_heads_of_each_kind_of_network():
    teacher = SmallTeacher().eval()
    feature = torch.randn(1, 8, 8, 12)
    for output, channels in (("semantic", 4), ("embedding", 16), ("direction", 37)):
        given = head_after_up1(teacher, output)(feature)
        torch.testing.assert_close(given, teacher.encode.branches[output](feature))
        assert given.shape == (1, channels, 16, 24)
    heads = nn.ModuleDict({"semantic": nn.Conv2d(8, 4, 1)})
    ours = SimpleNamespace(heads=heads)
    torch.testing.assert_close(head_after_up1(ours)(feature), heads["semantic"](feature))
    assert head_after_up1(ours, "direction") is None and head_after_up1(SimpleNamespace()) is None


def test_statistics_are_the_mean_of_all_processes(monkeypatch):
    """As if a second process had the triple of everything."""
    for name, value in (("is_initialized", True), ("get_world_size", 2)):
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(4))
    mine = torch.tensor([1.0, -2.0])
    assert mean_over_processes(mine).tolist() == [2.0, -4.0] and mine.tolist() == [1.0, -2.0]
    stats = ChannelStats(1).train()
    stats.follow(torch.full((1, 1, 2, 2), 3.0))
    assert stats.mean.tolist() == [6.0] and stats.square.tolist() == [18.0]
