"""Which predicted element answers for which true one: the cheapest pairing, found sample by sample.

Source: MapTR (arXiv 2208.14437), section 3.3, hierarchical matching: elements by class and vertices, and of each pair
the order of vertices in which it agrees best. One-to-many: MapTRv2 (arXiv 2308.05736), section 3.5.

Legend: V predicted elements, G true ones, O orders, P vertices.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mapkd_core.vector_loss.targets import VectorTargets

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
_TINY = 1e-12


class Match(NamedTuple):
    """Pairs of a predicted and a true element, M of them."""

    predicted: Tensor
    """M int64, each at most once."""
    true: Tensor
    """M int64, each `repeats` times."""
    order: Tensor
    """M int64: the order of the true element's vertices that is nearest to the predicted ones."""


@torch.no_grad()
def match(
    logits: Tensor, places: Tensor, targets: VectorTargets, class_weight: float, points_weight: float, repeats: int = 1
) -> Match:
    """Pairs of V 3 logits and V P 2 places (0..1) with a sample's targets; `repeats` predictions for each true element.

    With fewer predictions than true elements (times `repeats`) some of these stay without.
    """
    device, count = logits.device, len(targets.labels)
    if not count:
        none = torch.zeros(0, dtype=torch.long, device=device)
        return Match(none, none, none)
    apart = order_distances(places.float(), targets.places)                             # V G O
    distance, order = apart.min(2)
    cost = class_weight * class_cost(logits.float())[:, targets.labels] + points_weight * distance
    # A cost that is not finite would end the search with an error about a matrix; the loss then says what is wrong.
    table = cost.nan_to_num(1e6, 1e6, -1e6).repeat(1, repeats).cpu().numpy()
    rows, cols = (torch.from_numpy(side).to(device) for side in linear_sum_assignment(table))
    true = cols % count
    return Match(rows, true, order[rows, true])


def order_distances(places: Tensor, true: Tensor) -> Tensor:
    """V P 2 and G O P 2 -> V G O: sums of the distances of vertices along both axes."""
    return torch.cdist(places.flatten(1), true.flatten(2).flatten(0, 1), p=1).unflatten(1, true.shape[:2])


def class_cost(logits: Tensor) -> Tensor:
    """V 3 -> V 3: what the focal loss would rise by, were the element of that class."""
    probability = logits.sigmoid()
    positive = FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * -(probability + _TINY).log()
    negative = (1 - FOCAL_ALPHA) * probability**FOCAL_GAMMA * -(1 - probability + _TINY).log()
    return positive - negative
