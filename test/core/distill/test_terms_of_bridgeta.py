"""BridgeTA term by term: two paths at three levels, the warm-up, the assistant's inputs and its own loss."""
import copy

import pytest
import torch
from hand_step import GRID, LOSS, Hand, SmallTeacher, prediction_by_hand
from slow_math import array, class_entropy, cross_entropy, moments, point_wise, sigmoid, standardised
from torch import nn

from mapkd_core.distill.bridgeta import Assistant
from mapkd_core.distill.interface import Networks
from mapkd_core.distill.methods import build_method
from mapkd_core.distill.taps import ChannelStats, StartsLike


def bench(prior=True, student_width=3):
    """Half the grid's rows would not do for the prior's eightfold shrinking: its `bev_small` is an eighth."""
    student = prediction_by_hand(1, bev_small=student_width)
    hand = Hand(student=student, network=SmallTeacher(prior).requires_grad_(False))
    for role in (hand.student, hand.teacher):
        width = role.taps["bev_small"].shape[1]
        generator = torch.Generator().manual_seed(width)
        role.taps["bev_small"] = torch.randn(2, width, 2, 3, generator=generator).requires_grad_()
    return hand


def answers(hand, method):
    """The assistant's feature, decoder feature and logits as it gives them now."""
    again = copy.deepcopy(method)
    raw, theirs = hand.student.taps["bev_small"].detach(), hand.teacher.taps["bev_small"].detach()
    again.stats.follow(theirs)
    again.deep_stats.follow(hand.teacher.taps["up1"].detach())
    joint, map_ = again.assistant(theirs, raw, again.stats, (16, 24), hand.batch.sd_map)
    up = again.joint_deep_start(again.match_up1(map_.taps["up1"]), again.deep_stats)
    return joint.detach(), up.detach(), map_.semantic.detach()


def no_dropout(method):
    """Also no start by the first batch: factors and addends stay as they were drawn."""
    for module in method.modules():
        if isinstance(module, StartsLike):
            module.started.fill_(True)
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return method


def mean_square(a, b):
    return ((a - b) ** 2).mean()


@pytest.mark.parametrize("prior", [True, False])
@pytest.mark.parametrize(("eps", "number", "warm"), [(1.0, 3, 0.5), (0.5, 7, 1.0), (2.0, 50, 1.0)])
def test_two_paths_at_three_levels(prior, eps, number, warm):
    """Eight steps of warm-up: step 3 is the fourth of them."""
    hand = bench(prior)
    method = no_dropout(hand.method("bridgeta", eps=eps, warmup_steps=8))
    joint, up, logits = answers(hand, method)
    terms = method.terms(hand.step(number))
    levels = {
        "feature": ("bev_small", method.pair, method.start, joint),
        "decoder": ("up1", method.deep, method.deep_start, up),
    }
    for name, (place, pair, start, assistant) in levels.items():
        theirs, mine = (array(r.taps[place]) for r in (hand.teacher, hand.student))
        mine = mine if isinstance(pair.adapt, nn.Identity) else point_wise(mine, pair.adapt)
        mine = mine * array(start.scale)[:, None, None] + array(start.shift)[:, None, None]
        t, a, s = (standardised(x, *moments(theirs)) for x in (theirs, array(assistant), mine))
        expected = (1 + eps) * mean_square(t, a) + warm * (1 + 1 / eps) * mean_square(a, s)
        assert terms[name].item() == pytest.approx(expected, rel=1e-3), name
    t, a, s = (array(x) for x in (hand.teacher.semantic, logits, hand.student.semantic))
    to_assistant = cross_entropy(a, sigmoid(t)).mean()
    to_student = cross_entropy(s, sigmoid(a)).mean()
    expected = (1 + eps) * to_assistant + warm * (1 + 1 / eps) * to_student
    assert terms["response"].item() == pytest.approx(expected, rel=1e-4)
    positive = [3.0] + [3.0 * w for w in LOSS.class_weight]
    truth = array(hand.batch.semantic)
    assert terms["assistant"].item() == pytest.approx(class_entropy(a, truth, positive), rel=1e-4)


def test_exact_young_compares_probabilities():
    hand = bench()
    method = no_dropout(hand.method("bridgeta", exact_young=True, warmup_steps=10, eps=0.5))
    _, _, logits = answers(hand, method)
    t, a, s = (sigmoid(array(x)) for x in (hand.teacher.semantic, logits, hand.student.semantic))
    expected = 1.5 * mean_square(t, a) + 0.2 * 3 * mean_square(a, s)
    assert method.terms(hand.step(1))["response"].item() == pytest.approx(expected, rel=1e-4)


def test_the_student_is_reached_by_its_own_paths_alone():
    hand = bench()
    terms = no_dropout(hand.method("bridgeta")).terms(hand.step(600))
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "feature": {"student.bev_small"}, "decoder": {"student.up1"}, "response": {"student.semantic"},
        "assistant": set(),
    }
    student = hand.student.taps["bev_small"]
    method = no_dropout(hand.method("bridgeta"))
    given = method.assistant(
        hand.teacher.taps["bev_small"].detach(), student, method.stats, (16, 24), hand.batch.sd_map
    )
    assert not set(torch.autograd.grad(given[1].semantic.sum(), [student], allow_unused=True)) - {None}


