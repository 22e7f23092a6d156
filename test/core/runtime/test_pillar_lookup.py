"""The look-up with NumPy is the network's own: same features for every sample, whatever the rig."""
import numpy as np
import pytest
import torch
from rigs import ring

from mapkd_core.grid import BevGrid
from mapkd_core.model.image_size import feature_size
from mapkd_core.model.student import Student
from mapkd_core.model.student_config import TRUNK_STRIDE, StudentConfig, student_config
from mapkd_core.runtime.pillar_lookup import PillarTables

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
SIZE = (96, 48)
CONFIG = StudentConfig(image_width=8, view_channels=8, bev_width=8)


def tables(intrinsics, poses):
    """Pixels and weights (K, 4) by NumPy and by PyTorch."""
    pixel, weight = PillarTables(GRID, SIZE, CONFIG).table(intrinsics, poses)
    with torch.no_grad():
        lookup = Student(GRID, SIZE, CONFIG).lookup(*(torch.tensor(m[None]).float() for m in (intrinsics, poses)))
    return (pixel, weight), (lookup.pixel[0].numpy(), lookup.weight[0].numpy())


@pytest.mark.parametrize(("cameras", "start"), [(6, 0.2), (4, 1.3), (1, 0.1)])
def test_same_features_as_in_pytorch(cameras, start):
    # A turn that no symmetry of the grid has: where two cameras see a cell equally well, rounding would choose.
    intrinsics, poses = ring(cameras, SIZE, 50.0, height_m=1.7, start=start)
    width, height = feature_size(SIZE, TRUNK_STRIDE)
    features = np.random.default_rng(0).normal(size=cameras * width * height)
    own, network = ((features[pixel] * weight).sum(1) for pixel, weight in tables(intrinsics, poses))
    assert np.abs(own - network).max() < 1e-3
    assert 0.1 < (own != 0).mean() <= 1 and ((own == 0) == (network == 0)).all()


def test_types_and_weights_of_the_graph_s_inputs():
    cameras = ring(6, SIZE, 50.0, height_m=1.7, start=0.2)
    (pixel, weight), (of_network, weight_of_network) = tables(*cameras)
    assert pixel.dtype == of_network.dtype and weight.dtype == weight_of_network.dtype
    assert pixel.shape == of_network.shape == weight.shape
    sums = weight.sum(1)
    assert np.allclose(sums[sums > 0], 1, atol=1e-5)
    assert pixel.min() >= 0 and pixel.max() < 6 * np.prod(feature_size(SIZE, TRUNK_STRIDE))


def test_cameras_that_see_no_ground_give_no_weight():
    intrinsics, poses = ring(6, SIZE, 50.0, height_m=1.7)
    poses[:, :3, 2] = [0, 0, 1]  # all look up
    poses[:, :3, 0], poses[:, :3, 1] = [1, 0, 0], [0, 1, 0]
    (_, weight), (_, of_network) = tables(intrinsics, poses)
    assert not weight.any() and not of_network.any()


def test_a_sample_takes_nothing_from_a_pixel_that_shows_nothing():
    intrinsics, poses = ring(1, SIZE, 50.0, height_m=1.7, start=0.1)
    left, right = (np.zeros((1, SIZE[1], SIZE[0]), bool) for _ in range(2))
    left[..., : SIZE[0] // 2], right[..., SIZE[0] // 2 :] = True, True
    of = PillarTables(GRID, SIZE, CONFIG).table
    whole, of_left, of_right = (of(intrinsics, poses, seen)[1] for seen in (None, left, right))
    assert of_left.any() and of_right.any() and not (of_left * of_right).any()
    assert np.array_equal(of_left + of_right, whole)


def test_another_view_is_refused():
    with pytest.raises(ValueError, match="view 'lift_splat' does not run from a graph"):
        PillarTables(GRID, SIZE, student_config({"variant": "nano", "view": "lift_splat"}))
