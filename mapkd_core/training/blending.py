"""Weights between two networks of one training line: what a later stage learned at less cost of what was known before.

Source: WiSE-FT (Wortsman et al., CVPR 2022), section 3: every weight is a mean of both networks', one share for all.
"""
from __future__ import annotations

from pathlib import Path

from torch import nn

from mapkd_core.training.trained import load_trained


def blend(network: nn.Module, other: str | Path, share: float) -> str:
    """Moves the network's weights by `share` (0..1) of the way to those of a card or run; says what it did, for a card.

    Running means and variances are averaged as weights are. Raises ValueError for a share beyond 0..1, or if the
    networks differ.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share:g} of {other}; expected 0 (the run alone) to 1")
    theirs, card = load_trained(other)
    own, given = network.state_dict(), theirs.state_dict()
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in given.items()}:
        raise ValueError(f"{other} holds another network than the run; weights of one and the same can be blended")
    network.load_state_dict({
        name: value.lerp(given[name].to(value), share) if value.is_floating_point() else value
        for name, value in own.items()
    })
    return f"{share:g} of {card.name} {card.version} ({card.weights_sha256[:12]}), the rest of the run"
