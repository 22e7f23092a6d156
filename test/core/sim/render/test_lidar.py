"""LiDAR points lie on the ground, on the faces of solids, and behind nothing that a camera sees in front."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_world import BASE_FROM_FRONT, INTRINSICS, PLAIN, at, camera_pose, world

from mapkd_core import geometry
from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.lidar import HDL32E, sweep
from mapkd_core.sim.render.renderer import Renderer
from mapkd_core.sim.render.scene import Scene
from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.solids import Path, SolidsBuilder

QUIET = dataclasses.replace(HDL32E, range_noise_m=0.0, dropout=0.0)
LIDAR_Z = 1.84


def lidar_pose(x: float = 0.0, y: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """`map_from_lidar`: x right, y forward, as nuScenes mounts it, pitched by `tilt`."""
    turn = geometry.rotation_from_quaternion((np.cos(-np.pi / 4), 0, 0, np.sin(-np.pi / 4)))
    c, s = np.cos(tilt), np.sin(tilt)
    pose = np.eye(4)
    pose[:3, :3] = turn @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    pose[:3, 3] = (*at(x, y), LIDAR_Z)
    return pose


def in_world(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    return geometry.apply(pose, points[:, :3]) - (*at(0, 0), 0)


def with_solids(builder: SolidsBuilder):
    return dataclasses.replace(world(), solids=builder.build())


@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_ground_points_lie_on_road_curb_or_sidewalk(tilt):
    scene, pose = world(), lidar_pose(tilt=tilt)
    points = sweep(scene, torch.device("cpu"), pose, 0.0, QUIET)
    xyz = in_world(points, pose)
    assert len(points) > 10_000
    road = np.abs(xyz[:, 1]) < 5.98
    assert np.abs(xyz[road, 2]).max() < 2e-3
    walk = np.abs(xyz[:, 1]) > 6.02
    np.testing.assert_allclose(xyz[walk, 2], scene.curb_m, atol=2e-3)
    curb = xyz[~road & ~walk]
    assert len(curb) > 20 and curb[:, 2].min() >= -2e-3 and curb[:, 2].max() <= scene.curb_m + 2e-3
    assert set(np.unique(points[:, 4])) <= set(range(32))


def test_slopes_are_followed():
    scene, pose = world(dataclasses.replace(PLAIN, slope=0.05)), lidar_pose()
    pose[2, 3] += float(scene.height_m(at(0, 0)))
    xyz = in_world(sweep(scene, torch.device("cpu"), pose, 0.0, QUIET), pose)
    road = np.abs(xyz[:, 1]) < 5.98
    error = xyz[road, 2] - scene.height_m(at(0, 0) + xyz[road, :2])
    assert np.ptp(xyz[road, 2]) > 0.2
    assert np.abs(error).max() < 0.01


def test_points_on_a_box_lie_on_its_faces_and_hide_what_is_behind():
    builder = SolidsBuilder()
    builder.add(kinds.BOX, (10.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.5, 0.5, 0.5), yaw=0.4)
    pose = lidar_pose()
    xyz = in_world(sweep(with_solids(builder), torch.device("cpu"), pose, 0.0, QUIET), pose)
    c, s = np.cos(0.4), np.sin(0.4)
    offset = xyz - (10.0, 1.0, 1.0)
    local = np.column_stack([c * offset[:, 0] + s * offset[:, 1], c * offset[:, 1] - s * offset[:, 0], offset[:, 2]])
    half = np.array([2.0, 1.0, 1.0])
    box = (np.abs(local) < half + 1e-3).all(1) & (xyz[:, 2] > 0.02)
    assert box.sum() > 100
    depth_inside = (half - np.abs(local[box])).min(1)
    assert np.abs(depth_inside).max() < 2e-3
    behind = xyz[(np.hypot(*xyz[:, :2].T) > 13) & (np.abs(np.arctan2(xyz[:, 1], xyz[:, 0]) - 0.1) < 0.05)]
    assert len(behind) == 0 or (behind[:, 2].max() < 0.3 and np.hypot(*behind[:, :2].T).min() > 20)


def test_cylinder_and_ellipsoid_radii():
    builder = SolidsBuilder()
    builder.add(kinds.CYLINDER, (8.0, 0.0, 1.5), (0.5, 0.5, 1.5), (0.5, 0.5, 0.5))
    builder.add(kinds.ELLIPSOID, (0.0, 4.0, 1.8), (0.25, 0.25, 0.4), (0.5, 0.5, 0.5))
    pose = lidar_pose()
    xyz = in_world(sweep(with_solids(builder), torch.device("cpu"), pose, 0.0, QUIET), pose)
    pole = xyz[(np.hypot(xyz[:, 0] - 8, xyz[:, 1]) < 0.6) & (xyz[:, 2] > 0.05)]
    np.testing.assert_allclose(np.hypot(pole[:, 0] - 8, pole[:, 1]), 0.5, atol=2e-3)
    ball = xyz[(np.hypot(xyz[:, 0], xyz[:, 1] - 4) < 0.5) & (xyz[:, 2] > 1.0)]
    form = (ball[:, 0] / 0.25) ** 2 + ((ball[:, 1] - 4) / 0.25) ** 2 + ((ball[:, 2] - 1.8) / 0.4) ** 2
    assert len(pole) > 50 and len(ball) > 20
    np.testing.assert_allclose(form, 1, atol=0.02)


def test_camera_and_lidar_agree_on_what_is_in_front():
    scene = world(bare=False)
    pose = lidar_pose()
    device = torch.device("cpu")
    xyz = geometry.apply(pose, sweep(scene, device, pose, 0.0, QUIET)[:, :3])
    camera = pose.copy()  # at the LiDAR's own place, so that both see exactly the same surfaces
    camera[:3, :3] = camera_pose()[:3, :3]
    uv, depth = geometry.project(geometry.apply(geometry.inverse(camera), xyz), INTRINSICS)
    seen = (depth > 1) & (uv >= 0).all(1) & (uv[:, 0] <= 1599) & (uv[:, 1] <= 899)
    local = camera.copy()
    local[:2, 3] -= scene.centre_m
    views = cameras.Views(INTRINSICS[None], local[None], (1600, 900), np.zeros(1))
    image = Scene(scene, device, views, None)
    pixels = torch.from_numpy((np.round(uv[seen, 1]) * 1600 + np.round(uv[seen, 0])).astype(np.int64)).unique()
    at_pixel = np.full(1600 * 900, np.nan)
    at_pixel[pixels.numpy()] = image.light(pixels, ((0.0, 0.0),))[2].numpy()
    found = at_pixel[(np.round(uv[seen, 1]) * 1600 + np.round(uv[seen, 0])).astype(int)]
    same = np.abs(found - depth[seen]) < 0.02 * depth[seen] + 0.05
    assert seen.sum() > 2000
    assert same.mean() > 0.97  # the rest are silhouettes, half a pixel apart


def test_paint_shows_in_the_intensity():
    scene, pose = world(), lidar_pose(y=-1.6)
    points = sweep(scene, torch.device("cpu"), pose, 0.0, QUIET)
    xyz = in_world(points, pose)
    near = np.abs(xyz[:, 0]) < 12
    on_line = near & (np.abs(xyz[:, 1] + 3.2) < 0.04)
    beside = near & (np.abs(xyz[:, 1] + 2.4) < 0.3)
    assert on_line.sum() > 20 and beside.sum() > 50
    assert np.median(points[on_line, 3]) > 4 * np.median(points[beside, 3])
    assert points[:, 3].min() >= 0 and points[:, 3].max() <= 255


def test_points_are_put_into_the_frame_at_the_end_of_the_turn():
    builder = SolidsBuilder()
    builder.add(kinds.BOX, (12.0, 0.0, 1.0), (0.5, 3.0, 1.5), (0.5, 0.5, 0.5))
    scene = with_solids(builder)

    def moving(time_s: float) -> np.ndarray:
        return lidar_pose(x=20.0 * time_s)

    points = sweep(scene, torch.device("cpu"), moving, 0.0, QUIET)
    xyz = in_world(points, moving(0.0))
    wall = xyz[(np.abs(xyz[:, 1]) < 2.9) & (xyz[:, 2] > 0.1) & (xyz[:, 0] > 5)]
    assert len(wall) > 50
    np.testing.assert_allclose(wall[:, 0], 11.5, atol=2e-3)


def test_moving_solids_are_where_they_are_at_each_firing():
    builder = SolidsBuilder()
    builder.paths.append(Path(np.array([[-50.0, 4.0], [50.0, 4.0]]), 20.0, 50.0))
    builder.add(kinds.BOX, (0, 0, 1.0), (2.0, 0.9, 1.0), (0.5, 0.5, 0.5), mover=0)
    scene, pose = with_solids(builder), lidar_pose()
    centres, yaw, present = scene.poses(np.array([0.0, 0.1, 10.0]))
    np.testing.assert_allclose(centres[:2, 0, 0], [0.0, 2.0], atol=1e-4)
    assert present[:, 0].tolist() == [True, True, False] and abs(yaw[0, 0]) < 1e-6
    times = QUIET.times_s(0.0)
    points = sweep(scene, torch.device("cpu"), pose, 0.0, QUIET)
    xyz = in_world(points, pose)
    side = xyz[(np.abs(xyz[:, 1] - 3.1) < 0.01) & (xyz[:, 2] > 0.1)]
    assert len(side) > 50
    # It turns clockwise from the left: the left side is met first and last, half a turn of 20 m/s apart.
    turn = np.mod(np.pi - np.arctan2(side[:, 0], -side[:, 1]), 2 * np.pi) / (2 * np.pi)
    fired = times[np.clip((turn * len(times)).astype(int), 0, len(times) - 1)]
    assert np.abs(side[:, 0] - 20.0 * fired).max() < 2.0 + 0.02


def test_faults_and_determinism():
    scene, pose = world(), lidar_pose()
    renderer = Renderer(scene)
    first, again, later = renderer.lidar(pose, 1.0), renderer.lidar(pose, 1.0), renderer.lidar(pose, 1.05)
    assert first.tobytes() == again.tobytes() and first.tobytes() != later.tobytes()
    clean = sweep(scene, torch.device("cpu"), pose, 1.0, QUIET)
    assert 0.8 * len(clean) < len(first) < len(clean)
    xyz = in_world(first, pose)
    spread = xyz[np.abs(xyz[:, 1]) < 5.5, 2].std()
    assert 0.001 < spread < 0.02


@pytest.mark.parametrize("caster", ["auto", "tensors"])
def test_a_wall_hides_what_is_behind_it_in_the_last_columns_of_a_turn_too(caster):
    builder = SolidsBuilder()
    builder.add(kinds.BOX, (0.0, 8.0, 2.0), (6.0, 0.5, 4.0), (0.5, 0.5, 0.5))
    pose = lidar_pose()  # a turn starts and ends to the left, along y
    xyz = in_world(Renderer(with_solids(builder), ray_caster=caster).lidar(pose, 0.0, QUIET), pose)
    behind = xyz[(np.abs(xyz[:, 0]) < 0.6 * xyz[:, 1]) & (xyz[:, 1] > 7)]
    assert len(behind) > 500 and behind[:, 1].max() < 8.6


def test_camera_base_constant_matches_this_file():
    np.testing.assert_allclose(camera_pose()[:3, 3] - (*at(0, 0), 0), BASE_FROM_FRONT[:3, 3])
