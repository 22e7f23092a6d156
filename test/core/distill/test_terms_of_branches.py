"""Methods with branches of their own (MapDistill, X3KD), written out in NumPy around their train-only modules."""
import copy

import numpy as np
import pytest
import torch
from hand_step import LINES, Hand, metres, prediction_by_hand
from slow_math import array, block_mean, cross_entropy, divergence, moments, point_wise, sigmoid, softmax, standardised
from slow_regions import foreground
from torch import nn

from mapkd_core.distill.principal_axes import PrincipalAxes
from mapkd_core.distill.taps import ChannelStats
from mapkd_core.distill.x3kd import lines_in_images as lines_seen
from mapkd_core.types import CLASSES, MapElement

# --- MapDistill ----------------------------------------------------------------------------------------------------

def cross_attention(queries, keys, patch):
    """Of each patch of one feature to all patches of the other: softmax of cosine over 0.1."""
    result = []
    for pair in zip(queries, keys, strict=True):
        units = []
        for sample in pair:
            vectors = [
                sample[:, r : r + patch, c : c + patch].reshape(-1)
                for r in range(0, sample.shape[1], patch) for c in range(0, sample.shape[2], patch)
            ]
            units.append(np.array([v / np.linalg.norm(v) for v in vectors]))
        result.append(softmax(units[0] @ units[1].T / 0.1, 1))
    return np.array(result)


def principal(features, count):
    """Columns: the directions of greatest variance over all cells, the largest part of each positive; then zeros."""
    cells = np.moveaxis(features, 1, -1).reshape(-1, features.shape[1])
    axes = np.linalg.svd(cells - cells.mean(0))[2][:count]
    axes = axes * np.sign([axis[np.abs(axis).argmax()] for axis in axes])[:, None]
    return np.pad(axes.T, ((0, 0), (0, count - len(axes))))


def sides(hand, method, size=(4, 6)):
    """The four compared branches at the size of `enc3`, and the fused map."""
    student, teacher = hand.student.taps, hand.teacher.taps
    image = torch.from_numpy(block_mean(array(student["image"]), (2, 3))).float()
    with torch.no_grad():
        batch = hand.batch
        lifted = method.lift.lift(image, (48, 32), batch.intrinsics, batch.base_from_camera)
        fused = method.fuse(torch.cat([student["cam_bev"], lifted], 1))
    camera, lidar, native = (
        block_mean(array(v), size) for v in (teacher["cam_bev"], teacher["lid_bev"], student["cam_bev"])
    )
    branches = {
        "camera": np.einsum("bchw,cd->bdhw", camera, principal(camera, 4)), "lidar": lidar,
        "native": point_wise(native, method.narrow),
    }
    return {**branches, "lifted": block_mean(array(lifted), size)}, array(fused)


def mapdistill(**options):
    """The teacher's LiDAR branch is as wide as the compared ones, its camera's is narrower."""
    hand = Hand(student=prediction_by_hand(1, enc3=5), teacher=prediction_by_hand(2, lid_bev=4, cam_bev=3))
    return hand, hand.method("mapdistill", width=4, **options)


def test_mapdistill():
    hand, method = mapdistill(patch_m=4.0)
    terms = method.terms(hand.step())
    branches, fused = sides(hand, method)
    level = {name: standardised(value, *moments(value)) for name, value in branches.items()}
    ways = [(("native", "lifted"), ("camera", "lidar")), (("lifted", "native"), ("lidar", "camera"))]
    relation = [
        divergence(*(cross_attention(level[a], level[b], 2) for a, b in (theirs, mine))).mean()
        for mine, theirs in ways
    ]
    assert min(relation) > 0.01 and abs(relation[0] - relation[1]) > 1e-4
    high = point_wise(array(hand.student.taps["enc3"]), method.high.adapt) - array(hand.teacher.taps["enc3"])
    wanted, drawn = (np.moveaxis(softmax(array(r.direction), 1), 1, -1) for r in (hand.teacher, hand.student))
    lines = foreground()[:, 0]
    expected = {
        "relation": sum(relation), "low": ((fused - array(hand.teacher.taps["full_bev"])) ** 2).mean(),
        "high": (high**2).mean(),
        "response": cross_entropy(array(hand.student.semantic), sigmoid(array(hand.teacher.semantic))).mean(),
        "direction": (divergence(wanted, drawn) * lines).sum() / lines.sum(),
    }
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)
    both = {"student.cam_bev", "student.image"}
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "relation": both, "low": both, "high": {"student.enc3"}, "response": {"student.semantic"},
        "direction": {"student.direction"},
    }


