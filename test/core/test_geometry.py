"""Rigid transforms and projection."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapkd_core import geometry

quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 1e-2)


def product(a, b):
    """Hamilton's product of two quaternions (w, x, y, z)."""
    return np.array([a[0] * b[0] - a[1:] @ b[1:], *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])


@given(quaternions)
def test_rotation_turns_vectors_as_the_quaternion_does_and_back(wxyz):
    rotation = geometry.rotation_from_quaternion(wxyz)
    unit = np.array(wxyz) / np.linalg.norm(wxyz)
    for axis, column in zip(np.eye(3), rotation.T, strict=True):
        turned = product(product(unit, np.array([0, *axis])), unit * [1, -1, -1, -1])
        assert np.allclose(column, turned[1:], atol=1e-12)
    again = geometry.quaternion_from_rotation(rotation)
    assert again[0] >= 0 and abs(again @ unit) == pytest.approx(1, abs=1e-9)


def test_a_quaternion_starts_with_w():
    to_the_left = geometry.rotation_from_quaternion([np.cos(np.pi / 4), 0, 0, np.sin(np.pi / 4)])
    assert np.allclose(to_the_left @ [1, 0, 0], [0, 1, 0])
    assert np.allclose(geometry.quaternion_from_rotation(to_the_left), [0.5**0.5, 0, 0, 0.5**0.5])


@given(quaternions, st.tuples(*[st.floats(-100, 100)] * 3))
def test_inverse_undoes(wxyz, translation):
    a_from_b = geometry.transform(translation, wxyz)
    assert np.allclose(geometry.inverse(a_from_b) @ a_from_b, np.eye(4), atol=1e-9)


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [1, 0, 0]])
def test_bad_quaternions_are_refused(bad):
    with pytest.raises(ValueError, match="not a rotation"):
        geometry.rotation_from_quaternion(bad)


def test_places_along_a_bent_line():
    line = [[0, 0, 1], [3, 0, 1], [3, 0, 1], [3, 4, 1.0]]
    assert geometry.distances_along(line).tolist() == [0, 3, 3, 7]
    assert geometry.points_at(line, [[1.5, 5.0]]).tolist() == [[[1.5, 0, 1], [3, 2, 1]]]
    assert geometry.points_at(line, [-1, 8]).tolist() == [[0, 0, 1], [3, 4, 1]], "no farther than the ends"
    assert geometry.evenly_spaced(line, 8)[:, :2].tolist() == [[0, 0], [1, 0], [2, 0], *[[3, k] for k in range(5)]]
    assert geometry.distances_along([[2.0, 3.0]]).tolist() == [0]


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


def test_a_quaternion_has_no_negative_w():
    for axis in np.eye(3):
        for degrees in (-179, -120, 10, 120, 179):
            half = np.radians(degrees) / 2
            for sign in (1, -1):
                wxyz = sign * np.array([np.cos(half), *(np.sin(half) * axis)])
                found = geometry.quaternion_from_rotation(geometry.rotation_from_quaternion(wxyz))
                assert found[0] >= 0 and found == pytest.approx(sign * wxyz)
