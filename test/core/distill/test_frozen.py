"""Frozen networks: they predict once a batch and never change; the mean of several teachers; labels drawn once."""
from dataclasses import replace

import pytest
import torch
from distill_bench import COACH, TEACHER, batch_of, network

from mapkd_core.distill.frozen import FrozenNetworks, Teachers


class Counted(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, batch):
        self.calls += 1
        return self.inner(batch)


def test_each_network_runs_once_a_batch_however_many_students_ask():
    teacher, coach = Counted(network(TEACHER, 2)).train(), Counted(network(COACH, 3)).train()
    frozen = FrozenNetworks(teacher, coach)
    batch, other = batch_of(), batch_of(seed=1)
    first, nobody = frozen.answers(batch, ask_coach=False)
    assert nobody is None and coach.calls == 0
    again, told = frozen.answers(batch, ask_coach=True)
    assert again is first and told is not None and (teacher.calls, coach.calls) == (1, 1)
    assert frozen.answers(other, ask_coach=True)[0] is not first and (teacher.calls, coach.calls) == (2, 2)
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert not first.semantic.requires_grad


def test_several_teachers_teach_their_mean():
    one, two = network(TEACHER, 2).eval(), network(COACH, 3).eval()
    both, batch = Teachers([one, two]).eval(), batch_of()
    with torch.no_grad():
        together, a, b = both(batch), one(batch), two(batch)
    torch.testing.assert_close(together.semantic, (a.semantic + b.semantic) / 2)
    assert torch.equal(together.taps["up1"], a.taps["up1"])
    assert both.encode is one.encode and not hasattr(both, "nothing_like_it")


def test_unknown_labels_are_drawn_once_a_batch_from_the_answer_that_all_share():
    teacher, calls = Counted(network(TEACHER, 2)), []

    def draw(batch, answer):
        calls.append(answer)
        return replace(batch, labelled=None)

    frozen = FrozenNetworks(teacher, draw=draw)
    whole = batch_of()
    assert frozen.with_drawn_labels(whole) is whole and not calls
    partly = replace(batch_of(), labelled=torch.tensor([True, False]))
    first = frozen.with_drawn_labels(partly)
    assert frozen.with_drawn_labels(partly) is first and first.labelled is None
    assert calls == [frozen.answers(partly, ask_coach=False)[0]] and teacher.calls == 1
    frozen.with_drawn_labels(replace(batch_of(seed=1), labelled=torch.tensor([False, True])))
    assert len(calls) == teacher.calls == 2
    with pytest.raises(ValueError, match="no teacher that draws them"):
        FrozenNetworks(None).with_drawn_labels(partly)
