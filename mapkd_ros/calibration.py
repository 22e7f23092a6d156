"""Calibration and transforms of `mapkd_core.cameras` under the name that nodes of others import them by."""
from __future__ import annotations

from mapkd_core.cameras.calibration import CalibrationError, CameraModel, camera_model, undistorted
from mapkd_core.cameras.transform_tree import TransformTree

__all__ = ["CalibrationError", "CameraModel", "TransformTree", "camera_model", "undistorted"]
