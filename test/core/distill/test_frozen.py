"""Frozen networks: they predict once a batch and never change; the mean of several teachers; labels drawn once."""
from dataclasses import replace

import pytest
import torch
from distill_bench import COACH, TEACHER, batch_of, network

from mapkd_core.distill.frozen import FrozenNetworks, Teachers
from mapkd_core.types import Prediction


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
    with pytest.raises(ValueError, match="no teacher that draws them"):
        FrozenNetworks(teacher).with_drawn_labels(partly)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_frozen_networks_compute_in_the_runs_precision_and_answer_in_single(precision):
    halves = []

    class Half(torch.nn.Linear):
        def forward(self, batch):
            found = super().forward(batch.images[:, 0, :, :2, :2].flatten(1))
            halves.append(found.dtype)
            semantic = found.view(len(found), 4, 1, 2)
            return Prediction(semantic, semantic * 2, semantic * 3, {"up1": semantic * 4})

    frozen = FrozenNetworks(Half(12, 8), precision=precision)
    answer, _ = frozen.answers(batch_of(), ask_coach=False)
    assert halves == [torch.bfloat16 if precision == "bf16-mixed" else torch.float32]
    given = [answer.semantic, answer.embedding, answer.direction, answer.taps["up1"]]
    assert [tensor.dtype for tensor in given] == [torch.float32] * 4 and not any(t.requires_grad for t in given)


def test_teacher_and_coach_are_not_taken_for_each_other():
    class Says(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(value))

        def forward(self, batch):
            return Prediction(self.value * torch.ones(1, 4, 1, 1))

    frozen, batch = FrozenNetworks(Says(1.0), Says(2.0)), batch_of()
    for _ in range(2):
        teacher, coach = frozen.answers(batch, ask_coach=True)
        assert (teacher.semantic.mean().item(), coach.semantic.mean().item()) == (1.0, 2.0)
