"""Task losses on random maps against their formulas written out in NumPy, and every tensor on the inputs' device."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_step import LINES, LOSS, batch_by_hand, prediction_by_hand
from slow_math import array, block_mean, class_entropy, direction_loss, embedding_losses, softmax

from mapkd_core import losses
from mapkd_core.config import LossConfig

EVERYTHING = replace(LOSS, semantic=1.5, variance=0.3, distance=0.2, direction=0.7, dice=0.4, overlap=0.6)


def bench(lines=LINES):
    prediction, batch = prediction_by_hand(1, samples=len(lines)), batch_by_hand(lines)
    # Two values, near enough for instances to push each other apart, too far for their pixels not to be pulled.
    generator = torch.Generator().manual_seed(5)
    prediction.embedding = (0.6 * torch.randn(len(lines), 2, 16, 24, generator=generator)).requires_grad_()
    return prediction, batch


def dice(logits, onehot):
    p, t = softmax(logits, 1)[:, 1:], onehot[:, 1:]
    return np.mean([1 - (2 * (p[:, c] * t[:, c]).sum() + 1) / (p[:, c].sum() + t[:, c].sum() + 1) for c in range(3)])


def overlap(logits, onehot):
    found = []
    for scale in (1, 2, 4, 8):
        p, t = (block_mean(m[:, 1:], (16 // scale, 24 // scale)) for m in (softmax(logits, 1), onehot))
        for c in range(3):
            alone = (p[:, c] ** 2).sum() + (t[:, c] ** 2).sum()
            found.append(1 - (2 * (p[:, c] * t[:, c]).sum() + 1e-3) / (alone + 1e-3))
    return np.mean(found)


@pytest.mark.parametrize("lines", [LINES, (LINES[0], ()), ((), LINES[1]), (LINES[0][:1], LINES[1])])
def test_every_term(lines):
    """Also with a sample that has no line or a single one, before and after others."""
    prediction, batch = bench(lines)
    logits, onehot = array(prediction.semantic), array(batch.semantic)
    variance, distance = embedding_losses(array(prediction.embedding), batch.instance.numpy())
    expected = {
        "semantic": class_entropy(logits, onehot, [3.0] + [3.0 * w for w in LOSS.class_weight]),
        "dice": dice(logits, onehot), "overlap": overlap(logits, onehot), "variance": variance, "distance": distance,
        "direction": direction_loss(array(prediction.direction), batch.direction.numpy()),
    }
    terms = losses.task_terms(prediction, batch, EVERYTHING)
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-4)
    total = sum(getattr(EVERYTHING, name) * value for name, value in expected.items())
    assert losses.weigh(terms, EVERYTHING).item() == pytest.approx(total, rel=1e-4)
    doubled = {name: 2 * getattr(EVERYTHING, name) for name in terms}
    assert losses.weigh(terms, doubled).item() == pytest.approx(2 * total, rel=1e-4)


def test_instances_push_only_below_the_distance_and_pull_only_beyond_the_variance():
    prediction, batch = bench()
    embedding, instance = prediction.embedding, batch.instance
    for within, apart in ((0.1, 0.5), (2.0, 6.0)):
        expected = embedding_losses(array(embedding), instance.numpy(), within, apart)
        given = losses.discriminative(embedding, instance, within, apart)
        assert [g.item() for g in given] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("left_out", ["variance", "distance"])
def test_one_embedding_weight_is_enough_to_compute_both(left_out):
    prediction, batch = bench()
    config = replace(LossConfig(), **{left_out: 0.0})
    assert {"variance", "distance"} <= set(losses.task_terms(prediction, batch, config))
    none = replace(config, variance=0.0, distance=0.0)
    assert not {"variance", "distance"} & set(losses.task_terms(prediction, batch, none))


@pytest.mark.parametrize("without", ["direction", "embedding"])
def test_labelled_samples_of_a_network_without_a_head(without):
    prediction, batch = bench()
    setattr(prediction, without, None)
    batch.labelled = torch.tensor([False, True])
    second = replace(batch_by_hand(LINES[1:]))
    alone = replace(prediction, semantic=prediction.semantic[1:])
    for head in ("embedding", "direction"):
        value = getattr(prediction, head)
        setattr(alone, head, None if value is None else value[1:])
    expected = losses.task_terms(alone, second, EVERYTHING)
    terms = losses.task_terms(prediction, batch, EVERYTHING)
    assert set(terms) == set(expected)
    assert {n: t.item() for n, t in terms.items()} == pytest.approx({n: t.item() for n, t in expected.items()})


def test_a_sample_more_in_the_labels_than_in_the_prediction_is_an_error():
    prediction, batch = bench()
    with pytest.raises(ValueError, match="zip"):
        losses.discriminative(prediction.embedding[:1], batch.instance)


def test_nothing_is_made_on_another_device():
    """What is made without a device would land on `meta`, and nothing adds to that."""
    prediction, batch = bench()
    expected = losses.weigh(losses.task_terms(prediction, batch, EVERYTHING), EVERYTHING).item()
    with torch.device("meta"):
        terms = losses.task_terms(prediction, batch, EVERYTHING)
    assert losses.weigh(terms, EVERYTHING).item() == pytest.approx(expected)


def test_the_entropy_keeps_the_logits_precision():
    prediction, batch = bench()
    logits = prediction.semantic.double()
    given = losses.semantic_bce(logits, batch.semantic, 3.1, (1.1, 2.3, 0.7))
    positive = [3.1, 3.1 * 1.1, 3.1 * 2.3, 3.1 * 0.7]
    assert given.dtype == torch.float64
    assert given.item() == pytest.approx(class_entropy(array(logits), array(batch.semantic), positive), rel=1e-12)


def test_the_direction_of_a_certain_network_is_finite():
    prediction, batch = bench()
    logits = torch.full_like(prediction.direction, -200.0)
    logits[:, 5] = 200.0
    assert torch.isfinite(losses.direction_bce(logits, batch.direction))
    assert losses.direction_bce(prediction.direction, torch.zeros_like(batch.direction)).item() == 0


def test_lines_in_the_first_bin_count():
    """Bins of lines begin at 1; 0 alone is no line."""
    prediction = torch.randn(2, 37, 4, 6, generator=torch.Generator().manual_seed(2))
    direction = torch.zeros(2, 2, 4, 6, dtype=torch.long)
    direction[0, :, 1] = torch.tensor([[1], [19]])
    direction[1, :, :, 3] = torch.tensor([[36], [18]])
    expected = direction_loss(array(prediction), direction.numpy())
    assert losses.direction_bce(prediction, direction).item() == pytest.approx(expected, rel=1e-5)
    direction[1] = 0
    alone = direction_loss(array(prediction[:1]), direction[:1].numpy())
    assert losses.direction_bce(prediction, direction).item() == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_terms_of_half_precision_outputs_are_worked_out_in_single_precision(dtype):
    prediction, batch = bench()
    half = replace(
        prediction, semantic=prediction.semantic.to(dtype), embedding=prediction.embedding.to(dtype),
        direction=prediction.direction.to(dtype),
    )
    single = replace(
        half, semantic=half.semantic.float(), embedding=half.embedding.float(), direction=half.direction.float()
    )
    given, expected = (losses.task_terms(p, batch, EVERYTHING) for p in (half, single))
    for name in ("dice", "overlap", "variance", "distance", "direction"):
        assert given[name].dtype == torch.float32
        assert given[name].item() == expected[name].item(), name


def test_a_term_without_a_weight_is_not_computed():
    prediction, batch = bench()
    config = LossConfig(direction=0.0, variance=0.0, distance=0.0)
    assert set(losses.task_terms(prediction, batch, config)) == {"semantic"}


def test_pixels_are_pulled_to_a_mean_that_follows_them():
    """The gradient against differences of the slow formula: a mean that stood still would pull half as well."""
    prediction, batch = bench()
    embedding, instance = prediction.embedding.detach().double(), batch.instance.numpy()
    for part in range(2):
        leaf = embedding.float().requires_grad_()
        (gradient,) = torch.autograd.grad(losses.discriminative(leaf, batch.instance)[part], leaf)
        for place in ((0, 0, 8, 2), (0, 1, 8, 3), (1, 0, 4, 12)):  # a line of four cells, and a longer one
            moved = [array(embedding), array(embedding)]
            for sign, values in zip((1, -1), moved, strict=True):
                values[place] += sign * 1e-5
            slope = np.diff([embedding_losses(values, instance)[part] for values in reversed(moved)])[0] / 2e-5
            assert gradient[place].item() == pytest.approx(slope, rel=2e-3, abs=1e-6), (part, place)


def test_where_labels_do_not_count_the_prediction_is_sure_of_what_they_say():
    """Logits of 20 for background and -20 for lines, and no gradient; elsewhere the network's own."""
    prediction, batch = bench()
    assert losses.where_known(prediction, batch) is prediction
    known = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(4)) < 0.5
    seen = losses.where_known(prediction, replace(batch, known_cells=known))
    cells = known[:, None].expand_as(prediction.semantic)
    assert torch.equal(seen.semantic[cells], prediction.semantic[cells])
    beyond = seen.semantic.movedim(1, -1)[~known]
    assert torch.equal(beyond, torch.tensor([20.0, -20, -20, -20]).expand_as(beyond))
    (gradient,) = torch.autograd.grad(seen.semantic.sum(), prediction.semantic)
    assert torch.equal(gradient, cells.float())
    assert seen.embedding is prediction.embedding and seen.direction is prediction.direction


def test_weights_are_the_papers():
    """HDMapNet's and P-MapNet's of map terms, MapTR's and MapTRv2's of elements; ours are off but those of streets."""
    published = {"semantic": 1.0, "variance": 0.1, "distance": 0.1, "direction": 0.1, "pos_weight": 2.13,
                 "element_class": 2.0, "points": 5.0, "edges": 0.005, "one_to_many": 1.0}  # fmt: skip
    ours = {"dice": 0.0, "overlap": 0.0, "class_weight": (1.0, 1.0, 1.0), "repeats": 1, "likeness_m": 0.0,
            "surface": 0.5, "lines": 0.5}  # fmt: skip
    assert vars(LossConfig()) == {**published, **ours}
