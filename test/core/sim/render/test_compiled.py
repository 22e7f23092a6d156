"""The compiled ray caster shows what the tensors show: the same world, light, noise and blur, to rounding."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_world import BASE_FROM_FRONT, INTRINSICS, at, camera_pose, world

from mapkd_core import geometry
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.render.lidar import HDL32E, tensor_returns
from mapkd_core.sim.render.own_body import OwnBody
from mapkd_core.sim.render.raycast import FAR_M
from mapkd_core.sim.render.renderer import Renderer
from mapkd_core.sim.world.conditions import WEATHERS, Conditions

pytest.importorskip("numba")
SIZE = (160, 90)


def both(scene, intrinsics=INTRINSICS, size=SIZE, own_body=None) -> list[np.ndarray]:
    """The view ahead, with headlights and motion blur, by either ray caster."""
    base = geometry.transform((*at(0, -1.6), float(scene.height_m(at(0, -1.6)))))
    pose = base @ BASE_FROM_FRONT
    after = geometry.transform((0.2, 0.02, 0.0)) @ pose
    scaled = geometry.scale_intrinsics(intrinsics, size[0] / 1600, size[1] / 900)
    return [
        Renderer(scene, ray_caster=caster, own_body=own_body).images(
            scaled[None], size, pose[None], [0.5], map_from_base=base[None], map_from_camera_after=after[None]
        )
        for caster in ("compiled", "tensors")
    ]


def assert_same(one: np.ndarray, two: np.ndarray) -> None:
    """Equal but for the last bit of a code here and there, and for leaves whose hash falls the other way."""
    off = np.abs(one.astype(int) - two)
    assert off.mean() < 0.02 and (off > 2).mean() < 5e-4, (off.mean(), (off > 2).mean(), off.max())


@pytest.mark.parametrize("slope", [0.0, 0.04])
@pytest.mark.parametrize("weather", WEATHERS)
def test_every_weather_looks_the_same(weather, slope):
    conditions = Conditions(weather=weather, slope=slope, motion_blur_s=0.01, noise=0.02, paint_wear=0.5)
    assert_same(*both(world(conditions, bare=False, cell_m=0.2)))


@pytest.mark.parametrize("palette", ["brick", "tropical"])
def test_every_palette_looks_the_same(palette):
    assert_same(*both(world(Conditions(palette=palette), bare=False, seed=5, cell_m=0.2)))


def test_odd_sizes_long_rows_and_bare_worlds_look_the_same():
    scene = world()
    for size in ((33, 17), (1300, 24)):
        assert_same(*both(scene, size=size))


def test_own_bodywork_looks_the_same():
    body = OwnBody.sample(np.random.default_rng(1))
    assert_same(*both(world(cell_m=0.2), own_body=body))


def test_a_drive_with_traffic_looks_the_same():
    drive = SimDrive(5, size=(176, 64), frames=2)
    compiled = drive.render(1)
    drive.__dict__["renderer"] = Renderer(drive.world, ray_caster="tensors")
    assert_same(compiled, drive.render(1))


@pytest.mark.parametrize("conditions", [Conditions(weather="wet", slope=0.03), Conditions(palette="tropical")])
def test_the_lidar_meets_the_same(conditions):
    scene = world(conditions, bare=False, cell_m=0.2)
    scene.solids.paths[0].along_m  # noqa: B018  there is something that moves
    times = HDL32E.times_s(3.0)
    poses = np.repeat(geometry.transform((0.0, -1.6, 1.8))[None], len(times), 0)
    poses[:, 0, 3] += 10 * (times - 3.0)
    azimuth, elevation = HDL32E.azimuths()[:, None], HDL32E.elevations()
    ahead = np.stack([
        np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth
    ], -1)
    ours = Renderer(scene)._compiled.sweeps.returns(poses, ahead, times, HDL32E)
    theirs = [part.numpy() for part in tensor_returns(scene, torch.device("cpu"), poses, ahead, times, HDL32E)]
    near = np.abs(ours[0] - theirs[0]) < 1e-3 * np.minimum(theirs[0], 100)
    assert near.mean() > 0.998 and (theirs[0] < FAR_M).mean() > 0.5
    for one, two in zip(ours[1:], theirs[1:], strict=True):
        assert (np.abs(one - two)[near] < 2e-3).mean() > 0.999


def test_noise_is_that_of_torch():
    from mapkd_core.sim.render.compiled.chance import normals

    for count, seed in ((16, 0), (640, 7), (1000, 2**32 + 9), (5003, 123456789)):
        expected = torch.randn(count, generator=torch.Generator().manual_seed(seed)).numpy()
        assert normals(seed, (count,)) == pytest.approx(expected, abs=2e-5)


def test_a_tensor_renderer_can_be_asked_for_and_nothing_else_is_taken_for_it(monkeypatch):
    scene = world(cell_m=0.2)
    with pytest.raises(ValueError, match="'fast' is not one of"):
        Renderer(scene, ray_caster="fast")
    monkeypatch.setattr("mapkd_core.sim.render.renderer.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs numba; install it with"):
        Renderer(scene, ray_caster="compiled")
    scaled = geometry.scale_intrinsics(INTRINSICS, 0.02, 0.02)
    image = Renderer(scene).images(scaled[None], (32, 18), camera_pose()[None], [0.0])
    assert image.std() > 5, "without numba the tensors go on"


def test_hills_of_more_waves_than_the_kernels_know_are_refused_or_left_to_the_tensors():
    scene = world(Conditions(slope=0.02), cell_m=0.2)
    rougher = dataclasses.replace(scene, terrain=dataclasses.replace(scene.terrain, waves=scene.terrain.waves * 2))
    with pytest.raises(ValueError, match="6 waves"):
        Renderer(rougher, ray_caster="compiled")
    Renderer(rougher)


def test_every_world_is_drawn_by_the_same_machine_code():
    from mapkd_core.sim.render.compiled.scene import light_rows

    for weather, slope in (("wet", 0.03), ("night", 0.0), ("clear", 0.0)):
        scene = world(Conditions(weather=weather, slope=slope, motion_blur_s=0.01), cell_m=0.2)
        both(scene, size=(32, 18))
    assert len(light_rows.signatures) == 1, "another type among the tables costs half a minute more"


def test_compiling_is_announced_once_and_only_where_it_is_new(tmp_path, monkeypatch, capsys):
    from mapkd_core.sim import kernel

    kernel.tell_if_new.cache_clear()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for _ in range(2):
        kernel.tell_if_new("scene.light_rows")
    assert capsys.readouterr().err.count("compiling the simulator's kernels once") == 1
    kernel.tell_if_new.cache_clear()
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    Renderer(world(cell_m=0.2)).images(INTRINSICS[None] / 50, (32, 18), camera_pose()[None], [0.0])
    assert any(kernel.folder().rglob("scene.light_rows-*.nbi")), "the name that is looked for is numba's"
    kernel.tell_if_new.cache_clear()
    capsys.readouterr()
    kernel.tell_if_new("scene.light_rows")
    assert not capsys.readouterr().err
