"""The formulas inside the adapted methods, each against its definition."""
import math

import pytest
import torch
from torch.nn import functional

from mapkd_core.distill.bevdistill import gaussian_focal, info_nce, instance_means
from mapkd_core.distill.bridgeta import young
from mapkd_core.distill.dualdistill import Aoa
from mapkd_core.distill.labeldistill import masked_mean_square
from mapkd_core.distill.mapdistill import batch_gram, cross_attention
from mapkd_core.distill.mfd import channel_attention, masked_square, per_pixel, spatial_attention
from mapkd_core.distill.ours import balanced_kl, hallucination, predictability
from mapkd_core.distill.tigbev import gram, gram_distance
from mapkd_core.distill.unidistill import near_lines, relation_matrix
from mapkd_core.distill.x3kd import reversed_gradient


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("eps", [0.25, 1.0, 3.0])
def test_young_bounds_the_direct_distance_and_is_it_at_the_best_assistant(eps):
    t, s = random(2, 3, 4, 5).double(), random(2, 3, 4, 5, seed=1).double()
    direct = functional.mse_loss(s, t)
    for seed in range(20):
        assert young(t, random(2, 3, 4, 5, seed=seed + 2).double(), s, eps) >= direct
    best = s + eps / (1 + eps) * (t - s)
    assert young(t, best, s, eps).item() == pytest.approx(direct.item(), rel=1e-9)
    assert young(t, t, t, eps) == 0


def test_orthogonal_alignment_stays_orthogonal_when_trained():
    torch.manual_seed(0)
    for student, teacher in ((8, 16), (16, 8)):
        aoa = Aoa(student, teacher, (6, 8), (3, 4))
        optimizer = torch.optim.Adam(aoa.parameters(), lr=0.1)
        before = aoa.turn.weight.detach().clone()
        aoa(random(2, student, 12, 16)).square().sum().backward()
        optimizer.step()
        weight = aoa.turn.weight
        product = weight.T @ weight if teacher > student else weight @ weight.T
        assert torch.allclose(product, torch.eye(min(student, teacher)), atol=1e-5)
        assert not torch.allclose(weight, before) and aoa(random(2, student, 12, 16)).shape == (2, teacher, 6, 8)


def test_mfd_is_the_scaled_mean_square_without_masks_and_attention():
    student, teacher = random(2, 3, 4, 5), random(2, 3, 4, 5, seed=1)
    loss = masked_square(student, teacher, per_pixel(torch.ones(2, 1, 4, 5)))
    assert loss.item() == pytest.approx(3 * functional.mse_loss(student, teacher).item(), rel=1e-5)
    assert per_pixel(torch.zeros(2, 1, 4, 5)).sum() == 0


def test_attention_of_mfd_has_mean_one_and_no_gradient():
    student, teacher = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5, seed=1)
    spatial, channel = spatial_attention(teacher, student), channel_attention(teacher)
    assert spatial.mean().item() == pytest.approx(1) and channel.mean().item() == pytest.approx(1)
    assert spatial.shape == (2, 1, 4, 5) and channel.shape == (2, 3, 1, 1) and not spatial.requires_grad


def test_info_nce_of_identical_rows_is_the_log_of_their_number():
    rows = random(1, 8).expand(5, 8)
    assert info_nce(rows, rows, torch.ones(5)).item() == pytest.approx(math.log(5), rel=1e-5)
    apart = torch.eye(5)
    assert info_nce(apart, apart, torch.ones(5)) < 1e-4
    assert info_nce(rows[:1], rows[:1], torch.ones(1)) == 0


def test_instance_means():
    ids = torch.zeros(2, 1, 4, 6)
    ids[0, 0, 0], ids[1, 0, 1], ids[1, 0, 3, :2] = 1, 1, 2
    features = random(2, 3, 4, 6)
    means = instance_means(features, ids, least=3)
    assert torch.allclose(means, torch.stack([features[0, :, 0].mean(1), features[1, :, 1].mean(1)]), atol=1e-6)


def test_focal_loss_is_small_where_it_is_right():
    heat = torch.zeros(1, 1, 4, 4)
    heat[0, 0, 1] = 1
    right, wrong = torch.where(heat == 1, 6.0, -6.0), torch.where(heat == 1, -6.0, 6.0)
    assert gaussian_focal(right, heat) < 1e-5 and gaussian_focal(wrong, heat) > 5


