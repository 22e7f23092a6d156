"""Methods that look at points and instances of elements (UniDistill, TiG-BEV, BEVDistill), written out in NumPy."""
import numpy as np
import pytest
import torch
from hand_step import GRID, LINES, Hand, draw_parameters, metres, prediction_by_hand
from slow_math import array, block_max, block_mean, point_wise, sampled, sigmoid, softmax
from slow_regions import foreground, heat, instances, keypoints_m
from torch import nn


def adapted(hand, pair):
    mine, theirs = (array(r.taps[pair.name]) for r in (hand.student, hand.teacher))
    return (mine if isinstance(pair.adapt, nn.Identity) else point_wise(mine, pair.adapt)), theirs


def cosines(points):
    unit = np.array([p / np.linalg.norm(p) for p in points])
    return unit @ unit.T


# --- UniDistill ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("temperature", [2.0, 1.0])
def test_unidistill(temperature):
    hand = Hand(student=prediction_by_hand(1, full_bev=3))
    with torch.no_grad():
        hand.student.direction[..., 12:] *= 9  # so that it matters where directions differ
    method = hand.method("unidistill", teacher_temperature=temperature)
    terms = method.terms(hand.step())
    low, high = adapted(hand, method.low), adapted(hand, method.high)
    features, relations = [], []
    for sample, drawn in enumerate(LINES):
        for _, vertices in drawn:
            points = keypoints_m(vertices, 9)
            mine, theirs = (sampled(f[sample], points, GRID) for f in low)
            features.append(np.abs(mine - theirs).mean())
            mine, theirs = (cosines(sampled(f[sample], points, GRID)) for f in high)
            relations.append(np.abs(mine - theirs).mean())
    near = heat().max(1)
    student, teacher = array(hand.student.semantic)[:, 1:], array(hand.teacher.semantic)[:, 1:]
    claims = np.abs(sigmoid(student).max(1) - sigmoid(teacher / temperature).max(1))
    turned = np.abs(softmax(array(hand.student.direction), 1) - softmax(array(hand.teacher.direction), 1)).mean(1)
    expected = {
        "feature": np.mean(features), "relation": np.mean(relations),
        "response": (claims * near).sum() / near.sum(), "direction": (turned * near).sum() / near.sum(),
    }
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "feature": {"student.full_bev"}, "relation": {"student.enc3"}, "response": {"student.semantic"},
        "direction": {"student.direction"},
    }


def test_unidistill_without_a_direction_head():
    for role in ("student", "teacher"):
        hand = Hand()
        getattr(hand, role).direction = None
        assert set(hand.method("unidistill").terms(hand.step())) == {"feature", "relation", "response"}


# --- TiG-BEV -------------------------------------------------------------------------------------------------------

def ribbon_m(vertices, count, across_m):
    """Places along a line (a ring's own, without its start twice), each with its offsets to the left, in metres."""
    line = metres(vertices).astype(np.float64)
    closed = vertices[0] == vertices[-1]
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], count + closed)[: count]
    places = np.stack([np.interp(at, lengths, line[:, k]) for k in range(2)], 1)
    points = []
    for k, place in enumerate(places):
        before = places[k - 1] if closed or k else place
        after = places[(k + 1) % count] if closed or k < count - 1 else place
        step = (after - before) / np.linalg.norm(after - before)
        points += [place + offset * np.array([-step[1], step[0]]) for offset in across_m]
    return np.array(points)


def gram_distance(student, teacher):
    """N C: rows of the products at unit length, squares summed along rows, mean over rows."""
    grams = [p @ p.T for p in (student, teacher)]
    mine, theirs = (g / np.linalg.norm(g, axis=1, keepdims=True) for g in grams)
    return ((mine - theirs) ** 2).sum(1).mean()


