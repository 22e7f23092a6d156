"""Augmentation keeps labels true: a painted point stays where the calibration projects it."""
from dataclasses import replace

import cv2
import numpy as np
import pytest
from rigs import ring
from scipy.spatial.transform import Rotation

from mapkd_core.config import AugmentConfig
from mapkd_core.data import augment
from mapkd_core.data.sample import Sample
from mapkd_core.geometry import apply, inverse, project
from mapkd_core.types import CAMERAS, MapElement

POINTS = np.array([[8.0, 1.0, 0.0], [6.0, -2.0, 0.0], [-7.0, 3.0, 0.0], [1.0, 9.0, 0.0], [0.5, -8.0, 0.0]])
SIZE = (352, 128)


def painted(count=6):
    """Six images with a disc wherever one of POINTS is seen; the points are the label's vertices."""
    intrinsics, poses = ring(count, SIZE, focal=150.0, start=np.pi / 3)
    # Same order as CAMERAS: front left, front, front right, back left, back, back right.
    order = [0, 5, 4, 1, 2, 3] if count == 6 else list(range(count))
    intrinsics, poses = intrinsics[order], poses[order]
    images = np.zeros((count, SIZE[1], SIZE[0], 3), np.uint8)
    sample = Sample(
        "t", images, intrinsics, poses, (MapElement("divider", POINTS.astype(np.float32)),),
        lidar=np.concatenate([POINTS, np.ones((5, 2))], 1).astype(np.float32), sd_lines_m=(POINTS[:, :2],),
    )
    for camera, pixel in seen(sample):
        cv2.circle(images[camera], tuple(int(v) for v in np.round(pixel)), 5, (255, 255, 255), -1)
    return sample


def seen(sample):
    """(camera, pixel) of every label vertex well inside an image."""
    for vertex in sample.elements[0].points_m.astype(float):
        for camera in range(len(sample.images)):
            pixel, depth = project(apply(inverse(sample.base_from_camera[camera]), vertex), sample.intrinsics[camera])
            if depth > 1 and np.all(pixel > 8) and np.all(pixel < np.array(SIZE) - 9):
                yield camera, pixel


def assert_painted_where_projected(sample, at_least=4):
    places = list(seen(sample))
    assert len(places) >= at_least
    for camera, (u, v) in places:
        patch = sample.images[camera][int(v) - 7 : int(v) + 9, int(u) - 7 : int(u) + 9, 1].astype(float)
        rows, cols = np.indices(patch.shape)
        assert patch.sum() > 0
        centre = np.array([(cols * patch).sum(), (rows * patch).sum()]) / patch.sum() + [int(u) - 7, int(v) - 7]
        assert np.abs(centre - [u, v]).max() < 1.2


def test_the_scene_itself():
    assert_painted_where_projected(painted())


def test_mirror():
    sample = augment.mirror(painted())
    assert_painted_where_projected(sample)
    assert np.allclose(sample.elements[0].points_m[:, 1], -POINTS[:, 1])
    assert np.allclose(sample.lidar[:, 1], -POINTS[:, 1]) and np.allclose(sample.sd_lines_m[0][:, 1], -POINTS[:, 1])
    for pose in sample.base_from_camera:
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    # What takes the front left camera's place still looks to the front left.
    ahead = sample.base_from_camera[:, :3, 2]
    assert ahead[CAMERAS.index("CAM_FRONT_LEFT"), 1] > 0.5 and ahead[CAMERAS.index("CAM_BACK_RIGHT"), 1] < -0.5


def test_a_mirrored_camera_keeps_its_own_lens():
    """Pixel u becomes W - 1 - u; each camera takes its images, intrinsics and mounting along to its mirrored place."""
    before = painted()
    before.intrinsics[:, 0, 0] += np.arange(6)
    before.intrinsics[:, 0, 2] += 3 * np.arange(6)
    before.images[:, 0, 0, 0] = np.arange(6)
    after = augment.mirror(before)
    places = [2, 1, 0, 5, 4, 3]
    assert after.images[:, 0, -1, 0].tolist() == places
    np.testing.assert_allclose(after.intrinsics[:, 0, 0], before.intrinsics[places, 0, 0])
    np.testing.assert_allclose(after.intrinsics[:, 0, 2], SIZE[0] - 1 - before.intrinsics[places, 0, 2])
    np.testing.assert_allclose(after.intrinsics[:, 1], before.intrinsics[places, 1])
    centres = before.base_from_camera[places, :3, 3] * [1, -1, 1]
    np.testing.assert_allclose(after.base_from_camera[:, :3, 3], centres, atol=1e-9)
    with pytest.raises(ValueError, match="a sample with a LiDAR's pose cannot be mirrored"):
        augment.mirror(replace(before, base_from_lidar=np.eye(4)))


