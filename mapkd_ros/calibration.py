"""Where cameras sit and how they see: what the nodes use of `mapkd_core.cameras`."""
from __future__ import annotations

from mapkd_core.cameras.calibration import (
    CalibrationError,
    CameraModel,
    camera_model,
    is_rectified_topic,
    undistorted,
    undistorted_mask,
)
from mapkd_core.cameras.transform_tree import TransformTree

__all__ = [
    "CalibrationError", "CameraModel", "TransformTree", "camera_model", "is_rectified_topic", "undistorted",
    "undistorted_mask",
]  # fmt: skip
