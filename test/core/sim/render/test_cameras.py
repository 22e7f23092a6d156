"""The images agree with the map: known edges lie where a pinhole camera puts them, to a pixel."""
from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from small_world import BASE_FROM_FRONT, HALF_ROAD_M, INTRINSICS, PLAIN, STOP_X_M, at, camera_pose, world

from mapkd_core import geometry
from mapkd_core.sim.render.renderer import Renderer
from mapkd_core.sim.world.conditions import Conditions

FULL, SMALL = (1600, 900), (352, 128)


@pytest.fixture(scope="module")
def plain_world():
    return world()


@pytest.fixture(scope="module")
def image(plain_world):
    """Gray values (900, 1600) of the view straight ahead."""
    return Renderer(plain_world).images(INTRINSICS[None], FULL, camera_pose()[None], [0.0])[0].astype(float).mean(-1)


def pixel_of(pose: np.ndarray, point: tuple[float, float, float], intrinsics: np.ndarray = INTRINSICS) -> np.ndarray:
    place = geometry.apply(geometry.inverse(pose), (*at(point[0], point[1]), point[2]))
    return geometry.project(place, intrinsics)[0]


def strongest_edge(profile: np.ndarray, around: float, reach: int) -> float:
    """Where a line of gray values changes most, in pixels, within `reach` of a place; half-way between two centres."""
    start = round(around) - reach
    steps = np.abs(np.diff(profile[start : start + 2 * reach + 1]))
    assert steps.max() > 6, "no edge at all"
    return start + int(np.argmax(steps)) + 0.5


def test_stop_line_and_curb_lie_where_the_map_says(plain_world, image):
    pose = camera_pose()
    for y in (-1.0, -4.0):
        for x in (STOP_X_M - 0.2, STOP_X_M + 0.2):
            u, v = pixel_of(pose, (x, y, 0))
            assert abs(strongest_edge(image[:, round(u)], v, 3) - v) <= 1.0
    for x in (11.0, 15.0, 25.0):
        row = round(pixel_of(pose, (x, -HALF_ROAD_M, 0))[1])
        # Along a row the ground lies at one distance, so the curb's foot crosses it in exactly one place.
        foot = pixel_of(pose, (1266.0 * 1.5 / (row - 449.5), -HALF_ROAD_M, 0))[0]
        steps = np.abs(np.diff(image[row, round(foot) - 4 : round(foot) + 5])) > 6
        first = round(foot) - 4 + int(np.argmax(steps)) + 0.5
        assert steps.any() and abs(first - foot) <= 1.5  # the step spreads over the pixel on the edge
    curb_top = plain_world.curb_m
    u, v = pixel_of(pose, (11.0, -HALF_ROAD_M, curb_top))
    assert abs(strongest_edge(image[:, round(u)], v, 6) - v) <= 1.5


def test_solid_line_is_centred_and_as_wide_as_painted(image):
    pose = camera_pose()
    for x in (7.0, 10.0):
        left, right = (pixel_of(pose, (x, -3.2 + side, 0)) for side in (0.065, -0.065))
        row = image[round(left[1]), int(left[0]) - 12 : int(right[0]) + 13]
        cover = np.clip((row - row[:6].mean()) / (row.max() - row[:6].mean()), 0, 1)
        pixels = np.arange(len(row)) + int(left[0]) - 12
        assert abs((cover * pixels).sum() / cover.sum() - (left[0] + right[0]) / 2) < 1.0
        assert cover.sum() == pytest.approx(right[0] - left[0], rel=0.15)


def test_crossing_paint_stays_within_its_polygon_and_the_tilted_camera_agrees():
    fresh = dataclasses.replace(PLAIN, slope=0.0)
    scene = world(fresh, seed=5)
    pose = geometry.transform((*at(2.0, 1.0), 0.1), geometry.quaternion_from_rotation(_rotation(0.1, 0.03, -0.02)))
    pose = pose @ BASE_FROM_FRONT
    renderer = Renderer(scene)
    image = renderer.images(INTRINSICS[None], FULL, pose[None], [0.0])[0].astype(float).mean(-1)
    bright = np.argwhere(image > 165)[:, ::-1]
    rays = np.column_stack([bright, np.ones(len(bright))]) @ np.linalg.inv(INTRINSICS).T
    ahead = rays @ pose[:3, :3].T
    ahead = ahead[ahead[:, 2] < -0.02]
    ground = pose[:2, 3] + ahead[:, :2] * (-pose[2, 3] / ahead[:, 2])[:, None] - at(0, 0)
    paint = ground[(np.abs(ground[:, 1]) < 5.9) & (ground[:, 0] > 13.5) & (ground[:, 0] < 24)]
    outside_lines = paint[np.min(np.abs(paint[:, 1:] - [-3.2, 3.2]), axis=1) > 0.3]
    assert len(outside_lines) > 200
    assert outside_lines[:, 0].min() > 16.0 - 0.12 and outside_lines[:, 0].max() < 20.0 + 0.12


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    def turn(axis: int, angle: float) -> np.ndarray:
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        m = np.eye(3)
        m[i, i] = m[j, j] = np.cos(angle)
        m[i, j], m[j, i] = -np.sin(angle), np.sin(angle)
        return m

    return turn(2, yaw) @ turn(1, pitch) @ turn(0, roll)


