"""Masks of the own vehicle and images of failing cameras: what a masked pixel shows never reaches the map."""
import numpy as np
import pytest
import torch
from rigs import ring
from tiny_student import GRID, SIZE, save_tiny_student, tiny_images, tiny_rig

from mapkd_core.model.depth_splatting import DepthSplatting
from mapkd_core.model.pillar_sampling import PillarSampling
from mapkd_core.predictor import MapPredictor


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    path = save_tiny_student(tmp_path_factory.mktemp("artifact"))
    return MapPredictor.from_artifact(path, device="cpu", backend="torch")


def test_samples_in_the_mask_go_to_another_camera_or_to_none():
    intrinsics, poses = ring(2, SIZE, 50.0, height_m=1.7)
    poses[1] = poses[0]  # two cameras that see the same
    sampling = PillarSampling(GRID, (0.0,))
    calibration = torch.tensor(intrinsics)[None].float(), torch.tensor(poses)[None].float()
    feature_size = (SIZE[0] // 4, SIZE[1] // 4)
    visible = torch.ones(1, 2, SIZE[1], SIZE[0], dtype=torch.bool)
    visible[0, 0, 40:] = False
    first = sampling.lookup(*calibration, SIZE, feature_size)
    masked = sampling.lookup(*calibration, SIZE, feature_size, visible)
    moved = (first.pixel != masked.pixel).any(-1)[0] & (first.weight.sum(-1)[0] > 0)
    assert moved.any() and torch.equal(first.weight.sum(-1), masked.weight.sum(-1))
    per_camera = feature_size[0] * feature_size[1]
    assert ((masked.pixel[0, moved] // per_camera) == 1).all()  # the other camera serves
    # Their rows in the image are those of the mask.
    assert (first.pixel[0, moved, 0] % per_camera // feature_size[0] >= 40 // 4 - 1).all()
    visible[:] = False
    assert sampling.lookup(*calibration, SIZE, feature_size, visible).weight.sum() == 0


def test_pixels_in_the_mask_are_not_splatted():
    splatting = DepthSplatting(GRID, 8)
    calibration = [torch.tensor(part)[None].float() for part in ring(6, SIZE, 50.0, height_m=1.7)]
    visible = torch.ones(1, 6, SIZE[1], SIZE[0], dtype=torch.bool)
    visible[0, 2] = False
    outside = GRID.rows * GRID.cols
    cells = splatting.lookup(*calibration, SIZE, (24, 12), visible).cell
    assert (cells[0, 2] == outside).all() and (cells[0, 1] != outside).any()


def test_what_the_mask_covers_does_not_matter(predictor):
    images, rig = list(tiny_images()), tiny_rig()
    masks = [None] * 6
    masks[1] = np.zeros((5, 4), bool)  # any size serves
    changed = [*images[:1], 255 - images[1], *images[2:]]
    one, two = (predictor.predict(given, *rig, masks=masks).probabilities for given in (images, changed))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - predictor.predict(images, *rig).probabilities).max() > 1e-4


def test_a_map_without_a_cameras_image_is_that_of_the_others(predictor):
    images, (intrinsics, poses) = list(tiny_images()), tiny_rig()
    found = predictor.predict([*images[:4], None, images[5]], intrinsics, poses).probabilities
    others = [0, 1, 2, 3, 5]
    expected = predictor.predict([images[i] for i in others], intrinsics[others], poses[others]).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_look_up_is_computed_again_only_for_another_mask(predictor):
    runtime, images, rig = predictor.runtime, tiny_images(), tiny_rig()
    visible = np.ones((6, SIZE[1], SIZE[0]), bool)
    before = runtime.lookups.computed
    for part in (visible, visible.copy(), None, None, visible):
        runtime.probabilities(images, *rig, part)
    assert runtime.lookups.computed == before + 3


def test_masks_that_do_not_fit_are_refused(predictor):
    with pytest.raises(ValueError, match="5 masks for 6 images"):
        predictor.predict(list(tiny_images()), *tiny_rig(), masks=[None] * 5)
