"""Where each camera of a rig sits."""
from __future__ import annotations

import numpy as np
import pytest
from ros_messages import transform

from mapkd_core.cameras.calibration import CalibrationError, CameraModel
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.rig import CameraRig, RigCamera
from mapkd_core.cameras.transform_tree import TransformTree


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