def test_half_of_the_samples_are_mirrored():
    sample = replace(painted(), images=np.zeros((6, 2, 2, 3), np.uint8))
    drawn = [augment.augment(sample, AugmentConfig(flip=True), np.random.default_rng(k)) for k in range(60)]
    mirrored = sum(float(d.elements[0].points_m[0, 1]) < 0 for d in drawn)
    assert 18 <= mirrored <= 42


@pytest.mark.parametrize("change", [lambda s: augment.turn(s, 0.3), lambda s: augment.shift(s, np.array([2.0, -1]))])
def test_all_that_lies_in_the_world_moves_together(change):
    """Points seen from a camera, and from the LiDAR, are where they were."""
    before = replace(painted(), outlines_m=(POINTS + 1,), base_from_lidar=augment.leaned(np.eye(4)[None], 0.1)[0])
    after = change(before)
    for pose in ("base_from_camera", "base_from_lidar"):
        views = [np.atleast_3d(getattr(s, pose).T).T for s in (before, after)]
        for place in (lambda s: s.elements[0].points_m, lambda s: s.outlines_m[0], lambda s: s.lidar[:, :3]):
            places = [np.asarray(place(s), float) for s in (before, after)]
            seen_from = [apply(inverse(view[0]), points) for view, points in zip(views, places, strict=True)]
            np.testing.assert_allclose(*seen_from, atol=1e-5)
    np.testing.assert_allclose(after.sd_lines_m[0], after.elements[0].points_m[:, :2], atol=1e-5)
    assert np.abs(after.base_from_camera - before.base_from_camera).max() > 0.1


def test_mirror_twice_is_nothing():
    before = painted()
    after = augment.mirror(augment.mirror(before))
    assert np.array_equal(after.images, before.images)
    assert np.allclose(after.base_from_camera, before.base_from_camera)
    assert np.allclose(after.intrinsics, before.intrinsics)


def test_turn():
    sample = augment.turn(painted(), 0.4)
    assert_painted_where_projected(sample)
    c, s = np.cos(0.4), np.sin(0.4)
    assert np.allclose(sample.elements[0].points_m[0], [8 * c - s, 8 * s + c, 0])
    assert np.allclose(sample.lidar[:, :3], sample.elements[0].points_m, atol=1e-5)


def test_shift():
    sample = painted()
    moved = augment.shift(sample, np.array([2.0, -1.0]))
    assert_painted_where_projected(moved)
    assert np.allclose(moved.base_from_camera[:, :3, 3] - sample.base_from_camera[:, :3, 3], [2.0, -1.0, 0.0])
    assert np.allclose(moved.elements[0].points_m[:, :2], sample.elements[0].points_m[:, :2] + [2.0, -1.0], atol=1e-5)
    assert moved.base_from_lidar is None or np.allclose(moved.base_from_lidar[:2, 3], [2.0, -1.0])
    config = AugmentConfig(shift_m=4.0)
    ways = [
        (augment.augment(sample, config, np.random.default_rng(k)).base_from_camera - sample.base_from_camera)[0, :2, 3]
        for k in range(50)
    ]
    ahead, aside = np.abs(ways).max(0)
    assert 3 < ahead <= 4 and 1.5 < aside <= 2 and np.min(ways) < 0 < np.max(ways)


def test_zoom():
    sample = augment.zoom(painted(), 0.3, np.random.default_rng(0))
    assert_painted_where_projected(sample, at_least=2)
    assert sample.intrinsics[:, 0, 0].max() > 160
    for before, after in zip(painted().intrinsics, sample.intrinsics, strict=True):
        corners = np.linalg.inv(after @ np.linalg.inv(before)) @ [[0, SIZE[0]], [0, SIZE[1]], [1, 1]]
        assert (corners[:2] > -1e-6).all() and (corners[:2] < np.array(SIZE)[:, None] + 1e-6).all(), "nothing beyond it"


def test_shaken_mounting_leaves_labels_and_moves_cameras_by_the_given_amount():
    before = painted()
    after = augment.shake_mounting(before, np.radians(1.0), 0.05, np.random.default_rng(0))
    assert np.array_equal(after.elements[0].points_m, before.elements[0].points_m)
    shift = np.linalg.norm(after.base_from_camera[:, :3, 3] - before.base_from_camera[:, :3, 3], axis=1)
    assert 0 < shift.max() < 0.3


