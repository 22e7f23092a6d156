"""Loss terms of a network that predicts vertices, summed over the decoder's layers.

Source: MapTR (arXiv 2208.14437), section 3.4: focal loss of classes, distance of vertices, direction of edges. One-to-
many queries and dense maps beside them: MapTRv2 (arXiv 2308.05736), sections 3.5 and 3.6.

Legend: L decoder layers, B batch, V predicted elements, P vertices, M pairs.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.config import LossConfig
from mapkd_core.grid import BevGrid
from mapkd_core.losses import task_terms
from mapkd_core.types import Batch, Prediction, VectorPrediction
from mapkd_core.vector_loss.matching import FOCAL_ALPHA, FOCAL_GAMMA, match
from mapkd_core.vector_loss.targets import VectorTargets, batch_targets, spans_m

VECTOR_TERMS = ("element_class", "points", "edges")
_SHORTEST_EDGE_M = 1e-3


def map_terms(
    prediction: Prediction | VectorPrediction, batch: Batch, config: LossConfig, grid: BevGrid
) -> dict[str, Tensor]:
    """The task terms of any network, unweighted, by the names of LossConfig."""
    if isinstance(prediction, Prediction):
        return task_terms(prediction, batch, config)
    targets = batch_targets(batch, grid, prediction.points_m.shape[-2])
    terms = vector_terms(prediction, targets, config, grid, config.repeats)
    if prediction.many is not None:
        many = vector_terms(prediction.many, targets, config, grid, prediction.repeats)
        terms["one_to_many"] = torch.stack([getattr(config, name) * term for name, term in many.items()]).sum()
    if prediction.semantic is not None:
        terms.update(task_terms(Prediction(prediction.semantic), batch, config))
    return terms


def vector_terms(
    prediction: VectorPrediction, targets: Sequence[VectorTargets | None], config: LossConfig, grid: BevGrid,
    repeats: int = 1,
) -> dict[str, Tensor]:
    """`element_class`, `points` and `edges` of all layers, each a sum over the pairs divided by their number.

    Samples whose targets are None are left out; `config`'s weights decide the pairs.
    """
    sides = torch.from_numpy(spans_m(grid)).to(prediction.points_m)
    low = prediction.points_m.new_tensor([grid.x_range_m[0], grid.y_range_m[0]])
    places = (prediction.points_m - low) / sides                                        # L B V P 2
    logits = prediction.logits.float()                                                  # L B V 3
    labelled = [sample for sample, known in enumerate(targets) if known is not None]
    wanted = torch.zeros_like(logits)
    found, true = [places[:, :0].flatten(0, 2)], [places[:, :0].flatten(0, 2)]
    for layer in range(len(logits)):
        for sample in labelled:
            known = targets[sample]
            assert known is not None
            pairs = match(
                logits[layer, sample], places[layer, sample], known, config.element_class, config.points, repeats
            )
            found.append(places[layer, sample, pairs.predicted])
            true.append(known.places[pairs.true, pairs.order])
            wanted[layer, sample, pairs.predicted, known.labels[pairs.true]] = likeness(
                found[-1] * sides, true[-1].to(places.dtype) * sides, config.likeness_m
            )
    mine, theirs = torch.cat(found), torch.cat(true).to(places.dtype)                   # M P 2
    # As many pairs in every layer: their number in one of them is what each layer's sum is divided by.
    count = max(len(mine) / len(logits), 1.0)
    return {
        "element_class": focal(logits[:, labelled], wanted[:, labelled], soft=bool(config.likeness_m)) / count,
        "points": (mine - theirs).abs().sum() / count,
        "edges": edge_turns(mine * sides, theirs * sides).sum() / count,
    }


@torch.no_grad()
def likeness(found_m: Tensor, true_m: Tensor, scale_m: float) -> Tensor:
    """M P 2 vertices each -> M scores that pairs should have: 1, or with a scale less the farther the lines are."""
    if not scale_m:
        return found_m.new_ones(len(found_m))
    return (-line_distances(found_m, true_m) / scale_m).exp()


def line_distances(one: Tensor, other: Tensor) -> Tensor:
    """M P 2 each -> M: how far the vertices of each line are from the other line, the mean of both ways; metres.

    Vertices that slide along a line do not count, as they do not for the AP.
    """
    return (_to_line(one, other) + _to_line(other, one)) / 2


def _to_line(points: Tensor, line: Tensor) -> Tensor:
    """M P 2 vertices, M S+1 2 lines -> M: mean distance from the nearest of S segments."""
    start, step = line[:, None, :-1], line.diff(dim=1)[:, None]                         # M 1 S 2
    away = points[:, :, None] - start                                                   # M P S 2
    along = ((away * step).sum(-1) / step.square().sum(-1).clamp(min=1e-9)).clamp(0, 1)
    return (away - along[..., None] * step).norm(dim=-1).amin(-1).mean(-1)


def focal(logits: Tensor, wanted: Tensor, soft: bool = False) -> Tensor:
    """The sum of the focal loss (Lin et al. 2017) of sigmoids.

    With `soft`, `wanted` scores lie between 0 and 1, and cross entropy teaches those above 0 in full, as in DEIM
    (arXiv 2412.04234, section 3.2): weighed by the distance of scores, as in Li et al. (arXiv 2006.04388), a pair
    whose score should be 0.3, as crossings' long are, teaches a tenth of what one with 1 does.
    """
    probability = logits.sigmoid()
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = (wanted - probability).abs() ** FOCAL_GAMMA
    if soft:
        weight = torch.where(wanted > 0, 1.0, missed)
    else:
        weight = torch.where(wanted > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA) * missed
    return (weight * loss).sum()


def edge_turns(found_m: Tensor, true_m: Tensor) -> Tensor:
    """M P 2 vertices each -> M P-1: one minus the cosine between edges; 0 where the true one has no length."""
    mine, theirs = found_m.diff(dim=1), true_m.diff(dim=1)
    turn = 1 - functional.cosine_similarity(mine, theirs, dim=-1, eps=1e-6)
    return turn * (theirs.norm(dim=-1) > _SHORTEST_EDGE_M)
