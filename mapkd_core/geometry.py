"""Rigid transforms, places along polylines, pinhole projection. Every 4x4 is named `dst_from_src`; metres, radians.

Quaternions are (w, x, y, z), as in nuScenes and Argoverse 2. ROS's messages and SciPy have the order x, y, z, w.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]


def rotation_from_quaternion(wxyz: ArrayLike) -> Matrix:
    """3x3 rotation of a quaternion (w, x, y, z), normalised first. Raises ValueError if it is zero or not finite."""
    from scipy.spatial.transform import Rotation  # here, because it takes a third of a second

    quaternion = np.asarray(wxyz, np.float64)
    norm = np.linalg.norm(quaternion)
    if quaternion.shape != (4,) or not np.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"quaternion {quaternion.tolist()} is not a rotation; expected finite w, x, y, z")
    return np.asarray(Rotation.from_quat(np.roll(quaternion, -1)).as_matrix())


def quaternion_from_rotation(rotation: ArrayLike) -> Matrix:
    """(w, x, y, z) with w >= 0 of a 3x3 rotation."""
    from scipy.spatial.transform import Rotation  # here, because it takes a third of a second

    xyzw = Rotation.from_matrix(np.asarray(rotation, np.float64)[:3, :3]).as_quat()
    return np.roll(xyzw if xyzw[3] >= 0 else -xyzw, 1)


def transform(translation_m: ArrayLike, wxyz: ArrayLike = (1, 0, 0, 0)) -> Matrix:
    """4x4 `parent_from_child` of a child's position and orientation in its parent."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion(wxyz)
    matrix[:3, 3] = np.asarray(translation_m, np.float64)
    return matrix


def transform_from_yaw(x_m: float, y_m: float, yaw: float, z_m: float = 0.0) -> Matrix:
    """4x4 `parent_from_child` of a child standing at (x, y, z), turned by `yaw` radians about z."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, x_m], [s, c, 0, y_m], [0, 0, 1, z_m], [0, 0, 0, 1]], np.float64)


def inverse(dst_from_src: ArrayLike) -> Matrix:
    """`src_from_dst` of a rigid `dst_from_src` (..., 4, 4)."""
    m = np.asarray(dst_from_src, np.float64)
    rotation = np.swapaxes(m[..., :3, :3], -1, -2)
    result = np.zeros_like(m)
    result[..., :3, :3] = rotation
    result[..., :3, 3] = -np.einsum("...ij,...j->...i", rotation, m[..., :3, 3])
    result[..., 3, 3] = 1
    return result


def apply(dst_from_src: ArrayLike, points: ArrayLike) -> Matrix:
    """Points (..., 3) of src expressed in dst."""
    m, p = np.asarray(dst_from_src, np.float64), np.asarray(points, np.float64)
    return p @ m[:3, :3].T + m[:3, 3]


def yaw_of(parent_from_child: ArrayLike) -> float:
    """Heading of the child's x axis in the parent's xy plane, radians."""
    m = np.asarray(parent_from_child, np.float64)
    return float(np.arctan2(m[1, 0], m[0, 0]))


def flattened(map_from_base: ArrayLike) -> Matrix:
    """The same position and heading without height, pitch and roll: the frame in which map labels are defined."""
    m = np.asarray(map_from_base, np.float64)
    return transform_from_yaw(m[0, 3], m[1, 3], yaw_of(m))


def distances_along(points: ArrayLike) -> Matrix:
    """Distance (N,) of every vertex of a polyline (N, D) from its first one, along the line."""
    vertices = np.asarray(points, np.float64)
    steps = vertices[1:] - vertices[:-1]
    along = np.zeros(len(vertices))
    if vertices.shape[1] == 2:  # bit for bit as norm() has it, in a tenth of the time for short lines
        steps *= steps
        lengths = np.sqrt(steps[:, 0] + steps[:, 1])
    else:
        lengths = np.linalg.norm(steps, axis=1)
    np.cumsum(lengths, out=along[1:])
    return along


def points_at(points: ArrayLike, distances: ArrayLike) -> Matrix:
    """Points (..., D) of a polyline (N, D) at distances (...) along it; its first or last vertex beyond the ends."""
    return interpolated(points, distances_along(points), distances)


def interpolated(points: ArrayLike, along: Matrix, distances: ArrayLike) -> Matrix:
    """`points_at` for a polyline (N, D) whose vertices' `distances_along` (N,) are known."""
    vertices, known, at = (np.asarray(values, np.float64) for values in (points, along, distances))
    result = np.empty((*at.shape, vertices.shape[1]))
    for axis, column in enumerate(vertices.T):
        result[..., axis] = np.interp(at, known, column)
    return result


def evenly_spaced(points: ArrayLike, count: int) -> Matrix:
    """(count, D) points of a polyline (N, D) at equal distances along it, both ends included."""
    return points_at(points, np.linspace(0.0, distances_along(points)[-1], count))


def project(points_camera: ArrayLike, intrinsics: ArrayLike) -> tuple[Matrix, Matrix]:
    """Pixels (..., 2) and depths (...) in metres of points (..., 3) in an optical frame (x right, y down, z ahead).

    Pixel (0, 0) is the centre of the first pixel. At depth <= 0 (behind the camera) the pixels mean nothing.
    """
    p = np.asarray(points_camera, np.float64)
    k = np.asarray(intrinsics, np.float64)
    depth = p[..., 2]
    safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
    image = p @ k.T
    return image[..., :2] / safe[..., None], depth


def scale_intrinsics(intrinsics: ArrayLike, scale_x: float, scale_y: float) -> Matrix:
    """Intrinsics (..., 3, 3) of the image resized by the given factors.

    The corner of the first pixel stays at the image's corner, so centres move: u' = (u + 0.5) * s - 0.5.
    """
    k = np.array(intrinsics, np.float64)
    k[..., 0, :] *= scale_x
    k[..., 1, :] *= scale_y
    k[..., 0, 2] += 0.5 * scale_x - 0.5
    k[..., 1, 2] += 0.5 * scale_y - 0.5
    return k
