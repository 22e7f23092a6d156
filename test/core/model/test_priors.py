"""The priors of P-MapNet: attention to the road map, and maps with blocks wiped."""
from __future__ import annotations

import torch

from mapkd_core.model.hd_prior import wipe_blocks
from mapkd_core.model.sd_prior import PriorLayer


def test_a_layer_attends_to_the_road_by_what_and_where_it_is() -> None:
    torch.manual_seed(0)
    layer = PriorLayer(8, 2, 12, 0.1).eval()
    x, road, position = torch.randn(2, 6, 8), torch.randn(2, 6, 8), torch.randn(1, 6, 8)
    own = layer.own(x + position, x + position, x, need_weights=False)[0]
    first = layer.norms[0](x + own)
    cross = layer.cross(first + position, road + position, road, need_weights=False)[0]
    second = layer.norms[1](first + cross)
    assert torch.allclose(layer(x, road, position), layer.norms[2](second + layer.feed(second)), atol=1e-6)


def onehot() -> torch.Tensor:
    torch.manual_seed(0)
    drawn = torch.rand(2, 3, 40, 80) > 0.5
    return torch.cat([~drawn.any(1, keepdim=True), drawn], 1).float()


def test_nothing_or_all_is_wiped_where_that_is_the_ratio() -> None:
    whole = onehot()
    assert torch.equal(wipe_blocks(whole, 0.0), whole) and torch.equal(whole, onehot())
    wiped = wipe_blocks(whole, 1.0)
    assert wiped[:, 0].all() and not wiped[:, 1:].any()


def test_what_is_wiped_is_background_and_boundaries_are_wiped_apart() -> None:
    whole = onehot()
    wiped = wipe_blocks(whole, 0.5, torch.Generator().manual_seed(3))
    assert torch.equal(wiped[:, 0], (wiped[:, 1:].sum(1) == 0).float())
    gone = [(whole[:, c] - wiped[:, c]) for c in (1, 2, 3)]
    assert all(0.3 < float(g.sum() / whole[:, c].sum()) < 0.7 for c, g in zip((1, 2, 3), gone, strict=True))
    both = (whole[:, 1] > 0) & (whole[:, 2] > 0)
    assert torch.equal(gone[0][both], gone[1][both]), "dividers and crossings by the same blocks"
    both = (whole[:, 1] > 0) & (whole[:, 3] > 0)
    assert not torch.equal(gone[0][both], gone[2][both])


def test_a_negative_ratio_is_drawn_for_each() -> None:
    shares = []
    for seed in range(20):
        wiped = wipe_blocks(onehot(), -1.0, torch.Generator().manual_seed(seed))
        shares.append([1 - float(wiped[:, c].sum() / onehot()[:, c].sum()) for c in (1, 3)])
    lines, boundaries = zip(*shares, strict=True)
    assert max(lines) < 0.8 and max(boundaries) < 0.6 and min(lines) < 0.2 and max(lines) > 0.45