def test_images_are_lifted_onto_the_cells_of_the_students_own_branch():
    """A student's features live on larger cells than its map."""
    student = prediction_by_hand(1, enc3=5)
    rows, cols = student.taps["cam_bev"].shape[-2:]
    fine = Hand(student=student, teacher=prediction_by_hand(2, lid_bev=4, cam_bev=3)).method("mapdistill", width=4)
    student.taps["cam_bev"] = torch.randn(2, student.taps["cam_bev"].shape[1], rows // 2, cols // 2)
    hand = Hand(student=student, teacher=prediction_by_hand(2, lid_bev=4, cam_bev=3))
    coarse = hand.method("mapdistill", width=4)
    assert coarse.lift.grid == fine.lift.grid.scaled(2) and coarse.lift.grid.shape == (rows // 2, cols // 2)
    assert coarse.terms(hand.step())["relation"].isfinite()


def test_the_fused_map_can_be_negative_as_the_teachers_is():
    hand, method = mapdistill()
    assert (sides(hand, method)[1] < -0.1).any() and not isinstance(method.fuse[-1], nn.ReLU)


def test_the_released_relation_is_a_product_over_the_batch():
    hand, method = mapdistill(relation="gram")
    branches, _ = sides(hand, method)
    means = {name: value.mean((2, 3)) for name, value in branches.items()}
    student, teacher = means["lifted"] @ means["native"].T, means["lidar"] @ means["camera"].T
    term = method.terms(hand.step())["relation"]
    assert term.item() == pytest.approx(np.abs(student - teacher).mean(), rel=1e-3)
    with pytest.raises(ValueError, match="relation is 'grm'"):
        hand.method("mapdistill", relation="grm")


def test_the_teachers_branches_are_projected_onto_their_principal_axes():
    _, method = mapdistill()
    assert set(method.axes) == {"camera"}, "the LiDAR's branch has the right width"
    assert method.narrow.weight.requires_grad and not list(method.axes.parameters())


def batches(count, channels=6, seed=0):
    """Of three samples, correlated channels of different means."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator)
    made = torch.randn(count, 3, 4, 5, channels, generator=generator) @ mix + torch.arange(channels)
    return made.movedim(-1, 2)


def test_axes_are_those_of_the_first_samples():
    axes, stats, seen = PrincipalAxes(6, 4, samples=7), ChannelStats(4), batches(5)
    for batch in seen:
        axes.follow(batch, stats)
    whole = seen[:3].flatten(0, 1).double().numpy()  # nine samples: the third batch crosses the seventh
    np.testing.assert_allclose(axes.axes, principal(whole, 4), atol=1e-4)
    torch.testing.assert_close(axes.axes.T @ axes.axes, torch.eye(4))
    projected = axes(seen[0])
    np.testing.assert_allclose(projected, np.einsum("bchw,cd->bdhw", seen[0], principal(whole, 4)), atol=1e-4)
    assert (np.diff(np.einsum("bchw,cd->bdhw", whole, principal(whole, 4)).var((0, 2, 3))) < 0).all()


def test_statistics_are_those_of_what_the_axes_give():
    axes, stats, seen = PrincipalAxes(6, 4), ChannelStats(4), batches(3)
    for batch in seen:
        axes.follow(batch, stats)
    mean, square = moments(np.einsum("bchw,cd->bdhw", seen.flatten(0, 1), axes.axes))
    np.testing.assert_allclose(stats.mean, mean, rtol=1e-4)
    np.testing.assert_allclose(stats.square, square, rtol=1e-4)
    axes.samples = 9
    axes.follow(seen[0] + 5, stats)
    assert stats.count == 4 and axes.seen == 9, "from now on statistics alone follow"
    again = (3 * mean + axes(seen[0] + 5).mean((0, 2, 3)).numpy()) / 4
    np.testing.assert_allclose(stats.mean, again, rtol=1e-4)


def test_axes_are_saved_with_the_run_and_rest_in_evaluation():
    axes, stats, seen = PrincipalAxes(6, 8), ChannelStats(8), batches(2)
    axes.follow(seen[0], stats)
    assert not axes.axes[:, 6:].any() and axes(seen[0]).shape == (3, 8, 4, 5), "no more axes than channels"
    other = PrincipalAxes(6, 8)
    other.load_state_dict(axes.state_dict())
    for one in (axes, other):
        one.follow(seen[1], ChannelStats(8))
    assert torch.equal(axes.axes, other.axes)
    before = axes.eval().axes.clone()
    axes.follow(batches(1, seed=9)[0], stats.eval())
    assert torch.equal(axes.axes, before)


def test_mapdistill_without_directions():
    hand, _ = mapdistill()
    hand.student.direction = None
    assert "direction" not in hand.method("mapdistill", width=4).terms(hand.step())


# --- X3KD ----------------------------------------------------------------------------------------------------------

def lines_in_images(hand, size):
    """B N 3 h w: every 0.25 m of every line, on the ground, seen from 1.5 m above, ahead and behind."""
    seen = np.zeros((2, 2, 3, *size))
    for sample, drawn in enumerate(LINES):
        for label, vertices in drawn:
            line = metres(vertices).astype(np.float64)
            lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
            count = max(int(lengths[-1] / 0.25), 1) + 1
            for at in np.linspace(0, lengths[-1], count):
                x, y = (np.interp(at, lengths, line[:, k]) for k in range(2))
                for camera, sign in enumerate((1, -1)):
                    depth, right, down = sign * x, -sign * y, 1.5
                    if depth > 0.5:
                        col = int(np.floor((24 * right / depth + 23.5 + 0.5) * size[1] / 48))
                        row = int(np.floor((24 * down / depth + 15.5 + 0.5) * size[0] / 32))
                        if 0 <= row < size[0] and 0 <= col < size[1]:
                            seen[sample, camera, CLASSES.index(label), row, col] = 1
    assert seen.sum() > 10
    return seen


def test_x3kd():
    hand = Hand()
    method = hand.method("x3kd")
    before = copy.deepcopy(method)
    terms = method.terms(hand.step(30))
    mine, theirs = point_wise(array(hand.student.taps["bev_small"]), method.pair.adapt), hand.teacher.taps["bev_small"]
    images = array(hand.student.taps["image"])
    logits = point_wise(images.reshape(4, *images.shape[2:]), method.images).reshape(2, 2, 3, 4, 6)
    with torch.no_grad():  # a spectral norm moves with every call, hence the same two calls
        fake, real = before.adversary(torch.from_numpy(mine).float()), before.adversary(theirs)
    student, teacher = array(hand.student.semantic), array(hand.teacher.semantic)
    sure = sigmoid(teacher[:, 1:]).max(1, keepdims=True)
    expected = {
        "images": cross_entropy(logits, lines_in_images(hand, (4, 6))).mean(),
        "feature": np.abs(mine - array(theirs)).mean(),
        "adversary": cross_entropy(array(fake), 0.0).mean() + cross_entropy(array(real), 1.0).mean(),
        "output": (sure * cross_entropy(student, sigmoid(teacher))).mean(),
    }
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "images": {"student.image"}, "feature": {"student.bev_small"}, "adversary": {"student.bev_small"},
        "output": {"student.semantic"},
    }


@pytest.mark.parametrize(("number", "strength"), [(0, 0.0), (5, 0.05), (20, 0.2), (90, 0.2)])
def test_the_adversarys_gradient_is_reversed_and_comes_in(number, strength):
    """A fifth of 100 steps of ramp, up to 0.2."""
    hand = Hand()
    method = hand.method("x3kd", strength=0.2)
    plain = copy.deepcopy(method)
    feature, layers = hand.student.taps["bev_small"], [p for p in method.adversary.parameters() if p.ndim > 1]
    term = method.terms(hand.step(number))["adversary"]
    reversed_, *learned = torch.autograd.grad(term, [feature, *layers])
    fake = plain.adversary(plain.pair(hand.step())[0])
    direct = torch.autograd.grad(nn.functional.softplus(fake).mean(), feature)[0]  # cross entropy against "fake"
    torch.testing.assert_close(reversed_, -strength * direct, rtol=1e-3, atol=1e-7)
    assert all(gradient.abs().sum() > 0 for gradient in learned), "the critic itself learns at once"


def test_the_critic_is_three_halving_layers_under_a_spectral_norm():
    critic = Hand().method("x3kd").adversary
    convolutions = [m for m in critic if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 1]
    assert [m.stride[0] for m in convolutions] == [2, 2, 2, 1]
    assert [m.kernel_size[0] for m in convolutions] == [4, 4, 4, 1]
    assert all(nn.utils.parametrize.is_parametrized(m) for m in convolutions[:3])
    assert [m.negative_slope for m in critic if isinstance(m, nn.LeakyReLU)] == [0.2] * 3


def test_a_line_shorter_than_a_step_shows_its_ends():
    hand = Hand(lines=((("divider", ((8, 20), (8, 21))),),))
    hand.batch.elements = [(MapElement("divider", np.array([[3.0, 0.1], [3.0, 0.12]], np.float32)),)]
    seen = lines_seen(hand.batch, (32, 48))
    assert int(seen[0, 0, 0].sum()) == 1 and not seen[0, 1].any(), "both ends fall into one pixel ahead"
    hand.batch.elements = [(MapElement("divider", np.array([[3.0, 1.4], [3.0, 1.0]], np.float32)),)]
    assert int(lines_seen(hand.batch, (32, 48))[0, 0, 0].sum()) == 2, "0.4 m is one step of 0.25 m: both ends"


def test_lines_fall_into_feature_maps_of_another_shape_than_the_images():
    hand = Hand()
    for size in ((4, 6), (8, 6), (4, 24)):
        np.testing.assert_array_equal(lines_seen(hand.batch, size), lines_in_images(hand, size))


@pytest.mark.parametrize(("height", "shown"), [(0.3, False), (0.8, True)])
def test_what_is_nearer_than_half_a_metre_is_not_seen(height, shown):
    """Cameras that look straight down."""
    hand = Hand(lines=((("divider", ((8, 11), (8, 12))),),))
    down = torch.tensor([[0.0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, height], [0, 0, 0, 1]])
    hand.batch.base_from_camera = down.expand(1, 2, 4, 4)
    hand.batch.elements = [(MapElement("divider", np.array([[-0.1, 0.05], [0.1, 0.05]], np.float32)),)]
    assert bool(lines_seen(hand.batch, (4, 6)).any()) == shown


@pytest.mark.parametrize("part", ["images", "feature", "adversary", "output"])
def test_each_part_can_be_left_out(part):
    hand = Hand()
    method = hand.method("x3kd", **{f"{part}_weight": 0.0})
    assert set(method.terms(hand.step())) == {"images", "feature", "adversary", "output"} - {part}
    assert not any(name.startswith(part) for name, _ in method.named_parameters())
