"""MapKD's family term by term against its formulas, written out in NumPy."""
import numpy as np
import pytest
import torch
from hand_step import Hand, prediction_by_hand
from slow_math import array, block_mean, cross_entropy, divergence, moments, point_wise, softmax, standardised
from slow_regions import foreground

from mapkd_core.distill.mapdistill import cross_attention
from mapkd_core.distill.mapkd import msrd, token_and_patches
from mapkd_core.distill.taps import patch_cells
from mapkd_core.grid import BevGrid

PATCH, PATCH_M = 2, 4.0  # cells of `bev_small`, two metres each here


def attention(features, patch=PATCH, temperature=0.1):
    """Rows of the global token and every patch over all the others, B N+1 N."""
    results = []
    for sample in features:
        rows, cols = sample.shape[1] // patch, sample.shape[2] // patch
        token = np.repeat(sample.mean((1, 2)), patch * patch)
        vectors = [token] + [
            sample[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch].reshape(-1)
            for r in range(rows) for c in range(cols)
        ]
        unit = np.array([v / np.linalg.norm(v) for v in vectors])
        similar = unit @ unit.T / temperature
        results.append([softmax(np.delete(row, i), 0) for i, row in enumerate(similar)])
    return np.array(results)


def relation_kl(student, teacher):
    """Both standardised by the teacher's moments; KL(teacher || student), mean over rows and samples."""
    mean, square = moments(teacher)
    mine, theirs = (attention(standardised(f, mean, square)) for f in (student, teacher))
    return divergence(theirs, mine).mean()


def masked_response(student, teacher, mask):
    entropy = cross_entropy(array(student), 1 / (1 + np.exp(-array(teacher))))
    return (entropy * mask).sum() / (mask.sum() * 4)


def pair(hand, method, role="teacher"):
    """Student's `bev_small` brought to the other's width and size."""
    theirs = array(getattr(hand, role).taps["bev_small"])
    mine = block_mean(array(hand.student.taps["bev_small"]), theirs.shape[-2:])
    adapt = method.pairs[role].adapt if hasattr(method, "pairs") else method.pair.adapt
    return (mine if isinstance(adapt, torch.nn.Identity) else point_wise(mine, adapt)), theirs


@pytest.fixture(params=[8, 3], ids=["equal widths", "through a 1x1 convolution"])
def hand(request):
    return Hand(student=prediction_by_hand(1, bev_small=request.param))


@pytest.mark.parametrize("role", ["teacher", "coach"])
def test_each_role_teaches_attention_feature_and_response(hand, role):
    method = hand.method("mapkd", patch_m=PATCH_M)
    terms = method.terms(hand.step())
    mine, theirs = pair(hand, method, role)
    semantic = getattr(hand, role).semantic
    expected = {
        "attention": relation_kl(mine, theirs), "feature": ((mine - theirs) ** 2).mean(),
        "response": masked_response(hand.student.semantic, semantic, foreground()),
    }
    for name, value in expected.items():
        assert terms[f"{name}_{role}"].item() == pytest.approx(value, rel=1e-4), name
    assert len({round(v.item(), 6) for v in terms.values()}) == 6, "no two terms are the same"


def test_terms_reach_the_student_alone():
    hand = Hand()
    terms = hand.method("mapkd", patch_m=PATCH_M).terms(hand.step())
    reached = {name: hand.reached(term) for name, term in terms.items()}
    feature, response = {"student.bev_small"}, {"student.semantic"}
    assert reached == {
        f"{name}_{role}": response if name == "response" else feature
        for name in ("attention", "feature", "response") for role in ("teacher", "coach")
    }