def test_the_assistant_learns_from_both_ends_and_from_the_labels():
    hand = bench()
    method = no_dropout(hand.method("bridgeta"))
    terms = method.terms(hand.step(600))
    named, idle = dict(method.assistant.named_parameters()), {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, list(named.values()), retain_graph=True, allow_unused=True)
        idle[name] = {n for n, g in zip(named, gradients, strict=True) if g is None}
    assert not idle["assistant"] and not idle["response"]
    assert idle["feature"] == {n for n in named if n.startswith(("decoder", "prior"))}


def test_the_assistant_reads_both_networks():
    hand = bench()
    method = no_dropout(hand.method("bridgeta"))
    before = answers(hand, method)[0]
    for role in (hand.student, hand.teacher):
        kept = role.taps["bev_small"]
        role.taps["bev_small"] = kept.flip(1)
        assert (answers(hand, method)[0] - before).abs().max() > 0.1
        role.taps["bev_small"] = kept


@pytest.mark.parametrize("prior", [True, False])
def test_from_the_teachers_own_feature_the_assistant_draws_the_teachers_map(prior):
    hand = bench(prior)
    torch.manual_seed(0)
    teacher = hand.network.eval()
    method = build_method("bridgeta", Networks(hand.step(), teacher, GRID, 10, LOSS), {})
    assert method.assistant.decoder.training and all(p.requires_grad for p in method.parameters())
    method.eval()
    small = hand.teacher.taps["bev_small"].detach()
    with torch.no_grad():
        if prior:
            bev = teacher.sd_prior.attend(small, hand.batch.sd_map)[0]
        else:
            bev = nn.functional.interpolate(small, size=(16, 24), mode="bilinear", align_corners=False)
        expected = teacher.encode(bev).semantic
        drawn = method.assistant.decode(small, (16, 24), hand.batch.sd_map).semantic
    torch.testing.assert_close(drawn, expected)
    assert not {id(p) for p in method.parameters()} & {id(p) for p in teacher.parameters()}


class Noting(nn.Module):
    """An SD prior and a BEV encoder at half the grid's resolution that note what they are given."""

    finer, halvings = 2, 1

    def __init__(self):
        super().__init__()
        self.stem, self.given = nn.Sequential(nn.Conv2d(4, 4, 1)), []

    def attend(self, small, sd_map):
        self.given += [tuple(small.shape[-2:]), sd_map]
        return (small,)

    def forward(self, bev):
        self.given.append(tuple(bev.shape[-2:]))


def test_an_encoder_on_larger_cells_and_its_prior_get_their_own_cells():
    noting, sd_map = Noting(), torch.zeros(1, 1, 16, 24)
    sd_map[0, 0, 5, 7] = 1
    Assistant(3, 4, noting, noting).decode(torch.zeros(1, 4, 2, 3), (16, 24), sd_map)
    small, given, bev = noting.given
    assert (small, bev) == ((4, 6), (8, 12))
    assert given.shape == (1, 1, 8, 12) and given.nonzero().tolist() == [[0, 0, 2, 3]]
    assert given.max() == 1, "a line is not averaged away"


def test_without_a_weight_the_assistant_has_no_map_loss():
    hand = bench()
    assert set(hand.method("bridgeta", assistant_weight=0.0).terms(hand.step())) == {"feature", "decoder", "response"}


def test_a_teacher_without_a_known_decoder_gets_an_assistant_with_a_fresh_one():
    hand = Hand()
    terms = hand.method("bridgeta").terms(hand.step(600))
    assert set(terms) == {"feature", "decoder", "response", "assistant"}
    assert hand.reached(terms["decoder"]) == {"student.up1"}


def test_under_a_young_teacher_a_run_starts_near_the_size_of_its_features():
    """A thousandth of the student's, about 0.01; terms would be millions."""
    hand = bench()
    for name in ("bev_small", "up1"):
        hand.teacher.taps[name] = (0.01 + 1e-3 * hand.teacher.taps[name].detach()).requires_grad_()
    torch.manual_seed(0)
    method = build_method("bridgeta", Networks(hand.step(), hand.network, GRID, 10, LOSS), {}).train()
    first = {name: term.item() for name, term in method.terms(hand.step(600)).items()}
    assert first["feature"] < 12 and first["decoder"] < 12  # twice two squares of independent features of deviation 1
    assert first["feature"] > 1


def test_a_feature_starts_at_the_teachers_mean_and_deviation_once_and_in_training_alone():
    generator = torch.Generator().manual_seed(3)
    theirs, mine = torch.randn(4, 3, 5, 6, generator=generator), torch.randn(4, 3, 5, 6, generator=generator)
    theirs, mine = theirs * torch.tensor([1.0, 3.0, 0.5])[:, None, None] + 2, 100 * mine - 7
    stats, start = ChannelStats(3), StartsLike(3)
    stats.follow(theirs)
    assert torch.equal(start.eval()(mine, stats), mine) and not start.started
    matched = start.train()(mine, stats)
    for taken in (lambda x: x.mean((0, 2, 3)), lambda x: x.std((0, 2, 3), correction=0)):
        torch.testing.assert_close(taken(matched), taken(theirs), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(start(mine + 1, stats), matched + start.scale[:, None, None], rtol=1e-4, atol=1e-4)
    again = StartsLike(3)
    again.load_state_dict(start.state_dict())
    torch.testing.assert_close(again(3 * mine, stats), start(3 * mine, stats))
    assert all(p.requires_grad for p in start.parameters())
