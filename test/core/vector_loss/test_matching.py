"""The pairing of predicted and true elements against all pairings, counted out."""
from itertools import permutations

import numpy as np
import pytest
import torch

from mapkd_core.vector_loss.matching import class_cost, match, order_distances
from mapkd_core.vector_loss.targets import VectorTargets, orders_of

CLASS_WEIGHT, POINTS_WEIGHT = 2.0, 5.0


def case(seed, predicted=5, true=3, vertices=4):
    rng = np.random.default_rng(seed)
    lines = rng.random((true, vertices, 2))
    lines[-1, -1] = lines[-1, 0]
    orders = [orders_of(line, closed=index == true - 1) for index, line in enumerate(lines)]
    most = max(map(len, orders))
    places = np.stack([order[np.arange(most) % len(order)] for order in orders])
    targets = VectorTargets(torch.tensor(rng.integers(0, 3, true)), torch.from_numpy(places).float())
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(predicted, 3, generator=generator), torch.rand(predicted, vertices, 2, generator=generator), targets
    )


def slow_cost(logits, places, targets, v, g):
    """Focal loss of the class less that of the background, and the distance in the best order, term by term."""
    p = 1 / (1 + np.exp(-float(logits[v, targets.labels[g]])))
    classes = 0.25 * (1 - p) ** 2 * -np.log(p) - 0.75 * p**2 * -np.log(1 - p)
    distances = []
    for order in targets.places[g]:
        total = 0.0
        for mine, theirs in zip(places[v], order, strict=True):
            total += abs(float(mine[0] - theirs[0])) + abs(float(mine[1] - theirs[1]))
        distances.append(total)
    return CLASS_WEIGHT * classes + POINTS_WEIGHT * min(distances), int(np.argmin(distances))


@pytest.mark.parametrize("seed", range(4))
def test_no_other_pairing_is_cheaper(seed):
    logits, places, targets = case(seed)
    cost = np.array([[slow_cost(logits, places, targets, v, g)[0] for g in range(3)] for v in range(5)])
    least = min(sum(cost[v, g] for g, v in enumerate(chosen)) for chosen in permutations(range(5), 3))
    pairs = match(logits, places, targets, CLASS_WEIGHT, POINTS_WEIGHT)
    assert sorted(pairs.true.tolist()) == [0, 1, 2] and len(set(pairs.predicted.tolist())) == 3
    assert cost[pairs.predicted, pairs.true].sum() == pytest.approx(least, rel=1e-5)
    for v, g, order in zip(*(side.tolist() for side in pairs), strict=True):
        assert order == slow_cost(logits, places, targets, v, g)[1]


def test_the_cost_of_a_class_is_by_how_much_its_focal_loss_would_rise():
    logits = torch.linspace(-6, 6, 39).reshape(13, 3)
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    expected = 0.25 * (1 - p) ** 2 * -np.log(p) - 0.75 * p**2 * -np.log(1 - p)
    np.testing.assert_allclose(class_cost(logits).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert torch.isfinite(class_cost(torch.tensor([[-200.0, 0.0, 200.0]]))).all()


def test_distances_are_summed_along_both_axes_for_every_order():
    _, places, targets = case(0)
    apart = order_distances(places, targets.places)
    assert apart.shape == (5, *targets.places.shape[:2])
    for v, g, o in np.ndindex(*apart.shape):
        expected = (places[v] - targets.places[g, o]).abs().sum().item()
        assert apart[v, g, o].item() == pytest.approx(expected, rel=1e-5)


def test_a_weight_of_nothing_leaves_its_part_out():
    """Of two elements one has the class and lies far away, the other lies there and has another class."""
    places = torch.tensor([[[0.9, 0.9], [0.9, 0.5]], [[0.1, 0.1], [0.1, 0.5]]])
    line = np.array([(0.1, 0.1), (0.1, 0.5)])
    targets = VectorTargets(torch.tensor([2]), torch.from_numpy(orders_of(line, False)[None]).float())
    logits = torch.tensor([[-6.0, -6.0, 6.0], [6.0, -6.0, -6.0]])
    chosen = [match(logits, places, targets, *weights).predicted.tolist() for weights in ((0.0, 5.0), (2.0, 0.0))]
    assert chosen == [[1], [0]]
    cost = class_cost(logits)[:, 2]
    at = float(cost[1] - cost[0]) / 2.4  # the far one is so far away, in shares of the grid's sides
    assert match(logits, places, targets, 1.0, 0.9 * at).predicted.tolist() == [0]
    assert match(logits, places, targets, 1.0, 1.1 * at).predicted.tolist() == [1]
    assert match(logits, places, targets, 2.0, 1.1 * at).predicted.tolist() == [0]


def test_both_weights_decide():
    logits, places, targets = case(1)
    near = match(logits, places, targets, 0.0, POINTS_WEIGHT).predicted
    alike = match(logits, places, targets, CLASS_WEIGHT, 0.0).predicted
    cost, distance = class_cost(logits)[:, targets.labels], order_distances(places, targets.places).amin(2)
    least = lambda table: min(  # noqa: E731
        sum(table[v, g].item() for g, v in enumerate(chosen)) for chosen in permutations(range(5), 3)
    )
    pairs = match(logits, places, targets, 0.0, POINTS_WEIGHT)
    assert distance[pairs.predicted, pairs.true].sum().item() == pytest.approx(least(distance), rel=1e-5)
    pairs = match(logits, places, targets, CLASS_WEIGHT, 0.0)
    assert cost[pairs.predicted, pairs.true].sum().item() == pytest.approx(least(cost), rel=1e-5)
    assert near.tolist() != alike.tolist()


def test_one_to_many_gives_each_true_element_as_many():
    logits, places, targets = case(2, predicted=9)
    pairs = match(logits, places, targets, CLASS_WEIGHT, POINTS_WEIGHT, repeats=2)
    assert sorted(pairs.true.tolist()) == [0, 0, 1, 1, 2, 2] and len(set(pairs.predicted.tolist())) == 6


def test_one_to_many_gives_each_true_element_those_that_lie_on_it():
    owner = torch.tensor([2, 0, 1, 1, 0, 2, 2])
    _, _, targets = case(2)
    places = targets.places[owner, torch.tensor([0, 1, 0, 1, 0, 2, 1])] + 0.01
    places[6] += 1.0  # a third one, farther away
    pairs = match(torch.zeros(7, 3), places, targets, CLASS_WEIGHT, POINTS_WEIGHT, repeats=2)
    assert pairs.predicted.tolist() == [0, 1, 2, 3, 4, 5] and torch.equal(pairs.true, owner[:6])
    assert (places[pairs.predicted] - targets.places[pairs.true, pairs.order]).abs().max() < 0.02


def test_more_true_elements_than_predicted_ones_and_none_at_all():
    logits, places, targets = case(3, predicted=2)
    assert len(match(logits, places, targets, 1.0, 1.0).true) == 2
    none = VectorTargets(targets.labels[:0], targets.places[:0])
    assert all(len(side) == 0 for side in match(logits, places, none, 1.0, 1.0))
    broken = match(torch.full_like(logits, torch.nan), places, targets, 1.0, 1.0)
    assert len(broken.true) == 2, "what is not finite is the loss's to report"
