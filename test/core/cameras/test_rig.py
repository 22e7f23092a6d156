"""Cameras of a rig: topics of regular ones, and masks as they lie over the image that the network sees."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.cameras.calibration import CalibrationError, CameraModel, undistorted
from mapkd_core.cameras.rig import RigCamera, anchor_of, regular_rig

K = np.array([[60.0, 0, 79.5], [0, 60, 44.5], [0, 0, 1]])


def test_a_name_gives_the_topics_of_a_regular_rig():
    (camera,) = regular_rig(["Front/Left"]).cameras
    assert (camera.image, camera.camera_info) == (
        "camera/front/left/image_raw/compressed", "camera/front/left/camera_info"
    )  # fmt: skip
    assert regular_rig(["A"], "raw").cameras[0].image == "camera/a/image_raw"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["front-left"], "'front-left' would be read from camera/front-left/image.* or a rig file"),
        (["/front"], "camera//front"),
        (["1"], "camera/1/image_raw/compressed, which is no name of a ROS topic"),
        (["CAM FRONT"], "expected a word"),
        ([""], "camera name ''"),
        (["A", "B", "A"], "named twice: A"),
    ],
)
def test_names_that_make_no_topics_are_refused(names, words):
    with pytest.raises(ValueError, match=words):
        regular_rig(names)


def test_a_mask_is_bent_as_its_image_is():
    model = CameraModel((160, 90), K, "plumb_bob", (-0.2, 0.02, 0, 0))
    mask = np.ones((90, 160), bool)
    mask[70:] = False
    visible = RigCamera("a", "a", "", mask=mask).visible(model)
    painted = np.where(mask, 255, 0).astype(np.uint8)[..., None].repeat(3, 2)
    expected = undistorted(painted, model, {})[..., 0] > 127
    assert (visible != mask).any() and (visible == expected).mean() > 0.99


def test_a_mask_of_another_shape_is_refused():
    model = CameraModel((160, 90), K)
    with pytest.raises(CalibrationError, match="the mask has 60x80 pixels, images have 160x90"):
        RigCamera("a", "a", "", mask=np.ones((80, 60), bool)).visible(model)
    assert RigCamera("a", "a", "").visible(model) is None


def test_an_outline_may_reach_beyond_the_image_but_not_lie_there():
    model = CameraModel((160, 90), K)
    hood = np.array([[-20, 80], [180, 80], [180, 120], [-20, 120]], np.int32)
    visible = RigCamera("a", "a", "", mask=(hood,)).visible(model)
    assert visible.shape == (90, 160) and visible[:80].all() and not visible[80:].any()
    for away in ((0, 100), (200, 0), (-300, 0), (0, -200)):
        with pytest.raises(CalibrationError, match=r"lies outside of images of 160x90"):
            RigCamera("a", "a", "", mask=(hood, hood + np.int32(away))).visible(model)


def test_the_anchor_is_the_one_given_or_the_front_camera_or_the_first():
    assert anchor_of("B", regular_rig(["A", "B"])) == "B"
    assert anchor_of("", regular_rig(["A", "CAM_FRONT"])) == "CAM_FRONT"
    assert anchor_of("", regular_rig(["A", "B"])) == "A"
    with pytest.raises(ValueError, match="anchor is 'C'; expected one of the cameras A, B"):
        anchor_of("C", regular_rig(["A", "B"]))