@pytest.mark.parametrize("student_width", [6, 4])
def test_tigbev(student_width):
    hand = Hand(student=prediction_by_hand(1, up1=student_width))
    method = hand.method("tigbev", along=7, across=3, width_m=1.2, most_elements=5)
    terms = method.terms(hand.step())
    mine, theirs = array(hand.student.taps["up1"]), array(hand.teacher.taps["up1"])
    wide = point_wise(mine, method.pair.adapt)
    points, channels = [], []
    for sample, drawn in enumerate(LINES):
        at = [ribbon_m(vertices, 7, (-0.6, 0.0, 0.6)) for _, vertices in drawn]
        raw, own, known = ([sampled(f[sample], p, GRID) for p in at] for f in (mine, wide, theirs))
        points.append(np.mean([gram_distance(a, b) for a, b in zip(raw, known, strict=True)]))
        channels.append(np.mean([gram_distance(a.T, b.T) for a, b in zip(own, known, strict=True)]))
    assert terms["points"].item() == pytest.approx(np.mean(points), rel=1e-3)
    assert terms["channels"].item() == pytest.approx(np.mean(channels), rel=1e-3)
    assert all(hand.reached(t) == {"student.up1"} for t in terms.values())
    assert hand.method("tigbev").pair.adapt.weight.shape == (6, student_width, 1, 1)


@pytest.mark.parametrize("name", ["tigbev", "unidistill"])
def test_a_sample_without_lines_does_not_dilute_the_others(name):
    def made(seed, samples):
        whole = prediction_by_hand(seed)
        for taken in (whole.taps, vars(whole)):
            taken.update({k: v[:samples].detach() for k, v in taken.items() if isinstance(v, torch.Tensor)})
        return whole

    values = []
    for lines in ((LINES[0], ()), LINES[:1]):
        hand = Hand(made(1, len(lines)), made(2, len(lines)), lines=lines)
        terms = hand.method(name).terms(hand.step())
        values.append({n: t.item() for n, t in terms.items() if n in ("points", "channels", "feature", "relation")})
    assert len(values[0]) == 2 and values[0] == pytest.approx(values[1], rel=1e-4)


def test_tigbev_takes_other_elements_of_a_sample_in_each_step_up_to_a_number():
    regions = Hand(lines=(LINES[0], LINES[0])).step().regions
    ends = [metres(vertices)[[0, -1]] for _, vertices in LINES[0]]
    drawn = []
    for number in range(30):
        ribbons = regions.ribbons_m(4, np.zeros(1), 2, number)
        again = regions.ribbons_m(4, np.zeros(1), 2, number)
        for ribbon, same in zip(ribbons, again, strict=True):
            np.testing.assert_array_equal(ribbon, same)
            which = [[np.allclose(line[[0, -1]], end, atol=1e-5) for end in ends].index(True) for line in ribbon]
            drawn.append(tuple(which))
    assert set(drawn) == {(0, 1), (0, 2), (1, 2)}, "two of the three, in their order, and all pairs in their turn"
    assert drawn[::2] != drawn[1::2], "samples of a batch by themselves"
    assert [len(r) for r in regions.ribbons_m(4, np.zeros(1), 3, 0)] == [3, 3]


def test_tigbev_draws_by_the_number_of_the_step(monkeypatch):
    hand, asked = Hand(), []
    method = hand.method("tigbev", most_elements=1)
    step = hand.step(17)
    real = step.regions.ribbons_m
    monkeypatch.setattr(step.regions, "ribbons_m", lambda *given: asked.append(given[2:]) or real(*given))
    assert method.terms(step)["points"] > 0 and asked == [(1, 17)]


def test_a_rings_ribbon_stays_on_the_ring():
    ring = metres(LINES[1][1][1])
    (ribbon,) = Hand(lines=(LINES[1][1:],)).step().regions.ribbons_m(24, np.zeros(1), 16, 0)[0]
    low, high = ring.min(0), ring.max(0)
    on_edge = np.isclose(ribbon, low, atol=1e-4) | np.isclose(ribbon, high, atol=1e-4)
    assert on_edge.any(1).all() and len(np.unique(ribbon.numpy().round(3), axis=0)) == 24


# --- BEVDistill ----------------------------------------------------------------------------------------------------

