"""Loss terms of vector networks against sums written out, and what they must not depend on."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.config import LossConfig
from mapkd_core.grid import BevGrid
from mapkd_core.losses import task_terms, weigh
from mapkd_core.types import Batch, MapElement, Prediction, VectorPrediction
from mapkd_core.vector_elements import elements_of
from mapkd_core.vector_loss.matching import match
from mapkd_core.vector_loss.targets import batch_targets, vector_targets
from mapkd_core.vector_loss.terms import edge_turns, focal, likeness, map_terms, vector_terms

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
SPANS = np.array([24.0, 12.0])
CONFIG = LossConfig()


def element(label, points, closed=False):
    return MapElement(label, np.array(points, np.float32), closed=closed)


LINE = element("divider", [(-10, -1), (0, 1), (11, 0)])
EDGE = element("boundary", [(-12, 5), (12, 4)])
RING = element("ped_crossing", [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0)], closed=True)


def batch(elements=((LINE,), (EDGE,)), outlines=((RING,), ()), **changes):
    count, semantic = len(elements), torch.zeros(len(elements), 4, *GRID.shape)
    semantic[:, 0] = 1
    return Batch(
        torch.zeros(count, 1, 3, 2, 2), torch.zeros(count, 1, 3, 3), torch.zeros(count, 1, 4, 4),
        elements=list(elements), outlines=list(outlines), semantic=semantic, **changes,
    )


def prediction(layers=2, samples=2, vectors=5, vertices=6, seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(layers, samples, vectors, vertices, 2, generator=generator) * torch.tensor([24.0, 12.0])
    logits = torch.randn(layers, samples, vectors, 3, generator=generator)
    return VectorPrediction(
        logits.requires_grad_(), (points - torch.tensor([12.0, 6.0])).requires_grad_(), **changes
    )


def slow_terms(found, targets):
    """The three sums, vertex by vertex."""
    totals, pairs_of_a_layer = {"element_class": 0.0, "points": 0.0, "edges": 0.0}, 0
    for layer in range(len(found.logits)):
        for sample, known in enumerate(targets):
            if known is None:
                continue
            places = (found.points_m[layer, sample].detach() + torch.tensor([12.0, 6.0])) / torch.tensor([24.0, 12.0])
            logits = found.logits[layer, sample].detach()
            pairs = match(logits, places, known, CONFIG.element_class, CONFIG.points)
            wanted = {(int(v), int(known.labels[g])) for v, g in zip(pairs.predicted, pairs.true, strict=True)}
            pairs_of_a_layer += len(wanted) if layer == 0 else 0
            for v in range(len(logits)):
                for c in range(3):
                    p = 1 / (1 + np.exp(-float(logits[v, c])))
                    totals["element_class"] += (
                        0.25 * (1 - p) ** 2 * -np.log(p) if (v, c) in wanted else 0.75 * p**2 * -np.log(1 - p)
                    )
            for v, g, o in zip(*(side.tolist() for side in pairs), strict=True):
                mine, theirs = places[v].numpy(), known.places[g, o].numpy()
                for k in range(len(mine)):
                    totals["points"] += np.abs(mine[k] - theirs[k]).sum()
                for k in range(len(mine) - 1):
                    a, b = (mine[k + 1] - mine[k]) * SPANS, (theirs[k + 1] - theirs[k]) * SPANS
                    totals["edges"] += 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return {name: total / pairs_of_a_layer for name, total in totals.items()}


def test_terms_are_the_sums_of_the_paper():
    found, targets = prediction(), batch_targets(batch(), GRID, 6)
    terms = vector_terms(found, targets, CONFIG, GRID)
    for name, value in slow_terms(found, targets).items():
        assert float(terms[name].detach()) == pytest.approx(value, rel=1e-4), name


def value_of(found, labels):
    terms = map_terms(found, labels, CONFIG, GRID)
    return float(weigh(terms, CONFIG).detach())


def test_how_a_line_is_written_down_does_not_matter():
    backwards = element("divider", LINE.points_m[::-1])
    turned = element("ped_crossing", np.concatenate([RING.points_m[2:], RING.points_m[1:3]]), closed=True)
    mirrored = element("ped_crossing", RING.points_m[::-1], closed=True)
    # Five vertices of a square of four sides: each order's vertices are the corners, wherever it begins.
    found = prediction(vertices=5)
    expected = value_of(found, batch())
    assert value_of(found, batch(((backwards,), (EDGE,)))) == pytest.approx(expected, rel=1e-5)
    for ring in (turned, mirrored):
        assert value_of(found, batch(outlines=((ring,), ()))) == pytest.approx(expected, rel=1e-5)
    more = batch(((LINE, EDGE), ()), ((RING,), ()))
    assert value_of(found, more) == pytest.approx(value_of(found, batch(((EDGE, LINE), ()), ((RING,), ()))), rel=1e-5)
    assert value_of(found, more) != pytest.approx(expected, rel=1e-3)


def test_the_order_of_predicted_elements_does_not_matter():
    found, order = prediction(), torch.tensor([3, 0, 4, 1, 2])
    moved = VectorPrediction(found.logits[:, :, order], found.points_m[:, :, order])
    assert value_of(moved, batch()) == pytest.approx(value_of(found, batch()), rel=1e-6)


@pytest.mark.parametrize("name", ["element_class", "points", "edges"])
def test_every_term_teaches_what_it_is_for(name):
    found = prediction()
    vector_terms(found, batch_targets(batch(), GRID, 6), CONFIG, GRID)[name].backward()
    taught = {"logits": found.logits.grad, "points_m": found.points_m.grad}
    reached = {key for key, grad in taught.items() if grad is not None and grad.abs().sum() > 0}
    assert reached == ({"logits"} if name == "element_class" else {"points_m"})
    for layer in range(2):
        grad = taught["logits" if name == "element_class" else "points_m"]
        assert grad[layer].abs().sum() > 0, "every layer of the decoder"


def test_free_vertices_become_the_true_elements():
    found = prediction(layers=1, samples=1, vectors=4, vertices=5, seed=3)
    labels = batch(((LINE, EDGE),), ((RING,),))
    optimizer = torch.optim.Adam([found.logits, found.points_m], lr=0.15)
    for _ in range(250):
        optimizer.zero_grad()
        terms = vector_terms(found, batch_targets(labels, GRID, 5), CONFIG, GRID)
        weigh(terms, CONFIG).backward()
        optimizer.step()
    elements = elements_of(
        found.logits[0, 0].detach().sigmoid().numpy(), found.points_m[0, 0].detach().numpy(), least_score=0.5
    )
    assert sorted(e.label for e in elements) == ["boundary", "divider", "ped_crossing"]
    for mine in elements:
        theirs = vector_targets([{"divider": LINE, "boundary": EDGE, "ped_crossing": RING}[mine.label]], GRID, 5)
        wanted = theirs.places[0].numpy() * SPANS - [12, 6]
        away = np.abs(wanted - mine.points_m[:5]).sum(-1).max(1).min()
        assert away < 0.5, mine.label


def test_samples_without_labels_teach_nothing():
    found = prediction()
    unknown = batch(labelled=torch.tensor([True, False]))
    terms = vector_terms(found, batch_targets(unknown, GRID, 6), CONFIG, GRID)
    weigh(terms, CONFIG).backward()
    assert found.logits.grad[:, 1].abs().sum() == 0 and found.points_m.grad[:, 1].abs().sum() == 0
    nobody = vector_terms(prediction(), batch_targets(batch(labelled=torch.zeros(2, dtype=torch.bool)), GRID, 6),
                          CONFIG, GRID)
    assert all(float(term.detach()) == 0 for term in nobody.values())


def test_a_batch_without_lines_still_teaches_that_there_are_none():
    found = prediction()
    terms = vector_terms(found, batch_targets(batch(((), ()), ((), ())), GRID, 6), CONFIG, GRID)
    expected = focal(found.logits, torch.zeros_like(found.logits))
    assert float(terms["element_class"].detach()) == pytest.approx(float(expected.detach()))
    assert float(terms["points"].detach()) == 0 and float(terms["edges"].detach()) == 0


def test_further_elements_and_the_dense_map_add_their_terms():
    alone, labels = prediction(), batch()
    further = prediction(vectors=9, seed=5)
    semantic = torch.randn(2, 4, *GRID.shape, requires_grad=True)
    full = replace(alone, many=further, repeats=2, semantic=semantic)
    terms = map_terms(full, labels, CONFIG, GRID)
    assert {k: float(v.detach()) for k, v in map_terms(alone, labels, CONFIG, GRID).items()} == {
        name: float(terms[name].detach()) for name in ("element_class", "points", "edges")
    }
    dense = task_terms(Prediction(semantic), labels, CONFIG)
    assert float(terms["semantic"].detach()) == pytest.approx(float(dense["semantic"].detach()))
    many = vector_terms(further, batch_targets(labels, GRID, 6), CONFIG, GRID, 2)
    assert float(terms["one_to_many"].detach()) == pytest.approx(float(weigh(many, CONFIG).detach()))
    (terms["one_to_many"] + terms["semantic"]).backward()
    assert further.points_m.grad.abs().sum() > 0 and semantic.grad.abs().sum() > 0 and alone.logits.grad is None


def test_scores_learn_how_near_the_lines_are():
    true = torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[1.0, 1.0], [1.0, 5.0]]])           # M P 2
    found = true + torch.tensor([[[0.3, 0.4], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    # Of the first pair's vertices: 0.4 and 0 from the true line, 0.5 and 0 the other way.
    assert likeness(found, true, 0.5).tolist() == pytest.approx([np.exp(-0.225 / 0.5), 1.0])
    assert likeness(found, true, 0.0).tolist() == [1.0, 1.0], "whatever the distance"
    slid = torch.tensor([[[0.0, 1.0], [1.0, 1.0], [8.0, 1.0]]])
    assert likeness(slid, torch.tensor([[[0.0, 1.0], [5.0, 1.0], [8.0, 1.0]]]), 0.5).tolist() == pytest.approx([1.0])


def test_scores_that_should_be_low_are_taught_in_full():
    targets, found = batch_targets(batch(), GRID, 6), prediction()
    logits = found.logits
    narrow = vector_terms(found, targets, replace(CONFIG, likeness_m=1e-9), GRID)
    background = (logits.sigmoid() ** 2 * -torch.nn.functional.logsigmoid(-logits)).sum()
    assert narrow["element_class"].item() == pytest.approx(background.item() / 3), "pairs infinitely far apart"
    soft = vector_terms(found, targets, replace(CONFIG, likeness_m=2.0), GRID)["element_class"]
    assert torch.autograd.grad(soft, found.points_m, allow_unused=True) == (None,), "scores do not move vertices"
    low = torch.logit(torch.tensor([0.1])).requires_grad_()
    focal(low, torch.tensor([0.3]), soft=True).backward()
    assert low.grad.item() == pytest.approx(0.1 - 0.3), "cross entropy's"


def test_in_a_first_stage_several_elements_answer_for_a_true_one():
    found, config = prediction(), replace(CONFIG, repeats=2)
    targets = batch_targets(batch(), GRID, 6)
    assert map_terms(found, batch(), config, GRID) == vector_terms(found, targets, config, GRID, 2)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("wanted", [0.0, 0.3, 1.0])
def test_focal_is_least_at_the_wanted_score(wanted, soft):
    scores = torch.linspace(0.01, 0.99, 99)
    losses = [float(focal(torch.logit(score)[None], torch.tensor([wanted]), soft)) for score in scores]
    assert scores[int(np.argmin(losses))] == pytest.approx(min(max(wanted, 0.01), 0.99), abs=1e-6)


def test_an_edge_counts_where_the_true_one_has_a_length():
    true = torch.tensor([[[0.0, 0], [3, 0], [3, 0], [3, 4]]])
    found = torch.tensor([[[0.0, 0], [0, 2], [5, 2], [5, 2]]])
    assert edge_turns(found, true).tolist() == [[1.0, 0.0, 1.0]], "a right angle, a point, an edge that is missing"
