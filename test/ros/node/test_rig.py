"""Which cameras the parameters ask for, and where each sits."""
from __future__ import annotations

import numpy as np
import pytest
from ros_messages import transform

from mapkd_core.cameras.calibration import CalibrationError, CameraModel
from mapkd_core.cameras.rig import CameraRig, RigCamera, regular_rig
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_ros.node.rig import Mountings, anchor_of, rig_of
from mapkd_ros.node.student_parameters import PARAMETERS

DEFAULTS = {row.name: row.default for row in PARAMETERS}


def test_without_a_file_cameras_are_regular():
    told: list[str] = []
    values = {**DEFAULTS, "cameras": ["LEFT", "RIGHT"], "image_transport": "raw", "rectified": "true"}
    rig = rig_of(values, DEFAULTS, told.append)
    assert [(c.name, c.image, c.rectified) for c in rig.cameras] == [
        ("LEFT", "camera/left/image_raw", "true"), ("RIGHT", "camera/right/image_raw", "true")
    ]  # fmt: skip
    assert not told


def test_a_file_says_it_all_and_what_it_replaces_is_told(tmp_path):
    (tmp_path / "rig.yaml").write_text("image: /{name}/image\ncameras: [a, b]")
    told: list[str] = []
    values = {**DEFAULTS, "rig": str(tmp_path / "rig.yaml")}
    assert rig_of(values, DEFAULTS, told.append).names == ("a", "b") and not told
    rig_of({**values, "cameras": ["a"], "rectified": "true"}, DEFAULTS, told.append)
    assert told == [f"not used, as {tmp_path}/rig.yaml says it of each camera: cameras, rectified"]
    with pytest.raises(ValueError, match="cannot be read"):
        rig_of({**values, "rig": str(tmp_path / "none.yaml")}, DEFAULTS, told.append)


def test_the_anchor_is_the_one_given_or_the_front_camera_or_the_first():
    assert anchor_of("B", regular_rig(["A", "B"])) == "B"
    assert anchor_of("", regular_rig(["A", "CAM_FRONT"])) == "CAM_FRONT"
    assert anchor_of("", regular_rig(["A", "B"])) == "A"
    with pytest.raises(ValueError, match="anchor is 'C'; expected one of the cameras A, B"):
        anchor_of("C", regular_rig(["A", "B"]))


def test_a_mounting_is_that_of_the_file_or_of_transforms_in_the_axes_of_the_image():
    fixed, turned = np.eye(4), np.diag([1.0, -1, -1, 1])
    fixed[:3, 3] = 1, 2, 3
    tree = TransformTree()
    mountings = Mountings(
        CameraRig((RigCamera("A", "a", "i", base_from_camera=fixed), RigCamera("B", "b", "j"))), tree, "base_link"
    )
    model = CameraModel((4, 3), np.eye(3), camera_from_image=turned)
    np.testing.assert_array_equal(mountings.base_from_image("A", model), fixed @ turned)
    assert mountings.known("A") and not mountings.known("B")
    mountings.frames["B"] = "b_optical"
    with pytest.raises(CalibrationError, match="nothing has come on /tf_static"):
        mountings.base_from_image("B", model)
    tree.update([transform("base_link", "b_optical", (0, 0, 2))])
    assert mountings.base_from_camera("B")[2, 3] == 2
