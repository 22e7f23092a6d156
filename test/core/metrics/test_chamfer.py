import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mapkd_core.metrics.chamfer import PixelSet, chamfer_table_m


def blobs(seed, shape, count, spread):
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(count):
        at = rng.uniform(0, shape) + np.cumsum(rng.normal(0, spread, (rng.integers(1, 400), 2)), 0)
        cells = np.unique(np.clip(at, 0, np.array(shape) - 1).astype(np.int32), axis=0)
        sets.append(cells)
    return sets


def torch_means(a, b, cell_m):
    points = [torch.from_numpy(x.astype(np.float32) * np.float32(cell_m))[None] for x in (a, b)]
    distance = torch.cdist(*points)
    return distance.min(2)[0].mean(-1).item(), distance.min(1)[0].mean(-1).item()


def sets_of(cells, cell_m):
    return [PixelSet(c[:, 0], c[:, 1], cell_m) for c in cells]


@pytest.mark.parametrize(
    ("shape", "cell_m"), [((200, 400), 0.15), ((200, 400), 0.3), ((200, 800), 0.3), ((900, 1000), 0.15)]
)
def test_single_precision_repeats_the_rounding_of_torch(shape, cell_m):
    a, b = blobs(1, shape, 6, 1.0), blobs(2, shape, 6, 1.0)
    table = chamfer_table_m(sets_of(a, cell_m), sets_of(b, cell_m), shape, cell_m, np.inf, exact=False)
    assert table.dtype == np.float32
    expected = np.array([[np.mean(torch_means(x, y, cell_m)) for y in b] for x in a])
    # What is left is the last bit of torch's square root and sum.
    np.testing.assert_allclose(table, expected, rtol=3e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_sets_round_as_torch_does_too(seed):
    shape, cell_m = (200, 800), 0.3
    rng = np.random.default_rng(seed)
    large = blobs(seed, shape, 4, 1.0)
    # A few pixels left of a line, near a long one: the corner far from the origin rounds worst.
    most = np.array(shape) - 1
    small = [np.unique((c[: rng.integers(1, 20)] + rng.integers(-2, 3, 2)).clip(0, most), axis=0) for c in large]
    for a, b in ((small, large), (large, small)):
        table = chamfer_table_m(sets_of(a, cell_m), sets_of(b, cell_m), shape, cell_m, np.inf, exact=False)
        expected = np.array([[np.mean(torch_means(x, y, cell_m)) for y in b] for x in a])
        np.testing.assert_allclose(table, expected, rtol=3e-6)
        one_way = chamfer_table_m(sets_of(a, cell_m), sets_of(b, cell_m), shape, cell_m, np.inf, True, exact=False)
        expected = np.array([[torch_means(x, y, cell_m)[0] for y in b] for x in a])
        np.testing.assert_allclose(one_way, expected, rtol=3e-6)


def test_rounding_really_differs_from_the_exact_distance():
    # Far from the corner two lines one cell apart: the matrix product loses centimetres.
    a = np.stack([np.full(300, 190), np.arange(100, 400)], 1).astype(np.int32)
    b = a + np.array([1, 0], np.int32)
    pair = [sets_of([x], 0.15) for x in (a, b)]
    single = chamfer_table_m(*pair, (200, 400), 0.15, 10, exact=False)[0, 0]
    exact = chamfer_table_m(*pair, (200, 400), 0.15, 10)[0, 0]
    assert exact == pytest.approx(0.15, abs=1e-12)
    assert single == pytest.approx(torch_means(a, b, 0.15)[0], rel=1e-6)
    assert abs(single - exact) > 1e-5


def test_exact_distances_equal_a_full_table_and_far_pairs_are_infinite():
    shape, cell_m, limit = (200, 400), 0.15, 5.0
    a, b = blobs(3, shape, 8, 2.0), blobs(4, shape, 8, 2.0)
    for one_way in (False, True):
        table = chamfer_table_m(sets_of(a, cell_m), sets_of(b, cell_m), shape, cell_m, limit, one_way)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                full = cdist(x, y) * cell_m
                forward, backward = full.min(1).mean(), full.min(0).mean()
                expected = forward if one_way else (forward + backward) / 2
                if np.isfinite(table[i, j]):
                    assert table[i, j] == pytest.approx(expected, rel=1e-12)
                else:
                    assert expected > limit
        assert np.isfinite(table).any() and np.isinf(table).any()


def test_no_instances_give_an_empty_table():
    assert chamfer_table_m([], sets_of(blobs(5, (20, 20), 2, 1.0), 0.15), (20, 20), 0.15, 1.0).shape == (0, 2)


@pytest.mark.parametrize("sizes", [(16, 25), (25, 16), (25, 25), (26, 25), (20, 40)])
def test_sets_about_the_size_up_to_which_torch_takes_differences(sizes):
    """Off the diagonal of the canvas and apart in both directions, so that no sign or axis can be exchanged."""
    shape, cell_m = (200, 400), 0.15
    a, b = (
        np.stack([np.full(count, row), first + step * np.arange(count)], 1).astype(np.int32)
        for count, row, first, step in ((sizes[0], 20, 300, 1), (sizes[1], 23, 310, 2))
    )
    single, exact = (
        chamfer_table_m(sets_of([a], cell_m), sets_of([b], cell_m), shape, cell_m, np.inf, exact=e)[0, 0]
        for e in (False, True)
    )
    assert single == pytest.approx(np.mean(torch_means(a, b, cell_m)), rel=3e-6)
    full = cdist(a, b) * cell_m
    assert exact == pytest.approx((full.min(1).mean() + full.min(0).mean()) / 2, rel=1e-12)
    assert single == pytest.approx(exact, abs=0.02)
