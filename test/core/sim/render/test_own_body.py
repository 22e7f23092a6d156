"""The own vehicle hides what lies behind it, where its geometry says, and nothing else of the image."""
from __future__ import annotations

import numpy as np
import pytest
from small_world import BASE_FROM_FRONT, INTRINSICS, at, camera_pose, world

from mapkd_core.geometry import apply, inverse, project, scale_intrinsics, transform, transform_from_yaw
from mapkd_core.sim.render import cameras, own_body
from mapkd_core.sim.render.own_body import OwnBody, Part
from mapkd_core.sim.render.renderer import Renderer

SIZE = (352, 128)
K = scale_intrinsics(INTRINSICS, SIZE[0] / 1600, SIZE[1] / 900)
BONNET = OwnBody((Part((2.6, 0.3, 0.9), (1.2, 0.8, 0.3)),))


@pytest.fixture(scope="module")
def rendered():
    """(128, 352, 3) without and with the bonnet."""
    base = transform((*at(0, 0), 0.0))
    return [
        Renderer(scene, own_body=body).images(K[None], SIZE, camera_pose()[None], [0.0], map_from_base=base[None])[0]
        for scene in [world()]
        for body in (None, BONNET)
    ]


def test_the_body_hides_what_is_behind_it_and_nothing_else(rendered):
    without, with_body = rendered
    visible = BONNET.visible(K[None], BASE_FROM_FRONT[None], SIZE)[0]
    assert 0.02 < 1 - visible.mean() < 0.3
    np.testing.assert_array_equal(with_body[visible], without[visible])
    assert (with_body[~visible] != without[~visible]).any(-1).mean() > 0.99


def test_its_outline_is_where_a_pinhole_puts_it():
    visible = BONNET.visible(K[None], BASE_FROM_FRONT[None], SIZE)[0]
    angles = np.linspace(0, np.pi, 40)
    around = np.stack(np.meshgrid(angles, 2 * angles), -1).reshape(-1, 2)
    sphere = np.stack([np.sin(around[:, 0]) * np.cos(around[:, 1]), np.sin(around[:, 0]) * np.sin(around[:, 1]),
                       np.cos(around[:, 0])], -1)  # fmt: skip
    surface = np.array(BONNET.parts[0].centre_m) + np.array(BONNET.parts[0].half_m) * sphere
    pixels = project(apply(inverse(BASE_FROM_FRONT), surface), K)[0]
    inside = np.round(pixels[(pixels >= 0).all(1) & (pixels <= np.array(SIZE) - 1).all(1)]).astype(int)
    assert len(inside) > 100 and visible[inside[:, 1], inside[:, 0]].mean() < 0.02  # to a pixel's rounding
    top = pixels[:, 1].min()
    assert visible[: int(top) - 1].all() and abs(np.nonzero(~visible.all(1))[0][0] - top) <= 1.5


def test_a_camera_inside_a_part_sees_through_it():
    body = OwnBody((Part((0, 0, 1.5), (1, 1, 1)), *BONNET.parts))
    np.testing.assert_array_equal(
        body.visible(K[None], BASE_FROM_FRONT[None], SIZE), BONNET.visible(K[None], BASE_FROM_FRONT[None], SIZE)
    )


def test_bodies_at_random_follow_the_generator():
    assert OwnBody.sample(np.random.default_rng(3)) == OwnBody.sample(np.random.default_rng(3))
    assert OwnBody.sample(np.random.default_rng(3)) != OwnBody.sample(np.random.default_rng(4))


def test_what_a_rig_sees_of_its_vehicle_is_found_once_on_a_drive(monkeypatch):
    casts = []
    monkeypatch.setattr(own_body, "_first_hit", lambda *args, cast=own_body._first_hit: casts.append(1) or cast(*args))
    own_body._cover.cache_clear()
    drawn = Renderer(world(), own_body=BONNET)
    for x, yaw in ((0.0, 0.0), (7.3, 0.4), (19.1, -0.7)):
        base = transform_from_yaw(*at(x, 0), yaw)
        drawn.images(K[None], SIZE, (base @ BASE_FROM_FRONT)[None], [0.0], map_from_base=base[None])
    assert len(casts) == len(cameras.SUBPIXELS)
    BONNET.visible(K[None], (transform((0.0, 0.0, 0.01)) @ BASE_FROM_FRONT)[None], SIZE)
    assert len(casts) == 2 * len(cameras.SUBPIXELS)
