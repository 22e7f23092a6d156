"""Frozen networks: asked once a batch, never changed; several teachers speak with one voice."""
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
