from __future__ import annotations

import json

import numpy as np
import pytest

from mapkd_core.geometry import apply, inverse, project, transform
from mapkd_core.sim.rig import N008, N015, RIGS
from mapkd_core.types import CAMERAS

LOGS = {"n015": "n015-2018-07-24-11-22-45+0800", "n008": "n008-2018-08-01-15-16-36-0400"}


@pytest.mark.parametrize("name", RIGS)
def test_the_restated_numbers_equal_the_data_sets(name, dataroot):
    path = dataroot / "rig.json"
    if not path.is_file():
        pytest.skip(f"{path} with both rigs' calibration is not there")
    real, rig = json.loads(path.read_text())["rigs_by_log"][LOGS[name]], RIGS[name]
    for k, channel in enumerate(CAMERAS):
        expected = transform(real[channel]["translation"], real[channel]["rotation"])
        assert rig.base_from_cameras[k] == pytest.approx(expected, abs=1e-6)
        assert rig.intrinsics()[k] == pytest.approx(np.array(real[channel]["camera_intrinsic"]), abs=1e-3)
    lidar = transform(real["LIDAR_TOP"]["translation"], real["LIDAR_TOP"]["rotation"])
    assert rig.base_from_lidar == pytest.approx(lidar, abs=1e-6)


@pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS)
def test_cameras_look_where_their_names_say(rig):
    bearings = {"CAM_FRONT": 0, "CAM_FRONT_LEFT": 55, "CAM_FRONT_RIGHT": -55, "CAM_BACK": 180, "CAM_BACK_LEFT": 110,
                "CAM_BACK_RIGHT": -110}
    for pose, name in zip(rig.base_from_cameras, CAMERAS, strict=True):
        x, y, _ = pose[:3, 2]
        assert abs((np.degrees(np.arctan2(y, x)) - bearings[name] + 180) % 360 - 180) < 3
        assert 1.4 < pose[2, 3] < 1.7


def test_intrinsics_scale_with_the_image():
    point = np.array([20.0, 1.0, 0.0])
    front = N015.base_from_cameras[1]
    full, _ = project(apply(inverse(front), point), N015.intrinsics()[1])
    half, _ = project(apply(inverse(front), point), N015.intrinsics((800, 450))[1])
    assert half == pytest.approx((full + 0.5) / 2 - 0.5)


def test_cameras_fire_in_the_lidar_beams_order_before_the_stamp():
    order = [CAMERAS[k] for k in np.argsort(N008.trigger_s)]
    assert order == ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT"]
    assert -0.05 < N008.trigger_s.min() and N008.trigger_s.max() < 0


def test_a_shaken_rig_is_a_little_off_and_still_rigid():
    shaken = N015.shaken(np.random.default_rng(1), 0.02, 0.01)
    off = inverse(N015.base_from_cameras[0]) @ shaken.base_from_cameras[0]
    angle = np.arccos((np.trace(off[:3, :3]) - 1) / 2)
    assert 0.001 < angle < 0.05 and 0.001 < np.linalg.norm(off[:3, 3]) < 0.1
    assert off[:3, :3] @ off[:3, :3].T == pytest.approx(np.eye(3), abs=1e-9)


def test_a_rig_without_six_cameras_is_refused():
    from dataclasses import replace

    with pytest.raises(ValueError, match="has 5 cameras; expected 6"):
        replace(N015, cameras=N015.cameras[:5])
