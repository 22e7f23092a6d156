"""Calibration from messages: numbers against drawn geometry, and an exact word for everything that lacks."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from ros_messages import Fields, camera_info, transform

from mapkd_core import geometry
from mapkd_ros.calibration import CalibrationError, CameraModel, TransformTree, camera_model, undistorted

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
        ({"d": [0.1, np.nan, 0, 0, 0], "distortion_model": "plumb_bob"}, "expected finite distortion"),
        ({"d": [0.1, 0, 0], "distortion_model": "plumb_bob"}, "with 3 coefficients; expected plumb_bob with 4 or 5"),
        ({"d": [0.1] * 5, "distortion_model": "my_lens"}, "distortion_model 'my_lens'"),
        ({"binning_x": 2}, "binning or a region of interest"),
        ({"roi": Fields(x_offset=3, y_offset=0, width=20, height=20)}, "binning or a region of interest"),
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
    tree.update([transform("camera", "rig")])
    with pytest.raises(CalibrationError, match="form a loop"):
        tree.lookup("base_link", "camera")


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
