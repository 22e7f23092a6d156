"""The decoder's steps: how vertices move, and that a layer learns from its own move alone."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.model.token_sampling import bilinear_table, gathered
from mapkd_core.model.vector_config import vector_config
from mapkd_core.model.vector_decoder import _MOVE, VectorDecoder


def decoder(**options: object) -> VectorDecoder:
    torch.manual_seed(0)
    config = replace(vector_config({"variant": "vector_nano"}), width=16, hidden=16, vectors=3, points=4, heads=4,
                     sampling_heads=4, many=0, dropout=0.0, evidence=(), **options)  # fmt: skip
    made = VectorDecoder(config, (5, 8), 6)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    return made.eval()


def test_an_output_of_one_moves_a_vertex_by_a_share_of_the_map() -> None:
    made, x, place = decoder(bends=3), torch.randn(2, 12, 16), torch.rand(2, 12, 2)
    step = made.move[1](x)
    shares = made.bend[1](x.reshape(2, 3, 4, 16).mean(2)).reshape(2, 3, 3, 2)
    along = torch.linspace(-1, 1, 4)
    shapes = torch.stack([along**0, along, (3 * along**2 - 1) / 2], 1)                  # P K
    bent = torch.einsum("pk,bvkd->bvpd", shapes, shares).reshape(2, 12, 2)
    assert torch.allclose(made._moved(1, x, place), place + _MOVE * (step + bent), atol=1e-5)


def test_without_bends_a_vertex_stays_on_the_map() -> None:
    made, x, place = decoder(bends=0), torch.randn(2, 12, 16), torch.rand(2, 12, 2)
    expected = (made.move[0](x) + (place / (1 - place)).log()).sigmoid()
    assert torch.allclose(made._moved(0, x, place), expected, atol=1e-4)


def test_what_a_layer_moves_is_not_learnt_from_the_next_ones() -> None:
    made = decoder(bends=3)
    _, vertices = made(torch.randn(1, 6, 5, 8), made.start())
    first, last = made.move[0][-1].weight, made.move[-1][-1].weight
    gradients = torch.autograd.grad(vertices[-1].sum(), (first, last), allow_unused=True)
    assert gradients[0] is None or not gradients[0].any()
    assert gradients[1] is not None and gradients[1].any()


@pytest.mark.parametrize("places", [(0.02, 0.98), (-0.3, 1.3)])
def test_tables_read_as_grid_sample_does_with_zeros_around(places: tuple[float, float]) -> None:
    torch.manual_seed(1)
    low, high = places
    place = low + (high - low) * torch.rand(2, 3, 4, 5, 2)                              # B Q H P 2
    weight, tokens = torch.rand(2, 3, 4, 5), torch.randn(2, 40, 8)
    found = gathered(tokens, *bilinear_table(place, weight, (5, 8)), heads=4)
    maps = tokens.transpose(1, 2).reshape(2, 8, 5, 8)
    for head in range(4):
        at = (2 * place[:, :, head] - 1)                                                # B Q P 2
        part = maps[:, 2 * head : 2 * head + 2]
        read = torch.nn.functional.grid_sample(part, at, padding_mode="zeros", align_corners=False)
        expected = (read * weight[:, None, :, head]).sum(-1).transpose(1, 2)
        assert np.allclose(found[..., 2 * head : 2 * head + 2], expected, atol=1e-5)
