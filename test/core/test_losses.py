"""Task losses: hand-computed values, and the properties their definitions promise."""
import dataclasses
import math

import pytest
import torch

from mapkd_core import losses
from mapkd_core.config import LossConfig
from mapkd_core.types import Batch, Prediction


def test_semantic_bce_by_hand():
    logits = torch.tensor([[[[0.0]], [[2.0]]]])
    onehot = torch.tensor([[[[1.0]], [[0.0]]]])
    expected = (2.13 * math.log(2) + math.log(1 + math.exp(2))) / 2
    assert losses.semantic_bce(logits, onehot, 2.13).item() == pytest.approx(expected, rel=1e-6)


def test_class_weight_counts_the_positives_of_one_class_more():
    logits, onehot = torch.zeros(1, 4, 1, 1), torch.tensor([0.0, 0.0, 1.0, 0.0]).reshape(1, 4, 1, 1)
    plain, weighted = (losses.semantic_bce(logits, onehot, 2.0, w).item() for w in ((1, 1, 1), (5, 3, 5)))
    assert plain == pytest.approx((3 + 2) * math.log(2) / 4)
    assert weighted == pytest.approx((3 + 2 * 3) * math.log(2) / 4)


def test_pyramid_overlap_is_least_at_the_target_and_forgives_small_shifts():
    torch.manual_seed(3)
    target = torch.randn(2, 4, 16, 24).softmax(1)
    assert losses.pyramid_overlap(target, target, (1, 2, 4, 8)).item() == pytest.approx(0, abs=1e-6)
    assert losses.pyramid_overlap(target**0.5, target, (1,)) > 1e-3
    line = torch.zeros(1, 4, 16, 24)
    line[:, 1, 5] = 1
    near, far = line.roll(1, 2), line.roll(8, 2)
    overlap = losses.pyramid_overlap
    cells, blocks = ([overlap(moved, line, (scale,)).item() for moved in (near, far)] for scale in (1, 8))
    assert cells[0] == pytest.approx(cells[1]) and cells[0] > 0.3  # cell by cell, near is as wrong as far
    assert blocks[0] == pytest.approx(0, abs=1e-6) and blocks[1] > 0.3


def test_pyramid_overlap_gives_a_rare_class_the_say_of_a_common_one():
    target = torch.zeros(1, 4, 8, 8)
    target[:, 1, :4], target[:, 2, 7, 7], target[:, 3, 5] = 1, 1, 1
    kept = (torch.tensor([1.0, *row])[None, :, None, None] for row in ([0, 1, 1], [1, 0, 1]))
    without = [losses.pyramid_overlap(target * keep, target, (1,)).item() for keep in kept]
    assert without == pytest.approx([1 / 3, 1 / 3], abs=1e-2)


def test_discriminative_by_hand():
    """Two instances at distance 2: means 0 and 2; a pixel 1 away from its mean costs (1 - 0.5)^2."""
    instance = torch.tensor([[[1, 1, 2, 2, 0]]])
    embedding = torch.tensor([[[[-1.0, 1.0, 2.0, 2.0, 99.0]]]])
    variance, distance = losses.discriminative(embedding, instance)
    assert variance.item() == pytest.approx((0.25 + 0.0) / 2)
    assert distance.item() == pytest.approx(2 * (3 - 2) ** 2 / (2 * 1) / 2)


def test_discriminative_of_an_empty_map_is_zero_with_a_gradient():
    embedding = torch.randn(2, 4, 3, 3, requires_grad=True)
    variance, distance = losses.discriminative(embedding, torch.zeros(2, 3, 3, dtype=torch.long))
    (variance + distance).backward()
    assert variance.item() == distance.item() == 0 and torch.all(embedding.grad == 0)


def test_discriminative_gradient_is_finite_when_means_coincide():
    embedding = torch.zeros(1, 4, 1, 4, requires_grad=True)
    variance, distance = losses.discriminative(embedding, torch.tensor([[[1, 1, 2, 2]]]))
    (variance + distance).backward()
    assert torch.isfinite(embedding.grad).all()


