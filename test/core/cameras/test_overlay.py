"""The map lies on the paint and the horizon where the ground ends, if and only if the calibration is right."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.overlay import HORIZON_RGB, horizon, overlay
from mapkd_core.draw import CLASS_COLORS
from mapkd_core.geometry import apply, inverse, project
from mapkd_core.types import MapElement

K = np.array([[600.0, 0, 399.5], [0, 600, 224.5], [0, 0, 1]])
SIZE = (800, 450)
LINE = MapElement("divider", np.array([[5, 1.0], [40, 1.0]], np.float32), 1.0)


def mounting(yaw_deg: float = 0, down_deg: float = 3, roll_deg: float = 0) -> np.ndarray:
    base = np.eye(4)
    base[:3, :3] = Rotation.from_euler("ZYX", [yaw_deg, down_deg, roll_deg], degrees=True).as_matrix()
    base[:3, :3] = base[:3, :3] @ [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    base[:3, 3] = 1.5, 0, 1.6
    return base


@pytest.mark.parametrize("yaw_deg", [0, 90, 175])
def test_the_horizon_is_where_far_ground_comes_to_lie(yaw_deg):
    base_from_camera = mounting(yaw_deg, down_deg=4, roll_deg=2)
    line = horizon(K, base_from_camera)
    far = 1e7 * np.array([np.cos(np.radians(yaw_deg + 10)), np.sin(np.radians(yaw_deg + 10)), 0])
    pixel, _ = project(apply(inverse(base_from_camera), far), K)
    assert np.linalg.norm(line - pixel, axis=1).min() < 6
    slope = np.diff(line[:, 1]) / np.diff(line[:, 0])
    np.testing.assert_allclose(slope, slope[0], atol=1e-6)  # straight, and rolled
    assert abs(np.degrees(np.arctan(slope[0]))) == pytest.approx(2, abs=0.01)


def test_a_degree_of_pitch_is_seen_against_the_image():
    right, wrong = horizon(K, mounting(down_deg=3)), horizon(K, mounting(down_deg=4))
    assert right[:, 1].mean() - wrong[:, 1].mean() == pytest.approx(600 * np.radians(1), rel=0.02)


def test_a_camera_that_looks_down_has_none():
    assert len(horizon(K, mounting(down_deg=89))) == 0


@pytest.mark.parametrize("form", ["pixels", "jpeg"])
def test_the_drawing_has_the_maps_colour_on_its_line_and_the_width_that_is_asked_for(form):
    pixels = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    source = pixels if form == "pixels" else memoryview(cv2.imencode(".jpg", pixels)[1].tobytes())
    drawn = overlay(source, CameraModel(SIZE, K), mounting(), [LINE], 400, {})
    assert drawn.shape == (225, 400, 3)
    at, _ = project(apply(inverse(mounting()), [9.0, 1.0, 0.0]), K)
    x, y = ((at + 0.5) / 2 - 0.5).round().astype(int)
    assert np.abs(drawn[y, x].astype(int) - CLASS_COLORS["divider"]).max() < 40
    line = horizon(K, mounting())
    middle = round((line[np.abs(line[:, 0] - 400).argmin(), 1] + 0.5) / 2 - 0.5)
    assert (np.abs(drawn[middle - 1 : middle + 2, 200].astype(int) - HORIZON_RGB).max(1) < 90).any()
    assert overlay(source, CameraModel(SIZE, K), mounting(), [], 4000, {}).shape == (450, 800, 3)


def test_a_distorted_image_is_undistorted_before():
    model = CameraModel(SIZE, K, "plumb_bob", (-0.3, 0.1, 0.0, 0.0, 0.0))
    tables: dict = {}
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[:60] = 255  # a straight edge in the raw image, and none afterwards
    drawn = overlay(pixels, model, mounting(), [], 800, tables)
    edge = (drawn[:, :, 1] > 128).sum(0)
    assert edge[400] != edge[20] and len(tables) == 1
