"""Random numbers of several processes in a checkpoint, and which networks draw any."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mapkd_core.model.hd_prior import HdPriorPretraining
from mapkd_core.training.random_state import RandomState, draws_random_numbers


def test_the_states_of_all_processes_are_gathered_each_in_its_place(monkeypatch):
    states = [torch.Generator().manual_seed(seed).get_state() for seed in (1, 2, 3)]
    torch.manual_seed(2)
    gathered = []

    def all_gather(places, mine):
        assert torch.equal(mine, states[1]) and len(places) == 3
        gathered.append(True)
        for place, state in zip(places, states, strict=True):
            place.copy_(state)

    monkeypatch.setattr(torch.distributed, "all_gather", all_gather)
    fabric = SimpleNamespace(device=torch.device("cpu"), world_size=3, global_rank=1)
    found = RandomState(fabric).of_all_processes()
    assert len(found) == 3 and gathered == [True]
    assert all(len(of_one) == 1 and torch.equal(of_one[0], state) for of_one, state in zip(found, states, strict=True))


class DropsPaths(nn.Module):
    def __init__(self, chance):
        super().__init__()
        self.drop_prob = chance


@pytest.mark.parametrize(("layer", "draws"), [
    (DropsPaths(0.2), True), (DropsPaths(0.0), False), (HdPriorPretraining(nn.Identity()), True),
    (nn.Dropout2d(0.3), True), (nn.Sequential(nn.Sequential(nn.ReLU(), nn.AlphaDropout(0.1))), True),
])  # fmt: skip
def test_layers_that_drop_paths_or_say_that_they_draw_do(layer, draws):
    assert draws_random_numbers(nn.ModuleList([nn.Linear(2, 2), layer])) is draws
