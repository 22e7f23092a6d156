"""Calibration from messages: numbers against drawn geometry, and an exact word for everything that lacks."""
from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from ros_messages import Fields, camera_info, transform

from mapkd_core import geometry
from mapkd_core.cameras.calibration import (
    TABLES_KEPT,
    CalibrationError,
    CameraModel,
    camera_model,
    is_rectified_topic,
    undistorted,
    undistorted_mask,
)
from mapkd_core.cameras.transform_tree import TransformTree

QUARTER_LEFT = (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))


def test_a_camera_info_gives_size_and_intrinsics():
    model = camera_model(camera_info(64, 36, 50.0, d=[0.0] * 5, distortion_model="plumb_bob"))
    assert model.size == (64, 36)
    np.testing.assert_array_equal(model.intrinsics, [[50, 0, 31.5], [0, 50, 17.5], [0, 0, 1]])
    assert model.distortion_model == "" and model.distortion == ()  # zero coefficients are no distortion


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, "0x36 pixels; it must name the size"),
        ({"k": np.zeros(9)}, "expected finite .fx 0 cx"),
        ({"k": np.array([np.nan, 0, 1, 0, 5, 1, 0, 0, 1])}, "k is .nan"),
        ({"k": np.array([5, 0, 1, 0, -5, 1, 0, 0, 1.0])}, "calibrate it"),
        ({"k": np.array([5, 0, 1, 0, 5, np.inf, 0, 0, 1.0])}, "expected finite"),
        ({"k": np.array([5, 0, 0, 0, 5, 0, 4, 3, 1.0])}, "k is .*expected finite .fx 0 cx"),  # column by column
        ({"k": np.array([5, 0, 4, 1, 5, 3, 0, 0, 1.0])}, "expected finite .fx 0 cx"),
        ({"d": [0.1, np.nan, 0, 0, 0], "distortion_model": "plumb_bob"}, "expected finite distortion"),
        ({"d": [0.1] * 5, "distortion_model": "my_lens"}, "distortion_model 'my_lens'"),
        ({"d": [0.1] * 15, "distortion_model": "plumb_bob"}, "with 15 coefficients cannot be undone .* at most 14"),
        ({"d": [0.1] * 5, "distortion_model": "equidistant"}, "with 5 coefficients cannot be undone"),
        ({"d": [0.1] * 4}, "distortion_model '' with 4"),
        ({"roi": Fields(x_offset=50, y_offset=0, width=20, height=20)}, "region of interest 20x20 at 50, 0 lies"),
    ],
)
def test_a_calibration_that_cannot_be_right_is_refused(changes, words):
    with pytest.raises(CalibrationError, match=words):
        camera_model(camera_info(**changes))