def test_statistics_are_the_teachers():
    hand = Hand()
    method = hand.method("mapkd", patch_m=PATCH_M)
    method.terms(hand.step())
    for role in ("teacher", "coach"):
        mean, square = moments(array(getattr(hand, role).taps["bev_small"]))
        np.testing.assert_allclose(array(method.stats[role].mean), mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(array(method.stats[role].square), square, rtol=1e-4)


def test_larger_student_features_are_averaged_down():
    student = prediction_by_hand(1)
    student.taps["bev_small"] = torch.randn(2, 8, 8, 12, generator=torch.Generator().manual_seed(9)).requires_grad_()
    hand = Hand(student=student)
    method = hand.method("mapkd_coach", patch_m=PATCH_M)
    mine, theirs = pair(hand, method)
    assert method.terms(hand.step())["feature_teacher"].item() == pytest.approx(((mine - theirs) ** 2).mean(), rel=1e-4)


def released_attention(features, patch):
    rows, cols = features.shape[2] // patch, features.shape[3] // patch
    results = []
    for sample in features:
        x = np.array([
            sample[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch].reshape(-1)
            for r in range(rows) for c in range(cols)
        ])
        results.append(softmax(softmax(x @ x.T, 1), 1))
    return np.array(results)


def test_the_released_attention_is_two_softmaxes_over_raw_patches():
    """Small values, or the first softmax would already be the identity."""
    roles = [prediction_by_hand(seed, bev_small=8, scale=0.1) for seed in (1, 2, 3)]
    for seed, role in enumerate(roles):  # 25 cells a side: two patches, as in the released code
        role.taps["bev_small"] = 0.02 * torch.randn(2, 8, 25, 50, generator=torch.Generator().manual_seed(seed))
    hand = Hand(*roles)
    term = hand.method("mapkd_code").terms(hand.step())["attention_teacher"]
    mine, theirs = (released_attention(array(r.taps["bev_small"]), 25) for r in roles[:2])
    assert term.item() == pytest.approx(divergence(theirs, mine).sum() / 2, rel=1e-2)
    assert term.item() > 0


def test_simulated_lidar_follows_the_real_one_when_it_is_asked_to():
    hand = Hand()
    assert "sim_lidar" not in hand.method("mapkd_coach").terms(hand.step())
    terms = hand.method("mapkd_coach", sim_lidar_weight=0.5).terms(hand.step())
    difference = array(hand.student.taps["lid_bev"]) - array(hand.teacher.taps["lid_bev"])
    assert terms["sim_lidar"].item() == pytest.approx((difference**2).mean(), rel=1e-5)


def test_terms_without_a_weight_are_not_computed_and_the_coach_not_asked():
    hand = Hand()
    final = hand.method("mapkd_final")
    assert set(final.terms(hand.step())) == {"response_teacher", "response_coach"} and final.asks_coach()
    coach = hand.method("mapkd_coach", patch_m=PATCH_M)
    hand.coach = None
    assert set(coach.terms(hand.step())) == {"attention_teacher", "feature_teacher", "response_teacher"}
    assert not coach.asks_coach()


# --- ours: predictable, line_space, ours ---------------------------------------------------------------------------

def predictability(coach, teacher, sharpness=2.0):
    mine, theirs = (np.moveaxis(softmax(sharpness * array(z), 1), 1, -1) for z in (coach, teacher))
    return np.exp(-divergence(mine, theirs))[:, None]


def hallucination(student, teacher, lines):
    s, t = array(student)[:, 1:], array(teacher)[:, 1:]
    total, count = 0.0, 0
    for place in np.ndindex(s.shape):
        claimed, excluded = 1 / (1 + np.exp(-s[place])) > 0.3, 1 / (1 + np.exp(-t[place])) < 0.1
        if claimed and excluded and lines[place[0], 0, place[2], place[3]] == 0:
            total += cross_entropy(s[place], 1 / (1 + np.exp(-t[place])))
            count += 1
    assert count > 20
    return total / count


@pytest.mark.parametrize("sharpness", [2.0, 0.7])
def test_predictable_weighs_by_what_the_coach_foresees(hand, sharpness):
    method = hand.method("ours", patch_m=PATCH_M, sharpness=sharpness)
    terms = method.terms(hand.step())
    mine, theirs = pair(hand, method)
    answers = (hand.student.semantic, hand.teacher.semantic)
    weight = predictability(hand.coach.semantic, hand.teacher.semantic, sharpness)
    assert 0 < weight.min() < 0.1 and weight.max() > 0.5
    expected = {
        "attention": relation_kl(mine, theirs),
        "feature": ((mine - theirs) ** 2 * block_mean(weight, (4, 6))).mean(),
        "response": masked_response(*answers, foreground() * weight),
        "hallucination": hallucination(*answers, foreground()),
    }
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-4)
    feature, response = {"student.bev_small"}, {"student.semantic"}
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "attention": feature, "feature": feature, "response": response, "hallucination": response
    }