def instance_rows(feature, ids, least=8):
    rows = []
    for sample, numbers in zip(feature, ids, strict=True):
        for number in range(1, ids.max() + 1):
            if (numbers == number).sum() >= least:
                rows.append(sample[:, numbers == number].mean(1))
    return np.array(rows)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_bevdistill(temperature):
    hand = Hand(student=prediction_by_hand(1, bev_small=3))
    method = hand.method("bevdistill", temperature=temperature)
    for projection in (method.mine, method.theirs):  # around 0: rows that all point one way tell nothing apart
        draw_parameters(projection, 0.0, 0.3)
    terms = method.terms(hand.step())
    mine, theirs = adapted(hand, method.pair)
    near = block_max(heat(), (4, 6)).max(1)
    dense = (((mine - theirs) ** 2).sum(1) * near).sum() / near.sum()
    assert terms["dense"].item() == pytest.approx(dense, rel=1e-3)

    ids = instances((8, 12))
    rows = [instance_rows(array(r.taps["up1"]), ids) for r in (hand.student, hand.teacher)]
    assert len(rows[0]) == 4, "four lines of at least 8 cells, one of them of just 8; the short one is left out"
    with torch.no_grad():
        own, known = (p(torch.from_numpy(r).float()) for p, r in zip((method.mine, method.theirs), rows, strict=True))
    unit = [array(x) / np.linalg.norm(array(x), axis=1, keepdims=True) for x in (own, known)]
    likeness = softmax(unit[1] @ unit[0].T / temperature, 1)
    sure = (sigmoid(array(hand.teacher.semantic)) * array(hand.batch.semantic))[:, 1:].sum(1, keepdims=True)
    quality = instance_rows(block_mean(sure, (8, 12)), ids)[:, 0]
    assert quality.max() > 1.2 * quality.min()
    losses = -np.log(np.diag(likeness))
    expected = (quality * losses).sum() / quality.sum()
    assert abs(expected - losses.mean()) > 0.002 * expected, "more than the tolerance below"
    assert terms["instance"].item() == pytest.approx(expected, rel=1e-3)

    maps = block_max(heat(), (4, 6))
    with torch.no_grad():
        p = sigmoid(array(method.heat(hand.student.taps["bev_small"].detach()))).clip(1e-4, 1 - 1e-4)
    total, peaks = 0.0, 0
    for place in np.ndindex(maps.shape):
        if maps[place] > 0.99:
            total -= np.log(p[place]) * (1 - p[place]) ** 2
            peaks += 1
        else:
            total -= np.log(1 - p[place]) * p[place] ** 2 * (1 - maps[place]) ** 4
    assert terms["heat"].item() == pytest.approx(total / peaks, rel=1e-3)
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "dense": {"student.bev_small"}, "instance": {"student.up1"}, "heat": {"student.bev_small"}
    }


def test_both_projections_learn():
    hand = Hand()
    method = hand.method("bevdistill")
    term = method.terms(hand.step())["instance"]
    for side in (method.mine, method.theirs):
        assert [type(m).__name__ for m in side] == ["Linear", "Linear", "BatchNorm1d", "ReLU", "Linear"]
        assert [side[k].out_features for k in (0, 1, 4)] == [512] * 3
        assert all(g.abs().sum() > 0 for g in torch.autograd.grad(term, [side[0].weight, side[4].weight],
                                                                  retain_graph=True))  # fmt: skip


def test_a_single_instance_has_nothing_to_be_told_from():
    hand = Hand(lines=(LINES[0][:1], ()))
    term = hand.method("bevdistill").terms(hand.step())["instance"]
    assert term.item() == 0 and term.requires_grad
    two = Hand(lines=(LINES[0][:2], ()))
    assert two.method("bevdistill").terms(two.step())["instance"].item() > 0
    assert foreground(hand.batch and (LINES[0][:1], ())).sum() > 0


def test_points_off_the_grid_read_its_edge():
    regions = Hand().step().regions
    ramp = torch.arange(24.0).expand(1, 16, 24)
    assert regions.sample(ramp, torch.tensor([[-60.0, 0.0], [60.0, 0.0]])).flatten().tolist() == [0.0, 23.0]