def test_gram_matrices():
    points = random(2, 7, 4)
    raw = points @ points.transpose(1, 2)
    assert torch.allclose(raw, raw.transpose(1, 2)) and torch.allclose(gram(points).norm(dim=-1), torch.ones(2, 7))
    assert gram_distance(points, points) == 0 and gram_distance(points, random(2, 7, 4, seed=1)) > 0.1
    assert torch.allclose(gram(points), gram(points @ torch.linalg.qr(random(4, 4))[0]), atol=1e-5), "turns are free"


def test_relation_matrix_is_cosine_similarity():
    relation = relation_matrix(random(3, 9, 4))
    assert torch.allclose(relation, relation.transpose(1, 2)) and torch.allclose(
        relation.diagonal(dim1=1, dim2=2), torch.ones(3, 9)
    )


def test_near_lines():
    heat = torch.zeros(1, 1, 2, 2)
    heat[..., 0, 0], heat[..., 0, 1] = 1.0, 0.5
    assert near_lines(torch.tensor([[[[3.0, 6.0], [9.0, 9.0]]]]), heat).item() == pytest.approx(4.0)
    assert near_lines(heat, torch.zeros_like(heat)) == 0


def test_cross_attention_and_batch_gram():
    one, other = random(2, 3, 10, 15), random(2, 3, 10, 15, seed=1)
    attention = cross_attention(one, other).exp()
    assert attention.shape == (2, 6, 6) and torch.allclose(attention.sum(2), torch.ones(2, 6), atol=1e-5)
    assert torch.allclose(batch_gram(one, other), batch_gram(other, one).T)


def test_masked_mean_square():
    student, target, mask = random(2, 3, 4, 5), random(2, 3, 4, 5, seed=1), torch.ones(2, 1, 4, 5)
    assert masked_mean_square(student, target, mask).item() == pytest.approx(
        3 * functional.mse_loss(student, target).item(), rel=1e-5
    )
    assert masked_mean_square(student, target, 0 * mask) == 0


def test_reversed_gradient():
    x = torch.ones(3, requires_grad=True)
    (reversed_gradient(x, 0.1) * 2).sum().backward()
    assert torch.allclose(x.grad, torch.full((3,), -0.2))


def test_predictability_is_one_in_agreement_and_small_in_contradiction():
    sure = torch.zeros(1, 4, 1, 3)
    sure[0, 0, 0, :2], sure[0, 1, 0, 2] = 6.0, 6.0
    other = sure.clone()
    other[0, :, 0, 1] = torch.tensor([0.0, 6.0, 0.0, 0.0])
    weight = predictability(other, sure)[0, 0, 0]
    assert weight[0].item() == pytest.approx(1) and weight[2].item() == pytest.approx(1) and weight[1] < 1e-3


def test_hallucination_punishes_only_what_the_teacher_excludes():
    def at(p):
        return math.log(p / (1 - p))

    student, teacher = torch.full((1, 4, 1, 4), at(0.05)), torch.full((1, 4, 1, 4), at(0.01))
    student[0, 1, 0] = at(0.8)
    teacher[0, 1, 0, 1] = at(0.6)           # the teacher sees it as well
    foreground = torch.zeros(1, 1, 1, 4)
    foreground[..., 2] = 1                  # and here is a line
    student.requires_grad_()
    hallucination(student, teacher, foreground).backward()
    felt = student.grad[0].abs().sum(0)[0] > 0
    assert felt.tolist() == [True, False, False, True] and (student.grad[0, 1, 0, [0, 3]] > 0).all()
    assert hallucination(teacher, teacher, foreground) == 0


def test_balanced_kl_lets_one_line_cell_count_as_much_as_all_the_rest():
    target = torch.zeros(1, 4, 1, 5)
    target[0, 0, 0, :4], target[0, 1, 0, 4] = 1.0, 1.0
    lines = torch.zeros(1, 1, 1, 5)
    lines[..., 4] = 1
    doubtful = torch.zeros(1, 4, 1, 5, requires_grad=True)   # a quarter for every class in every cell
    on_lines, elsewhere = balanced_kl(doubtful, target, lines)
    assert on_lines.item() == pytest.approx(math.log(4), rel=1e-3)
    assert elsewhere.item() == pytest.approx(math.log(4), rel=1e-3)
    (on_lines + elsewhere).backward()
    felt = doubtful.grad[0].abs().sum(0)[0]
    assert felt[4].item() == pytest.approx(4 * felt[0].item(), rel=1e-3)
    soft = random(1, 4, 1, 5).softmax(1)
    assert all(abs(term.item()) < 1e-6 for term in balanced_kl(soft.log(), soft, lines))
    assert balanced_kl(doubtful, target, 0 * lines)[0] == 0