def test_predictable_alone_has_no_term_on_hallucinations():
    hand = Hand()
    method = hand.method("predictable", patch_m=PATCH_M)
    assert set(method.terms(hand.step())) == {"attention", "feature", "response"} and method.asks_coach()


def test_line_space():
    hand = Hand()
    method = hand.method("line_space")
    terms = method.terms(hand.step())
    answers = (hand.student.semantic, hand.teacher.semantic)
    assert terms["response"].item() == pytest.approx(masked_response(*answers, foreground()), rel=1e-4)
    assert terms["hallucination"].item() == pytest.approx(hallucination(*answers, foreground()), rel=1e-4)
    assert not method.asks_coach() and hand.reached(terms["hallucination"]) == {"student.semantic"}


def test_the_token_weighs_the_patches():
    hand = Hand(student=prediction_by_hand(1, bev_small=3))
    method = hand.method("mapkd_token", patch_m=PATCH_M)
    terms = method.terms(hand.step())
    assert hand.reached(terms["patches_teacher"]) == {"student.bev_small"}
    for role in ("teacher", "coach"):
        mine, theirs = pair(hand, method, role)
        mine, theirs = (standardised(f, *moments(theirs)) for f in (mine, theirs))
        costs = []
        for s, t in zip(mine, theirs, strict=True):
            token = np.repeat(t.mean((1, 2)), PATCH * PATCH)
            corners = [(r, c) for r in range(0, 4, PATCH) for c in range(0, 6, PATCH)]
            patches = [
                [f[:, r : r + PATCH, c : c + PATCH].reshape(-1) for r, c in corners] for f in (s, t)
            ]
            alike = np.array([token @ p / np.linalg.norm(token) / np.linalg.norm(p) for p in patches[1]])
            costs.append(softmax(alike / 0.1, 0) @ [((a - b) ** 2).mean() for a, b in zip(*patches, strict=True)])
        assert terms[f"patches_{role}"].item() == pytest.approx(np.mean(costs), rel=1e-4), role


@pytest.mark.parametrize(("size", "patch_m", "cells"), [
    ((25, 50), 6.0, 5), ((25, 50), 1.2, 1), ((25, 50), 2.0, 2), ((25, 50), 0.2, 1), ((25, 50), 30.0, 25),
    ((6, 12), 6.0, 1),
])  # fmt: skip
def test_a_patch_has_metres(size, patch_m, cells):
    assert patch_cells(patch_m, size, BevGrid()) == cells


def test_a_mask_that_weighs_little_counts_as_much_as_its_weights_say():
    """A mean over weights, however small their sum; 0 where there is none."""
    hand = Hand()
    answers = hand.student.semantic, hand.teacher.semantic
    mask = torch.from_numpy(foreground()).float() * torch.linspace(0.1, 1, 24)
    expected = masked_response(*answers, foreground() * np.linspace(0.1, 1, 24))
    for scale in (1.0, 1e-3):
        assert msrd(*answers, scale * mask).item() == pytest.approx(expected, rel=1e-4)
    assert msrd(*answers, 0 * mask).item() == 0


@pytest.mark.parametrize(("size", "count"), [((5, 8), 6), ((4, 7), 2), ((1, 1), 1), ((6, 9), 6)])
def test_a_map_is_brought_to_the_nearest_whole_number_of_patches(size, count):
    features = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(0))
    token, patches = token_and_patches(features, 3)
    assert patches.shape == (1, count, 18) and token.shape == (1, 1, 18)
    assert cross_attention(features, features, 3).shape == (1, count, count)
    if size == (6, 9):
        np.testing.assert_array_equal(patches[0, 4].reshape(2, 3, 3), features[0, :, 3:6, 3:6])


@pytest.mark.parametrize("name", ["mapkd", "mapkd_final", "mapkd_token"])
def test_a_missing_coach_is_an_error_before_training_starts(hand, name):
    hand.coach = None
    with pytest.raises(ValueError, match="needs a coach"):
        hand.method(name, patch_m=PATCH_M)