@pytest.mark.parametrize(
    ("name", "coefficients"),
    [
        ("plumb_bob", (-0.3, 0.08, 0.001, -0.002, 0.01)),
        ("rational_polynomial", (-0.2, 0.05, 0.001, 0.001, 0.01, 0.1, 0.02, 0.001)),
        ("equidistant", (-0.05, 0.01, 0.002, 0.001)),
    ],
)
@pytest.mark.parametrize("reduction", [1, 2])
def test_undistortion_brings_a_point_to_where_a_pinhole_would_see_it(name, coefficients, reduction):
    model = camera_model(camera_info(640, 480, 400.0, d=list(coefficients), distortion_model=name))
    ray = np.array([[0.35, -0.25, 1.0]])
    if name == "equidistant":
        seen = cv2.fisheye.distortPoints(ray[None, :, :2], model.intrinsics, np.array(coefficients))[0, 0]
    else:
        seen = cv2.projectPoints(ray, np.zeros(3), np.zeros(3), model.intrinsics, np.array(coefficients))[0][0, 0]
    pinhole, _ = geometry.project(ray[0], model.intrinsics)
    assert np.linalg.norm(seen - pinhole) > 4  # the lens matters here
    scale = 1 / reduction
    rows, cols = np.mgrid[: 480 // reduction, : 640 // reduction]
    at = (seen + 0.5) * scale - 0.5
    blob = 255 * np.exp(-((cols - at[0]) ** 2 + (rows - at[1]) ** 2) / 18)
    cache: dict = {}
    straight = undistorted(np.repeat(blob[..., None], 3, 2).astype(np.uint8), model, cache)[..., 0].astype(float)
    found = np.array([(straight * cols).sum(), (straight * rows).sum()]) / straight.sum()
    np.testing.assert_allclose(found, (pinhole + 0.5) * scale - 0.5, atol=0.5)
    assert len(cache) == 1
    undistorted(np.zeros((480 // reduction, 640 // reduction, 3), np.uint8), model, cache)
    assert len(cache) == 1
    other = CameraModel(model.size, model.intrinsics * 1.1, name, coefficients)
    undistorted(np.zeros((24, 32, 3), np.uint8), other, cache)
    assert len(cache) == 2  # another calibration, another table


def test_a_region_and_binning_move_the_middle_of_the_image():
    roi = Fields(x_offset=8, y_offset=4, width=40, height=24)
    model = camera_model(camera_info(64, 36, 50.0, roi=roi, binning_x=2, binning_y=4))
    assert model.size == (20, 6)
    expected = [[25, 0, (31.5 - 8 + 0.5) / 2 - 0.5], [0, 12.5, (17.5 - 4 + 0.5) / 4 - 0.5], [0, 0, 1]]
    np.testing.assert_allclose(model.intrinsics, expected)


def test_rectified_images_look_along_axes_of_their_own():
    turn = geometry.transform_from_yaw(0, 0, 0.1)[:3, :3]
    p = np.array([50, 0, 31.5, 0, 0, 50, 17.5, 0, 0, 0, 1, 0.0])
    model = camera_model(camera_info(64, 36, 50.0, r=turn.reshape(9), p=p), rectified=True)
    # R brings rays of the camera into the rectified frame; the model brings them back
    np.testing.assert_allclose(model.camera_from_image[:3, :3] @ (turn @ [1, 2, 3]), [1, 2, 3])
    same = camera_model(camera_info(64, 36, 50.0, r=np.eye(3).reshape(9), p=p), rectified=True)
    assert same.camera_from_image is None


def test_tables_are_those_of_the_size_that_the_calibration_holds_for():
    lens, k = ("plumb_bob", (-0.2, 0.05, 0.0, 0.0)), np.array([[80.0, 0, 79.5], [0, 80, 44.5], [0, 0, 1]])
    pixels, cache = np.random.default_rng(0).integers(0, 255, (45, 80, 3), np.uint8), {}
    found = [undistorted(pixels, CameraModel(size, k, *lens), cache) for size in ((160, 90), (80, 45))]
    assert not np.array_equal(*found) and len(cache) == 2


def test_a_mask_is_false_beyond_the_image_that_was_taken():
    model = camera_model(camera_info(64, 36, 50.0, d=[0.4, 0.0, 0.0, 0.0], distortion_model="plumb_bob"))
    seen = undistorted_mask(np.ones((36, 64), bool), model, {})
    assert seen[18, 32] and not seen[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_a_chain_of_transforms_is_composed():
    tree = TransformTree()
    tree.update([transform("base_link", "rig", (1.0, 0.0, 1.5))])
    mounted = transform("rig", "left", (0.2, 0.5, 0.0), QUARTER_LEFT)
    tree.update([mounted, transform("left", "left_optical", (0, 0, 0), (0.5, -0.5, 0.5, -0.5))])
    tree.update([transform("map", "base_link", (100.0, 50.0, 0.0))])
    base_from_camera = tree.lookup("base_link", "left_optical")
    # z ahead of an optical frame that looks to the left of the vehicle is y of base_link
    np.testing.assert_allclose(geometry.apply(base_from_camera, [0, 0, 4]), [1.2, 4.5, 1.5], atol=1e-12)
    np.testing.assert_allclose(geometry.apply(base_from_camera, [1, 0, 0]), [2.2, 0.5, 1.5], atol=1e-12)
    np.testing.assert_allclose(tree.lookup("left_optical", "base_link"), np.linalg.inv(base_from_camera), atol=1e-12)
    np.testing.assert_allclose(tree.lookup("rig", "map"), geometry.inverse(tree.lookup("map", "rig")), atol=1e-12)
    np.testing.assert_array_equal(tree.lookup("base_link", "base_link"), np.eye(4))


def test_siblings_meet_at_their_common_parent_and_slashes_do_not_matter():
    tree = TransformTree()
    tree.update([transform("/body", "/base_link", (0, 0, -0.3)), transform("body", "camera", (2.0, 0, 1.0))])
    np.testing.assert_allclose(tree.lookup("base_link", "/camera")[:3, 3], [2.0, 0, 1.3])


def test_a_newer_transform_replaces_the_older_one():
    tree = TransformTree()
    tree.update([transform("base_link", "camera", (1.0, 0, 0))])
    tree.update([transform("base_link", "camera", (2.0, 0, 0))])
    assert tree.lookup("base_link", "camera")[0, 3] == 2.0


def test_a_frame_below_the_vehicle_that_was_given_two_parents_is_named():
    tree = TransformTree()
    tree.update([transform("base_link", "mast"), transform("mast", "camera"), transform("map", "base_link")])
    tree.update([transform("odom", "base_link")])  # localisation's affair, not the camera's
    assert tree.contradiction("base_link", "camera") == ""
    tree.update([transform("/chassis", "/mast"), transform("base_link", "mast")])
    assert "frame 'mast' has 2 parents, base_link, chassis" in tree.contradiction("base_link", "camera")


def test_a_transform_that_came_and_cannot_be_used_is_not_called_missing():
    tree = TransformTree()
    with pytest.raises(CalibrationError, match="not finite"):
        tree.update([transform("base_link", "left"), transform("base_link", "camera", (math.nan, 0, 1.5))])
    with pytest.raises(CalibrationError, match=r"base_link <- camera: that of 'camera' cannot .*nan.* not finite"):
        tree.lookup("base_link", "camera")
    tree.update([transform("base_link", "camera")])
    tree.lookup("base_link", "camera")


def test_transforms_the_wrong_way_round_are_told_as_such():
    tree = TransformTree()
    for camera in ("front", "left", "right", "back"):
        tree.update([transform(camera, "base_link")])
    words = r"'base_link' is given several parents \(front, left, right and 1 more\).*the wrong way round"
    with pytest.raises(CalibrationError, match=words):
        tree.lookup("base_link", "front")
    tree.lookup("base_link", "back")  # the last one holds


def test_of_transforms_in_a_circle_the_newest_holds_and_both_are_told():
    tree = TransformTree()
    right = [transform("base_link", "mast", (1, 0, 0)), transform("mast", "camera", (1, 0, 0))]
    tree.update(right)
    tree.update([transform("camera", "base_link", (-5, 0, 0))])
    assert tree.lookup("base_link", "camera")[0, 3] == 5
    told = "frames 'base_link' and 'mast' are each said to hang on the other: one transform is published the wrong way"
    assert tree.contradiction("base_link", "camera").startswith(told)
    tree.update(right)  # once the wrong one's publisher has ended
    assert tree.lookup("base_link", "camera")[0, 3] == 2


def test_what_breaks_a_chain_is_named():
    tree = TransformTree()
    with pytest.raises(CalibrationError, match="base_link <- camera: nothing has come on /tf_static and /tf yet"):
        tree.lookup("base_link", "camera")
    tree.update([transform("base_link", "lidar")])
    with pytest.raises(CalibrationError, match="no message names the frame 'camera'"):
        tree.lookup("base_link", "camera")
    tree.update([transform("rig", "camera")])
    with pytest.raises(CalibrationError, match="camera hangs on 'rig', base_link on 'base_link', and nothing connects"):
        tree.lookup("base_link", "camera")
    with pytest.raises(CalibrationError, match="no frame_id"):
        tree.lookup("base_link", "")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (transform("base_link", "camera", wxyz=(0.0, 0.0, 0.0, 0.0)), "'base_link' <- 'camera': quaternion"),
        (transform("base_link", "camera", wxyz=(np.nan, 0.0, 0.0, 0.0)), "not a rotation"),
        (transform("base_link", "camera", (0.0, np.nan, 0.0)), "not finite"),
        (transform("camera", "camera"), "two different frame names"),
        (transform("", "camera"), "two different frame names"),
    ],
)
def test_a_bad_transform_is_refused_and_the_others_of_its_message_are_kept(bad, words):
    tree = TransformTree()
    with pytest.raises(CalibrationError, match=words):
        tree.update([bad, transform("base_link", "lidar", (1.0, 0, 0))])
    assert tree.lookup("base_link", "lidar")[0, 3] == 1.0
    with pytest.raises(CalibrationError):
        tree.lookup("base_link", "camera")


K = [500.0, 0, 319.5, 0, 500, 239.5, 0, 0, 1]


@pytest.mark.parametrize(("model", "given", "kept"), [
    ("plumb_bob", [-0.3, 0.1, 0, 0, 0, 0, 0, 0], 4),
    ("plumb_bob", [-0.03, 0.035, -0.0001, -0.0001, -0.012, 0, 0, 0], 5),
    ("plumb_bob", [0.1], 4),
    ("rational_polynomial", [-0.2, 0.05, 0.001, 0.001, 0.01], 5),
    ("rational_polynomial", [0.1] * 8 + [0.0] * 6, 8),
    ("rational_polynomial", [0.01] * 9, 12),
    ("rational_polynomial", [0.001] * 14, 14),
    ("equidistant", [-0.05, 0.01, 0, 0], 4),
    ("fisheye", [-0.05, 0.01, 0.002, 0.001, 0, 0], 4),
    ("my_lens", [0.0] * 7, 0),
])  # fmt: skip
def test_zeros_at_the_end_do_not_count_and_opencv_gets_a_number_that_it_takes(model, given, kept):
    found = camera_model(camera_info(640, 480, d=given, distortion_model=model))
    assert len(found.distortion) == kept and found.distortion_model == (model if kept else "")
    assert np.array_equal(found.distortion[: len(given)], given[:kept])
    straight = undistorted(np.zeros((48, 64, 3), np.uint8), found, {}) if kept else np.zeros((48, 64, 3))
    assert straight.shape == (48, 64, 3)


def test_rectified_images_are_seen_through_p_and_r():
    half = np.radians(4) / 2
    r = geometry.rotation_from_quaternion((np.cos(half), 0, np.sin(half), 0))
    p = [450.0, 0, 300, -45, 0, 450, 220, 0, 0, 0, 1, 0]
    info = camera_info(640, 480, d=[-0.35, 0.12, 0, 0, 0], distortion_model="plumb_bob", k=K, p=p, r=r.ravel())
    raw, rectified = camera_model(info), camera_model(info, rectified=True)
    assert raw.distortion_model == "plumb_bob" and raw.intrinsics[0, 0] == 500 and raw.camera_from_image is None
    assert rectified.distortion_model == ""
    assert rectified.intrinsics.tolist() == [[450, 0, 300], [0, 450, 220], [0, 0, 1]]
    # A point of the camera's frame falls where P R puts it.
    point = np.array([0.4, -0.3, 5.0])
    expected = np.reshape(p, (3, 4))[:, :3] @ r @ point
    in_image = geometry.apply(geometry.inverse(rectified.camera_from_image), point)
    np.testing.assert_allclose(geometry.project(in_image, rectified.intrinsics)[0], expected[:2] / expected[2])


def test_a_camera_info_without_k_holds_for_rectified_images():
    p = [450.0, 0, 300, 0, 0, 450, 220, 0, 0, 0, 1, 0]
    assert camera_model(camera_info(k=np.zeros(9), p=p)).intrinsics[0, 0] == 450
    with pytest.raises(CalibrationError, match="k is"):
        camera_model(camera_info(k=np.zeros(9), p=p, d=[0.1] * 5, distortion_model="plumb_bob"))
    with pytest.raises(CalibrationError, match="p is empty and d is not"):
        camera_model(camera_info(d=[0.1] * 5, distortion_model="plumb_bob"), rectified=True)
    with pytest.raises(CalibrationError, match=r"r is .*expected a rotation"):
        camera_model(camera_info(p=p, r=np.full(9, 0.5)), rectified=True)
    with pytest.raises(CalibrationError, match=r"r is .*expected a rotation"):
        camera_model(camera_info(p=p, r=np.diag([-1.0, 1, 1]).ravel()), rectified=True)  # a mirror


@pytest.mark.parametrize(("topic", "rectified"), [
    ("/left/image_rect", True), ("/left/image_rect_color", True), ("/left/image_rect/compressed", True),
    ("/left/image_rect_raw", True), ("/a/rectified/image", True), ("/rgb/color/rect/image/ffmpeg", True),
    ("/left/image_raw", False), ("/direct/image", False), ("/rectangle/image_raw", False),
    ("/rect_robot/front/image_raw/compressed", False), ("/rect/image_raw", False), ("/rect/front/image", False),
])  # fmt: skip
def test_a_topics_name_tells_whether_images_are_rectified(topic, rectified):
    assert is_rectified_topic(topic) is rectified


def test_binning_and_a_region_of_interest_are_applied():
    roi = Fields(x_offset=100, y_offset=50, width=400, height=300)
    model = camera_model(camera_info(640, 480, k=K, roi=roi, binning_x=2, binning_y=2))
    assert model.size == (200, 150)
    point = np.array([0.2, 0.1, 2.0])
    full = geometry.project(point, np.reshape(K, (3, 3)))[0]
    part = geometry.project(point, model.intrinsics)[0]
    np.testing.assert_allclose((part + 0.5) * 2 - 0.5 + [100, 50], full)


def test_tables_of_a_calibration_that_never_rests_do_not_fill_the_memory():
    tables: dict = {}
    for step in range(40):
        k = np.array([[1200 + step, 0, 80], [0, 1200, 45], [0, 0, 1.0]])
        last = CameraModel((160, 90), k, "plumb_bob", (-0.3, 0.1, 0.0, 0.0))
        undistorted(np.zeros((90, 160, 3), np.uint8), last, tables)
    assert len(tables) == TABLES_KEPT
    before = list(tables.values())[-1]
    undistorted(np.zeros((90, 160, 3), np.uint8), last, tables)
    assert list(tables.values())[-1] is before  # and what is in use stays


def test_a_mask_is_bent_like_its_image_and_ends_where_the_image_ends():
    model = CameraModel((640, 480), np.reshape(K, (3, 3)), "plumb_bob", (0.4, 0.0, 0.0, 0.0))
    mask = np.ones((480, 640), bool)
    mask[400:] = False
    straight = undistorted_mask(mask, model, {})
    assert straight[200:280, 280:360].all() and not straight[470:, 320].any()
    assert not straight[0, 0]  # the undistorted corner lies beyond what the camera took


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"binning_x": 1000}, "binning_x 1000 and binning_y 0 leave 0x36 of 64x36 pixels"),
     ({"width": 4_294_967_295}, "says 4294967295x36 pixels; it must name the size of the image")],
)  # fmt: skip
def test_a_size_that_no_image_has_is_refused(changes, words):
    with pytest.raises(CalibrationError, match=words):
        camera_model(camera_info(**changes))