def test_small_image_is_the_large_one_reduced(plain_world):
    pose, renderer = camera_pose(x=4.0), Renderer(plain_world)
    large = renderer.images(INTRINSICS[None], FULL, pose[None], [0.0])[0].astype(np.float32)
    intrinsics = geometry.scale_intrinsics(INTRINSICS, SMALL[0] / FULL[0], SMALL[1] / FULL[1])
    small = renderer.images(intrinsics[None], SMALL, pose[None], [0.0])[0].astype(np.float32)
    reduced = cv2.resize(large, SMALL, interpolation=cv2.INTER_AREA)
    assert np.abs(small - reduced).mean() < 2.0
    road = np.s_[75:, :]
    assert np.corrcoef(small[road].ravel(), reduced[road].ravel())[0, 1] > 0.98


def test_distant_dashes_do_not_flicker_when_the_camera_moves_a_little(plain_world):
    intrinsics = geometry.scale_intrinsics(INTRINSICS, SMALL[0] / FULL[0], SMALL[1] / FULL[1])
    poses = np.stack([camera_pose(x=0.05 * step) for step in range(12)])
    images = Renderer(plain_world).images(np.repeat(intrinsics[None], 12, 0), SMALL, poses, np.zeros(12))
    horizon = round(intrinsics[1, 2])
    far = images[:, horizon + 1 : horizon + 12].astype(float).mean(-1)  # ground beyond about 17 m
    change = np.abs(np.diff(far, axis=0))
    assert far.std() > 3  # there is something that could flicker
    assert change.max() < 45 and change.mean() < 1.2
    # Brightness of the distant road as a whole stays: lines fade, they do not come and go.
    assert np.ptp(far.mean((1, 2))) < 1.5


def test_same_arguments_give_the_same_bytes_on_any_number_of_threads():
    conditions = Conditions(noise=0.02, slope=0.02, motion_blur_s=0.01)
    pose, threads = camera_pose(), torch.get_num_threads()
    intrinsics = geometry.scale_intrinsics(INTRINSICS, 0.1, 0.1)[None]
    try:
        images = []
        for count in (1, 2):
            torch.set_num_threads(count)
            renderer = Renderer(world(conditions, bare=False, cell_m=0.2))
            after = camera_pose(x=0.2)[None]
            images.append(
                renderer.images(intrinsics, (160, 90), pose[None], [0.5], map_from_camera_after=after)
            )
        stranger = Renderer(world(conditions, bare=False, seed=4, cell_m=0.2))
        other = stranger.images(intrinsics, (160, 90), pose[None], [0.5])
    finally:
        torch.set_num_threads(threads)
    assert images[0].tobytes() == images[1].tobytes()
    assert (images[0] != other).mean() > 0.3


@pytest.mark.parametrize("weather", ["clear", "overcast", "wet", "night"])
def test_every_weather_gives_a_plausible_image(weather):
    conditions = Conditions(weather=weather, slope=0.03, motion_blur_s=0.01)
    scene = world(conditions, bare=False, cell_m=0.2)
    base = geometry.transform((*at(0, -1.6), float(scene.height_m(at(0, -1.6)))))
    pose = (base @ BASE_FROM_FRONT)[None]
    intrinsics = geometry.scale_intrinsics(INTRINSICS, 0.1, 0.1)[None]
    image = Renderer(scene).images(
        intrinsics, (160, 90), pose, [0.0], map_from_base=base[None], map_from_camera_after=pose
    )[0]
    assert image.shape == (90, 160, 3) and image.dtype == np.uint8
    low, high = (15, 120) if weather == "night" else (70, 170)
    assert low < image.mean() < high and image.std() > 15
    dark = Renderer(scene).images(intrinsics, (160, 90), pose, [0.0])[0]
    if weather == "night":  # headlights light the road ahead
        assert image[60:].mean() > dark[60:].mean() + 10


def test_motion_blur_smears_along_the_motion(plain_world):
    scene = dataclasses.replace(plain_world, conditions=dataclasses.replace(PLAIN, motion_blur_s=0.02))
    intrinsics = geometry.scale_intrinsics(INTRINSICS, 0.25, 0.25)
    pose = camera_pose()
    still, turned = (
        Renderer(scene).images(intrinsics[None], (400, 225), pose[None], [0.0], map_from_camera_after=end[None])[0]
        for end in (pose, camera_pose(yaw=0.03))
    )
    # Turning by 0.03 rad moves the image sideways by 9.5 px: an edge's step spreads over about as many.
    row, around = (round(value) for value in pixel_of(pose, (7.0, -3.2, 0), intrinsics)[::-1])
    steps = [np.abs(np.diff(p[row, around - 15 : around + 15].astype(float).mean(-1))).max() for p in (still, turned)]
    assert steps[0] > 2 * steps[1] > 0
    sides = [p[row, around - 15 : around + 15].astype(float).mean() for p in (still, turned)]
    assert abs(sides[0] - sides[1]) < 0.1 * sides[0]  # light is moved, not lost


def test_shapes_that_do_not_fit_are_refused(plain_world):
    renderer = Renderer(plain_world)
    with pytest.raises(ValueError, match="map_from_camera has shape"):
        renderer.images(INTRINSICS[None], SMALL, np.eye(4), [0.0])
    with pytest.raises(ValueError, match="intrinsics"):
        renderer.images(INTRINSICS, SMALL, np.eye(4)[None], [0.0])
