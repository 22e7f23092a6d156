"""Regions against masks, distances and places found cell by cell."""
import numpy as np
import pytest
import torch
from hand_step import GRID, LINES, Hand, batch_by_hand, cells_of, metres
from slow_math import array, block_max, sampled
from slow_regions import foreground, heat, instances, keypoints_m

from mapkd_core.distill.regions import Regions
from mapkd_core.types import CLASSES

SIZES = [(16, 24), (8, 12), (4, 6), (2, 12)]


@pytest.fixture(scope="module")
def regions():
    return Hand().step().regions


@pytest.mark.parametrize("size", SIZES)
def test_masks_and_line_maps_at_every_size(regions, size):
    np.testing.assert_array_equal(array(regions.foreground(size)), block_max(foreground(), size))
    np.testing.assert_allclose(array(regions.heat(size)), block_max(heat(), size), atol=1e-5)
    ids = instances(size)
    np.testing.assert_array_equal(regions.instance_ids(size)[:, 0].numpy(), ids)
    scale = array(regions.instance_scale(size))[:, 0]
    for place in np.ndindex(ids.shape):
        area = (ids[place[0]] == ids[place]).sum()
        assert scale[place] == pytest.approx(1 / np.sqrt(area) if ids[place] else 0.0, rel=1e-5)


def test_whole_maps_without_a_size_and_another_width_of_line_maps():
    regions = Regions(batch_by_hand(), GRID, sigma_m=1.2)
    np.testing.assert_allclose(array(regions.heat()), heat(sigma_m=1.2), atol=1e-5)
    np.testing.assert_array_equal(array(regions.foreground()), foreground())
    assert Regions(batch_by_hand(), GRID).sigma_m == 0.5


def test_distances_are_metres_and_far_where_a_class_is_not(regions):
    distance = array(regions.distance_m)
    for sample, drawn in enumerate(LINES):
        for channel, label in enumerate(CLASSES):
            if all(name != label for name, _ in drawn):
                assert (distance[sample, channel] > 14.4).all()  # the grid is 12 by 8 m
    assert distance[0, 0, 7, 10] == pytest.approx(4 * GRID.cell_m)  # four rows from the line in row 3


@pytest.mark.parametrize(("threshold", "count"), [(0.5, 2), (0.9, 1), (0.3, 3)])
def test_false_positives_are_claims_far_from_lines(threshold, count):
    regions = Regions(batch_by_hand((LINES[0][:1], LINES[0][:1])), GRID)  # a line in row 3
    logits = torch.full((2, 4, 16, 24), -9.0)
    logits[:, 0] = 9.0                                   # background never counts as a claim
    for row, value in ((2, 9.0), (6, 9.0), (7, 9.0), (10, 1.0), (13, -0.5)):  # rows 2 and 6 are within 3 cells
        logits[:, 2, row, 9] = value
    found = regions.false_positives(logits, (16, 24), threshold)
    assert [int(mask.sum()) for mask in found] == [count, count]
    assert found[0, 0, 7, 9] == 1 and found[0, 0, 6, 9] == 0
    assert torch.equal(regions.false_positives(logits, (16, 24)), regions.false_positives(logits, (16, 24), 0.5))
    np.testing.assert_array_equal(
        array(regions.false_positives(logits, (4, 6), threshold)), block_max(array(found), (4, 6))
    )


@pytest.mark.parametrize("count", [2, 5, 9])
def test_keypoints(regions, count):
    for drawn, given in zip(LINES, regions.keypoints_m(count), strict=True):
        for (_, vertices), points in zip(drawn, given, strict=True):
            if count == 2 and vertices[0] == vertices[-1]:
                continue  # two points leave no room for a centre
            np.testing.assert_allclose(points, keypoints_m(vertices, count), atol=1e-5)


def test_samples_between_cells_and_beyond_the_edge(regions):
    feature = torch.randn(3, 8, 12, generator=torch.Generator().manual_seed(0))
    points = torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(1)) * 20 - 10
    given = regions.sample(feature, points)
    assert given.shape == (2, 20, 3)
    expected = sampled(array(feature), points.flatten(0, 1).numpy(), GRID).reshape(2, 20, 3)
    np.testing.assert_allclose(given, expected, atol=1e-4)
    assert regions.sample(feature.double(), points).dtype == torch.float64


def test_ribbons_go_to_the_left_of_travel():
    (line,) = LINES[0][:1]
    ribbon = Regions(batch_by_hand(((line,),)), GRID).ribbons_m(3, np.array([0.25, -0.5]), 4, 0)[0][0].numpy()
    start, end = metres(line[1])[[0, -1]]
    for k, place in enumerate((start, (start + end) / 2, end)):  # along +x, whose left is +y
        np.testing.assert_allclose(ribbon[2 * k : 2 * k + 2], [place + [0, 0.25], place + [0, -0.5]], atol=1e-5)


def test_every_sample_has_its_own_elements(regions):
    assert [len(points) for points in regions.keypoints_m(9)] == [3, 2]
    assert [len(ribbon) for ribbon in regions.ribbons_m(4, np.zeros(2), 16, 0)] == [3, 2]
    empty = Regions(batch_by_hand(((), ())), GRID)
    assert [p.shape for p in empty.keypoints_m(9)] == [(0, 9, 2)] * 2
    assert empty.ribbons_m(4, np.zeros(2), 16, 0)[0].shape == (0, 8, 2)


def test_labels_without_lines_are_refused():
    batch = batch_by_hand()
    batch.elements = None
    with pytest.raises(ValueError, match="needs the labels as lines"):
        Regions(batch, GRID).keypoints_m(9)


@pytest.mark.parametrize("name", ["heat", "distances"])
def test_an_open_line_with_a_bend_is_not_closed_and_one_between_cells_is_in_the_cell_it_lies_in(name):
    """An L: the straight way from its end to its start is no line."""
    lines = ((("boundary", ((2, 3), (2, 20), (13, 20))), ("divider", ((14, 1), (14, 4)))),)
    batch = batch_by_hand(lines)
    for element in batch.elements[0]:
        element.points_m[:] += 0.2  # of half a metre: still the same cells, by rounding the next ones
    found = Regions(batch, GRID)
    if name == "heat":
        np.testing.assert_allclose(array(found.heat()), heat(lines), atol=1e-4)
    else:
        cells = np.array([cell for _, vertices in lines[0][:1] for cell in cells_of(vertices)])
        for row, col in ((7, 11), (13, 3), (0, 0), (15, 23)):
            nearest = 0.5 * np.hypot(*(cells - (row, col)).T).min()
            assert found.distance_m[0, 2, row, col].item() == pytest.approx(nearest, rel=1e-4)
        assert found.distance_m[0, 1].min() > 13, "far beyond the grid of 12 by 8 metres where a class has no line"
