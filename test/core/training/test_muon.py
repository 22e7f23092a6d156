"""Muon: steps are orthogonal and as long as AdamW's, vectors get AdamW itself, and a state survives its file."""
from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mapkd_core.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (16, 72), (90, 12), (1, 5)])
def test_orthogonalised_keeps_singular_vectors_and_evens_out_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    in_its_axes = u.T @ orthogonalised(matrix) @ vt.T
    evened = in_its_axes.diagonal()
    assert (in_its_axes - evened.diag()).abs().max() < 1e-3
    large = s > 0.05 * s[0]
    assert (evened[large] > 0.6).all() and (evened < 1.3).all()


def test_orthogonalised_does_not_depend_on_the_gradients_size() -> None:
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(orthogonalised(matrix), orthogonalised(1000 * matrix), atol=1e-4, rtol=1e-4)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 4, 1), nn.Flatten(),
        nn.Linear(4 * 4 * 4, 5),
    )


def stepped(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(16, 3, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()


def test_only_weights_that_mix_channels_are_matrices() -> None:
    net = network()
    matrices, others = Muon(net.parameters(), lr=0.1).param_groups
    names = {id(p): name for name, p in net.named_parameters()}
    assert [names[id(p)] for p in matrices["params"]] == ["0.weight", "3.weight", "5.weight"]
    assert len(others["params"]) == len(names) - 3


def test_a_step_is_as_long_as_one_of_adamw() -> None:
    net = network()
    before = copy.deepcopy(net)
    stepped(net, Muon(net.parameters(), lr=0.01), 1)
    for name in ("0.weight", "5.weight"):
        change = (net.get_parameter(name) - before.get_parameter(name)).detach()
        assert change.square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.35)


def test_everything_else_moves_as_under_adamw() -> None:
    ours, theirs = (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, groups=3)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    stepped(ours, Muon(ours.parameters(), lr=0.02, weight_decay=0.1), 7)
    stepped(theirs, torch.optim.AdamW(theirs.parameters(), lr=0.02, weight_decay=0.1), 7)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_goes_on_from_its_saved_state() -> None:
    straight = network()
    optimizer = Muon(straight.parameters(), lr=0.02, weight_decay=0.1)
    stepped(straight, optimizer, 3)
    resumed = copy.deepcopy(straight)
    later = Muon(resumed.parameters(), lr=0.02, weight_decay=0.1)
    later.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for net, its in ((straight, optimizer), (resumed, later)):
        stepped(net, its, 3, seed=1)
    for own, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)


def test_goes_on_from_a_state_of_version_0_1() -> None:
    straight = network()
    optimizer = Muon(straight.parameters(), lr=0.02, weight_decay=0.1)
    stepped(straight, optimizer, 3)
    old = copy.deepcopy(optimizer.state_dict())
    names = {"exp_avg": "mean", "exp_avg_sq": "square"}
    old["state"] = {k: {names.get(n, n): v for n, v in state.items()} for k, state in old["state"].items()}
    for state in old["state"].values():
        if "step" in state:
            state["step"] = int(state["step"])
    keys = ("params", "matrices", "lr", "weight_decay", "momentum", "betas", "eps")
    old["param_groups"] = [{k: v for k, v in group.items() if k in keys} for group in old["param_groups"]]
    resumed = copy.deepcopy(straight)
    later = Muon(resumed.parameters(), lr=0.5)
    later.load_state_dict(old)
    for net, its in ((straight, optimizer), (resumed, later)):
        stepped(net, its, 3, seed=1)
    for own, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)


def test_lowers_a_loss_and_returns_what_the_closure_gives() -> None:
    weight = nn.Parameter(torch.randn(4, 6, generator=torch.Generator().manual_seed(3)))
    goal = torch.randn(4, 6, generator=torch.Generator().manual_seed(4))
    optimizer = Muon([weight], lr=0.05)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (weight - goal).square().mean()
        loss.backward()
        return float(loss.detach())

    losses = [optimizer.step(closure) for _ in range(200)]
    assert losses[-1] is not None and losses[0] is not None and losses[-1] < 0.05 * losses[0]
