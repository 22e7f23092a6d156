"""Sound rigs raise no doubt; each way to get a calibration wrong raises one that names the camera and the remedy."""
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.plausibility import Mounted, calibration_doubts
from mapkd_core.geometry import inverse
from mapkd_core.sim.rig import RIGS

BODY_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)


def camera(
    yaw: float = 0, up: float = 0, roll: float = 0, at: tuple[float, float, float] = (1.5, 0, 1.6), size=(1600, 900),
    fx: float = 1200, fy: float = 1200, cx: float = 800, cy: float = 450, lens: str = "", frame: str = "cam",
) -> Mounted:  # fmt: skip
    """Angles in degrees: to the left, above the horizon, about the optical axis."""
    body = np.eye(4)
    body[:3, :3] = Rotation.from_euler("ZYX", [yaw, -up, roll], degrees=True).as_matrix()
    body[:3, 3] = at
    model = CameraModel(size, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), lens)
    return Mounted(model, body @ BODY_FROM_OPTICAL, frame)


def doubt(one: Mounted) -> str:
    found = calibration_doubts({"CAM": one})
    assert len(found) <= 1
    return str(found[0]) if found else ""


@pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS)
def test_the_rigs_of_nuscenes_are_sound(rig):
    mountings, intrinsics = rig.base_from_cameras, rig.intrinsics()
    cameras = {str(i): Mounted(CameraModel(rig.size, intrinsics[i]), mountings[i], f"cam_{i}") for i in range(6)}
    assert calibration_doubts(cameras) == []


@pytest.mark.parametrize(
    "sound",
    [
        camera(yaw=170, up=-50),  # a parking camera
        camera(up=10, at=(3, 1, 3.2)),  # a truck's
        camera(fx=360, fy=360, lens="equidistant"),  # 255 degrees wide
        camera(up=30, lens="equidistant", fx=500, fy=500),
        camera(fx=700, fy=700, cx=640, cy=500),
    ],
)
def test_unusual_cameras_are_sound_too(sound):
    assert doubt(sound) == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (camera(fx=12, fy=12), "a focal length of 12 px in images 1600 px wide is a field of view of 178 degrees"),
        (camera(fx=60_000, fy=60_000), "field of view of 2 degrees"),
        (camera(fx=1200, fy=600), "pixels that are not square"),
        (camera(fx=600, fy=1200), "pixels that are not square"),
        (camera(fx=300, fy=300, lens="equidistant"), "a field of view of 306 degrees"),
        (camera(fx=12_000, fy=12_000, lens="equidistant"), "a field of view of 8 degrees"),
        (camera(size=(800, 450)), "principal point 800, 450 is far from the middle of 800x450 px"),
        (camera(up=25), "it looks up by 25 degrees, into the sky, and sees no road: check the rotation of frame 'cam'"),
        (camera(up=-85), "it looks down by 85 degrees, and sees no road as the network knows it"),
        (camera(roll=180), "it is rolled by 180 degrees"),
        (camera(at=(1.5, 0, -0.4)), "it sits 0.40 m below the ground: the origin of base_frame must lie on the ground"),
        (camera(at=(1.5, 0, 900)), "it sits at x 1.5, y 0.0, z 900.0 m of the vehicle"),
        (camera(at=(411.2, 1180.1, 1.6)), "that base_frame is the vehicle's and not the map's"),
    ],
)
def test_what_cannot_be_right_is_told_with_what_to_check(wrong, words):
    assert words in doubt(wrong) and doubt(wrong).startswith("CAM: ")


@pytest.mark.parametrize("yaw", [0, 55, 180])
def test_a_body_frame_and_a_transform_the_wrong_way_round_are_recognised(yaw):
    right = camera(yaw, up=-3)
    body = Mounted(right.model, right.base_from_camera @ inverse(BODY_FROM_OPTICAL), "cam_link")
    assert "it looks up by 87 degrees; frame 'cam_link' seems to be a body frame (x ahead, z up)" in doubt(body)
    swapped = Mounted(right.model, inverse(right.base_from_camera), "cam")
    assert "frame 'cam' seems to be given the wrong way round" in doubt(swapped)


def test_cameras_in_one_place_are_told_once_together():
    shared = {name: camera(frame="camera") for name in ("A", "B", "C")}
    (told,) = calibration_doubts({**shared, "D": camera(yaw=90, frame="d")})
    assert told.cameras == ("A", "B", "C") and "they share one frame, 'camera'" in told.text
    twins = {"A": camera(frame="a"), "B": camera(frame="b")}
    assert "they sit in one place and look the same way" in str(calibration_doubts(twins)[0])
    stereo = {"A": camera(frame="a"), "B": camera(frame="b", at=(1.5, 0.12, 1.6))}
    assert calibration_doubts(stereo) == []