def test_direction_by_hand():
    """One line pixel, uniform softmax over 37: target 0.5 in two bins."""
    direction = torch.tensor([[[[5, 0]], [[23, 0]]]])
    p = 1 / 37
    expected = -(2 * 0.5 * math.log(p) + (35 + 2 * 0.5) * math.log(1 - p)) / 37
    assert losses.direction_bce(torch.zeros(1, 37, 1, 2), direction).item() == pytest.approx(expected, rel=1e-4)


def test_direction_without_lines_is_zero():
    assert losses.direction_bce(torch.randn(1, 37, 2, 2), torch.zeros(1, 2, 2, 2, dtype=torch.long)).item() == 0


def test_dice_is_zero_when_perfect_and_one_when_all_wrong():
    onehot = torch.nn.functional.one_hot(torch.arange(4).repeat(25).reshape(1, 10, 10), 4).permute(0, 3, 1, 2).float()
    assert losses.dice(onehot * 50, onehot).item() == pytest.approx(0, abs=1e-3)
    assert losses.dice(onehot.roll(1, 1) * 50, onehot).item() > 0.95


def test_terms_follow_heads_and_config():
    batch = Batch(
        torch.zeros(1), torch.zeros(1), torch.zeros(1),
        semantic=torch.zeros(1, 4, 2, 2), instance=torch.ones(1, 2, 2, dtype=torch.long),
        direction=torch.ones(1, 2, 2, 2, dtype=torch.long),
    )
    semantic = torch.zeros(1, 4, 2, 2)
    assert set(losses.task_terms(Prediction(semantic), batch, LossConfig())) == {"semantic"}
    for name in ("dice", "overlap"):
        assert set(losses.task_terms(Prediction(semantic), batch, LossConfig(**{name: 1.0}))) == {"semantic", name}
    full = Prediction(semantic, torch.randn(1, 3, 2, 2), torch.randn(1, 37, 2, 2))
    terms = losses.task_terms(full, batch, LossConfig(dice=1.0))
    assert set(terms) == {"semantic", "dice", "variance", "distance", "direction"}
    total = losses.weigh(terms, LossConfig(dice=1.0))
    by_hand = terms["semantic"] + terms["dice"] + 0.1 * (terms["variance"] + terms["distance"] + terms["direction"])
    assert total.item() == pytest.approx(by_hand.item(), rel=1e-6)


def labelled_batches():
    generator = torch.Generator().manual_seed(1)
    truth = torch.nn.functional.one_hot(torch.randint(0, 4, (3, 6, 8), generator=generator), 4).permute(0, 3, 1, 2)
    instance = truth[:, 1].int() * torch.arange(1, 9)
    direction = torch.stack([truth[:, 1] * 3, truth[:, 1] * 21], 1)
    batch = Batch(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(3, 1), semantic=truth, instance=instance,
                  direction=direction)  # fmt: skip
    made = [torch.randn(3, c, 6, 8, generator=generator).requires_grad_() for c in (4, 5, 37)]
    return batch, Prediction(*made)


def test_samples_without_labels_count_for_nothing():
    batch, prediction = labelled_batches()
    config = LossConfig(dice=1.0, overlap=1.0)
    partly = dataclasses.replace(batch, labelled=torch.tensor([True, False, True]))
    terms = losses.task_terms(prediction, partly, config)
    rest = [0, 2]
    alone = Prediction(prediction.semantic[rest], prediction.embedding[rest], prediction.direction[rest])
    mine = dataclasses.replace(
        batch, semantic=batch.semantic[rest], instance=batch.instance[rest], direction=batch.direction[rest]
    )
    for name, expected in losses.task_terms(alone, mine, config).items():
        torch.testing.assert_close(terms[name], expected, msg=name)
    losses.weigh(terms, config).backward()
    assert not prediction.semantic.grad[1].any() and prediction.semantic.grad[0].any()


def test_a_batch_without_any_labels_is_zero_with_a_gradient():
    batch, prediction = labelled_batches()
    terms = losses.task_terms(prediction, dataclasses.replace(batch, labelled=torch.zeros(3, dtype=bool)), LossConfig())
    assert set(terms) == set(losses.task_terms(prediction, batch, LossConfig()))
    total = losses.weigh(terms, LossConfig())
    total.backward()
    assert total == 0 and not prediction.semantic.grad.any()
