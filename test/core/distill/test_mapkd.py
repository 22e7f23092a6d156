"""MapKD's terms against their definitions, and the released attention's silence."""
import pytest
import torch

from mapkd_core.distill.controls import soft_bce
from mapkd_core.distill.mapkd import msrd, relation, relation_kl, relation_kl_as_released
from mapkd_core.distill.taps import ChannelStats


def maps(count=2, channels=16, size=(25, 50), seed=0):
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(seed))


def logits(seed):
    return torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(seed))


def test_msrd_ignores_the_background():
    student, teacher = logits(0), logits(1)
    foreground = torch.zeros(2, 1, 6, 8)
    foreground[:, :, 2:4] = 1
    changed = torch.where(foreground == 1, teacher, -teacher)
    assert msrd(student, teacher, foreground) == msrd(student, changed, foreground)
    by_hand = soft_bce(student[:, :, 2:4], teacher[:, :, 2:4]).mean()
    assert msrd(student, teacher, foreground).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_msrd_without_foreground_is_zero():
    student = logits(0).requires_grad_()
    loss = msrd(student, logits(1), torch.zeros(2, 1, 6, 8))
    loss.backward()
    assert loss == 0 and torch.equal(student.grad, torch.zeros_like(student))


def test_attention_rows_sum_to_one_and_count_the_patches():
    attention = relation(maps(), 5).exp()
    assert attention.shape == (2, 51, 50)
    assert torch.allclose(attention.sum(2), torch.ones(2, 51), atol=1e-5)


def test_a_size_that_patches_do_not_divide():
    assert relation(maps(size=(12, 26)), 5).shape == (2, 2 * 5 + 1, 10)


def test_repaired_attention_teaches_where_the_released_one_is_silent():
    """Features as they are behind a batch norm and a ReLU, at the published size."""
    teacher, other = maps(channels=192).relu(), maps(channels=192, seed=1).relu()
    closer = (0.9 * teacher + 0.1 * other).relu()
    assert relation_kl_as_released(other, teacher) < 1e-6
    stats = ChannelStats(192)
    stats.follow(teacher)
    far, near = relation_kl(stats(other), stats(teacher), 5), relation_kl(stats(closer), stats(teacher), 5)
    assert far > 1e-3 and far > 3 * near > 0
    assert relation_kl(stats(teacher), stats(teacher), 5).abs() < 1e-6


def test_statistics_follow_in_training_and_rest_in_eval():
    stats = ChannelStats(3)
    features = maps(4, 3, (8, 8)) * torch.tensor([1.0, 2.0, 3.0])[:, None, None] + 5
    stats.follow(features)
    standard = stats(features)
    assert torch.allclose(standard.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(standard.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-4)
    before = stats.mean.clone()
    stats.eval().follow(features + 1)
    assert torch.equal(before, stats.mean)
    stats.train().follow(features + 1)
    assert torch.allclose(stats.mean, before + 0.5, atol=1e-5)  # the plain average of two batches
