"""Task losses as pure functions that return named terms; weights live in the config and the sum happens once.

Source: HDMapNet (Li et al. 2022) and P-MapNet (Jiang et al. 2024) as published; `dice` and `overlap` are added by us.
Legend: B batch, C classes with background, E embedding channels, Y X grid.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.config import LossConfig
from mapkd_core.types import Batch, Prediction

_SURE = 20.0
"""A logit that is as good as certain."""
OVERLAP_SCALES = (1, 2, 4, 8)
"""Edges of the windows, cells, over which maps are averaged before their overlap is taken."""


def semantic_bce(
    logits: Tensor, onehot: Tensor, pos_weight: float, class_weight: Sequence[float] = ()
) -> Tensor:
    """Binary cross entropy over all C channels and pixels; positives count `pos_weight` times, background too.

    `class_weight` multiplies that for the C - 1 map classes.
    """
    weight = torch.full((logits.shape[1], 1, 1), pos_weight, device=logits.device, dtype=logits.dtype)
    if class_weight:
        weight[1:, 0, 0] *= torch.tensor(class_weight, device=logits.device, dtype=logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, onehot.to(logits.dtype), pos_weight=weight)


def dice(logits: Tensor, onehot: Tensor) -> Tensor:
    """1 - soft Dice of the softmax over the map classes, background excluded, sums over the whole batch (ours)."""
    probability = logits.float().softmax(1)[:, 1:]
    truth = onehot[:, 1:].to(probability.dtype)
    both = (probability * truth).sum((0, 2, 3))
    return (1 - (2 * both + 1) / (probability.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)).mean()


def pyramid_overlap(student: Tensor, target: Tensor, scales: tuple[int, ...]) -> Tensor:
    """1 - overlap of two maps, averaged over classes and scales; 0 where they are equal, at most 1 (ours).

    Class probabilities B C Y X, background first and left out; `scales` are edges of the averaging windows, cells.
    Overlap is 2 sum(p t) / (sum p^2 + sum t^2), which, unlike Dice, is greatest at p = t for soft targets too.
    """
    losses = []
    for scale in scales:
        p, t = (functional.avg_pool2d(maps[:, 1:], scale, ceil_mode=True) for maps in (student, target))
        both, alone = (p * t).sum((0, 2, 3)), (p**2 + t**2).sum((0, 2, 3))              # C - 1
        losses.append(1 - (2 * both + 1e-3) / (alone + 1e-3))
    return torch.stack(losses).mean()


def discriminative(
    embedding: Tensor, instance: Tensor, delta_variance: float = 0.5, delta_distance: float = 3.0
) -> tuple[Tensor, Tensor]:
    """Pulls pixels of an instance together (variance) and instances apart (distance); De Brabandere et al. 2017.

    `embedding` B E Y X, `instance` B Y X (0 background). Means over the batch; an image without lines adds 0.
    """
    variances, distances = [], []
    for features, ids in zip(embedding.float(), instance, strict=True):
        labels, group = ids[ids > 0].unique(return_inverse=True)
        count = len(labels)
        if count == 0:
            variances.append(features.sum() * 0)
            distances.append(features.sum() * 0)
            continue
        pixels = features[:, ids > 0].T                                                 # P E
        size = torch.zeros(count, device=pixels.device).index_add_(0, group, torch.ones_like(pixels[:, 0]))
        mean = pixels.new_zeros(count, pixels.shape[1]).index_add(0, group, pixels) / size[:, None]
        away = functional.relu((pixels - mean[group]).norm(dim=1) - delta_variance) ** 2
        variances.append((pixels.new_zeros(count).index_add(0, group, away) / size).mean())
        if count > 1:
            gap = (mean[:, None] - mean[None] + torch.eye(count, device=mean.device)[..., None] * 1e3).norm(dim=2)
            close = functional.relu(delta_distance - gap) ** 2
            distances.append(close.sum() / (count * (count - 1)) / 2)
        else:
            distances.append(features.sum() * 0)
    return torch.stack(variances).mean(), torch.stack(distances).mean()


def direction_bce(logits: Tensor, direction: Tensor) -> Tensor:
    """Cross entropy of the direction softmax on the pixels of lines only.

    `logits` B 37 Y X; `direction` B 2 Y X bins 1..36 forward and backward, 0 background: the target is half of each.
    """
    bins = logits.shape[1]
    on_line = direction[:, 0] > 0                                                       # B Y X
    probability = logits.float().softmax(1).permute(0, 2, 3, 1)[on_line]                # P 37
    forward, backward = direction[:, 0][on_line].long(), direction[:, 1][on_line].long()
    target = (functional.one_hot(forward, bins) + functional.one_hot(backward, bins)).float() / 2
    total = functional.binary_cross_entropy(probability.clamp(0, 1), target, reduction="sum")
    return total / (bins * on_line.sum() + 1e-6)


def task_terms(prediction: Prediction, batch: Batch, config: LossConfig) -> dict[str, Tensor]:
    """All terms whose heads, targets and weights are there, unweighted, by the names of LossConfig.

    Samples without labels are left out; of a batch without any labels all terms are 0.
    """
    if batch.labelled is not None:
        if not batch.labelled.any():
            whole = task_terms(prediction, replace(batch, labelled=None), config)
            return {name: term * 0 for name, term in whole.items()}
        prediction, batch = _labelled_part(prediction, batch, batch.labelled)
    assert batch.semantic is not None, "a training batch carries labels"
    terms = {"semantic": semantic_bce(prediction.semantic, batch.semantic, config.pos_weight, config.class_weight)}
    if config.dice:
        terms["dice"] = dice(prediction.semantic, batch.semantic)
    if config.overlap:
        probability = prediction.semantic.float().softmax(1)
        terms["overlap"] = pyramid_overlap(probability, batch.semantic.float(), OVERLAP_SCALES)
    if prediction.embedding is not None and batch.instance is not None and (config.variance or config.distance):
        terms["variance"], terms["distance"] = discriminative(prediction.embedding, batch.instance)
    if prediction.direction is not None and batch.direction is not None and config.direction:
        terms["direction"] = direction_bce(prediction.direction, batch.direction)
    return terms


def where_known(prediction: Prediction, batch: Batch) -> Prediction:
    """The prediction with surely no line where labels do not count, and say the same: no loss there, no gradient."""
    if batch.known_cells is None:
        return prediction
    logits = prediction.semantic
    nothing = logits.new_full((logits.shape[1], 1, 1), -_SURE)
    nothing[0] = _SURE
    return replace(prediction, semantic=torch.where(batch.known_cells[:, None], logits, nothing))


def _labelled_part(prediction: Prediction, batch: Batch, labelled: Tensor) -> tuple[Prediction, Batch]:
    """Outputs and drawn labels of the samples whose labels are known."""

    def part(value: Tensor | None) -> Tensor | None:
        return value[labelled] if value is not None else None

    outputs = Prediction(prediction.semantic[labelled], part(prediction.embedding), part(prediction.direction))
    return outputs, replace(
        batch, labelled=None, semantic=part(batch.semantic), instance=part(batch.instance),
        direction=part(batch.direction),
    )


def weigh(terms: Mapping[str, Tensor], weights: LossConfig | Mapping[str, float]) -> Tensor:
    """The weighted sum of named terms."""
    table = weights if isinstance(weights, Mapping) else vars(weights)
    return torch.stack([table[name] * term for name, term in terms.items()]).sum()
