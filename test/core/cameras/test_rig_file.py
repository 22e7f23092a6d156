"""Rigs from names and from files: what each camera gets, and an exact word for what is wrong."""
from __future__ import annotations

import pytest

from mapkd_core.cameras.rig_file import regular_rig


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
