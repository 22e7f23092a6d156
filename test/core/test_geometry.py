"""Rigid transforms and projection."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mapkd_core import geometry

quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 1e-2)


@given(quaternions)
def test_rotation_agrees_with_scipy_and_back(wxyz):
    rotation = geometry.rotation_from_quaternion(wxyz)
    w, x, y, z = wxyz
    assert np.allclose(rotation, Rotation.from_quat([x, y, z, w]).as_matrix(), atol=1e-9)
    again = geometry.rotation_from_quaternion(geometry.quaternion_from_rotation(rotation))
    assert np.allclose(again, rotation, atol=1e-6)


@given(quaternions, st.tuples(*[st.floats(-100, 100)] * 3))
def test_inverse_undoes(wxyz, translation):
    a_from_b = geometry.transform(translation, wxyz)
    assert np.allclose(geometry.inverse(a_from_b) @ a_from_b, np.eye(4), atol=1e-9)


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [1, 0, 0]])
def test_bad_quaternions_are_refused(bad):
    with pytest.raises(ValueError, match="not a rotation"):
        geometry.rotation_from_quaternion(bad)


def test_yaw_turns_forward_to_left():
    map_from_base = geometry.transform_from_yaw(5, 7, np.pi / 2)
    assert np.allclose(geometry.apply(map_from_base, [1, 0, 0]), [5, 8, 0])
    assert geometry.yaw_of(map_from_base) == pytest.approx(np.pi / 2)


def test_flattened_keeps_heading_and_drops_tilt():
    tilted = geometry.transform([3, 4, 9], [0.9, 0.1, 0.05, 0.4])
    flat = geometry.flattened(tilted)
    assert geometry.yaw_of(flat) == pytest.approx(geometry.yaw_of(tilted))
    assert np.allclose(flat[:3, 3], [3, 4, 0]) and np.allclose(flat[2], [0, 0, 1, 0])


def test_projection_of_a_point_right_and_below():
    intrinsics = np.array([[100.0, 0, 50], [0, 200.0, 40], [0, 0, 1]])
    pixels, depth = geometry.project([[1.0, 0.5, 2.0]], intrinsics)
    assert np.allclose(pixels, [[100, 90]]) and np.allclose(depth, [2])


def test_scaled_intrinsics_project_to_the_same_place_in_the_image():
    intrinsics = np.array([[1266.0, 0, 816], [0, 1266.0, 491], [0, 0, 1]])
    points = np.random.default_rng(0).uniform([-5, -2, 4], [5, 2, 40], (50, 3))
    pixels, _ = geometry.project(points, intrinsics)
    small, _ = geometry.project(points, geometry.scale_intrinsics(intrinsics, 0.22, 128 / 900))
    assert np.allclose((pixels + 0.5) * [0.22, 128 / 900], small + 0.5)