def test_a_camera_turns_about_itself_by_degrees():
    before = painted()
    angles = []
    for seed in range(60):
        after = augment.augment(before, AugmentConfig(extrinsic_degrees=1.0), np.random.default_rng(seed))
        np.testing.assert_allclose(after.base_from_camera[:, :3, 3], before.base_from_camera[:, :3, 3], atol=1e-12)
        turned = inverse(before.base_from_camera) @ after.base_from_camera
        angles.append(Rotation.from_matrix(turned[:, :3, :3]).as_rotvec(degrees=True))
    assert np.std(angles) == pytest.approx(1.0, abs=0.1)
    assert np.ptp(angles[0], axis=0).min() > 0.1, "each camera by its own"


def test_a_rig_leans_as_one():
    before = painted()
    config = AugmentConfig(lean_degrees=1.0, lean_m=0.05)
    errors = []
    for seed in range(300):
        after = augment.augment(before, config, np.random.default_rng(seed))
        assert np.array_equal(after.elements[0].points_m, before.elements[0].points_m)
        error = after.base_from_camera @ inverse(before.base_from_camera)  # one for all cameras, about base_link
        assert np.allclose(error, error[0], atol=1e-9)
        errors.append(error[0])
    angles = np.degrees(Rotation.from_matrix(np.stack(errors)[:, :3, :3]).as_euler("xyz"))
    assert angles.std(0) == pytest.approx([1.0, 1.0, 0.0], abs=0.12) and np.abs(angles.mean(0)).max() < 0.2
    heights = np.stack(errors)[:, :3, 3]
    assert heights.std(0) == pytest.approx([0, 0, 0.05], abs=0.006)


def test_pitch_lowers_what_is_ahead():
    pose = augment.leaned(np.eye(4)[None], pitch=0.1, height_m=0.2)[0]
    assert apply(pose, [10.0, 0, 0]) == pytest.approx([10 * np.cos(0.1), 0, 0.2 - 10 * np.sin(0.1)])


def test_photometric_changes_light_not_shape():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (6, 16, 24, 3), dtype=np.uint8)
    changed = augment.photometric(images, 0.8, np.random.default_rng(1))
    assert changed.shape == images.shape and changed.dtype == np.uint8
    assert np.abs(changed.astype(int) - images).mean() > 3


def test_light_changes_for_the_rig_as_a_whole():
    images = np.full((6, 4, 4, 3), 120, np.uint8)
    means = np.array([
        augment.photometric(images, 0.5, np.random.default_rng(k)).mean((1, 2, 3)) for k in range(30)
    ])
    assert means.mean(1).std() > 2 * means.std(1).mean() > 0, "drives differ more than a drive's cameras"


def test_dropout_blanks_one_camera():
    sample = replace(painted(), images=np.full((6, 8, 8, 3), 9, np.uint8))
    config = AugmentConfig(camera_dropout=1.0)
    changed = augment.augment(sample, config, np.random.default_rng(0))
    blank = [bool((image == 124).all()) for image in changed.images]
    assert sum(blank) == 1 and changed.lost == (blank.index(True),) and sample.lost == ()


def test_a_teacher_may_lose_one_modality_but_not_both():
    sample = replace(painted(), images=np.full((6, 8, 8, 3), 9, np.uint8))
    blind = augment.augment(sample, AugmentConfig(image_dropout=1.0), np.random.default_rng(0))
    assert (blind.images == 124).all() and blind.lidar is sample.lidar
    deaf = augment.augment(sample, AugmentConfig(lidar_dropout=1.0), np.random.default_rng(0))
    assert deaf.lidar.shape == (0, 5) and (deaf.images == 9).all()
    config = AugmentConfig(lidar_dropout=0.5, image_dropout=0.5)
    drawn = [augment.augment(sample, config, np.random.default_rng(k)) for k in range(20)]
    lost = {(len(d.lidar) == 0, bool((d.images == 124).all())) for d in drawn}
    assert lost == {(True, False), (False, True)}
    cameras_only = replace(sample, lidar=None)
    assert augment.augment(cameras_only, config, np.random.default_rng(0)) is cameras_only


def test_same_seed_same_sample_and_nothing_asked_nothing_changed():
    config = AugmentConfig(0.5, 0.2, True, 10, 0.5, 0.5, 0.02)
    first, second = (augment.augment(painted(), config, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.base_from_camera, second.base_from_camera)
    untouched = painted()
    assert augment.augment(untouched, AugmentConfig(), np.random.default_rng(7)) is untouched
