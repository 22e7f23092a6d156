"""Names that code outside of this package imports."""
from __future__ import annotations

from mapkd_core.cameras import calibration, transform_tree
from mapkd_ros.calibration import CameraModel, TransformTree, undistorted


def test_calibration_keeps_its_old_place():
    assert CameraModel is calibration.CameraModel and undistorted is calibration.undistorted
    assert TransformTree is transform_tree.TransformTree
