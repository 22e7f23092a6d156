"""Rig files: what each camera gets, and an exact word for what is wrong."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mapkd_core.cameras.rig_file import _CAMERA_KEYS, load_rig

EXAMPLE = Path(__file__).parents[3] / "config" / "rig.example.yaml"


def rig(tmp_path: Path, text: str):
    (tmp_path / "rig.yaml").write_text(text)
    return load_rig(tmp_path / "rig.yaml")


def test_regular_names_need_only_a_pattern(tmp_path):
    one = rig(tmp_path, "image: /cams/{name}/image_rect/compressed\ncameras: [front, rear_left]")
    assert one.names == ("front", "rear_left")
    camera = one.cameras[1]
    assert camera.image == "/cams/rear_left/image_rect/compressed"
    assert camera.camera_info == "/cams/rear_left/camera_info"
    assert (camera.image_transport, camera.rectified, camera.frame, camera.model) == ("compressed", "auto", "", None)
    assert camera.is_rectified(camera.image) and not camera.is_rectified("/remapped/image_raw")


def test_what_a_camera_says_of_itself_wins(tmp_path):
    one = rig(tmp_path, """
image: /cams/{name}/image_raw
camera_info: /calibrations/{name}
rectified: true
cameras:
  front:
  "1":
    image: rear/jpg
    image_transport: compressed
    camera_info: rear/info
    rectified: false
    frame: rear_optical
""")
    front, rear = one.cameras
    assert (front.image, front.camera_info) == ("/cams/front/image_raw", "/calibrations/front")
    assert front.image_transport == "raw"
    assert front.is_rectified(front.image)
    assert (rear.name, rear.image, rear.camera_info) == ("1", "rear/jpg", "rear/info")
    assert rear.image_transport == "compressed"
    assert rear.frame == "rear_optical" and not rear.is_rectified("/rear/image_rect")


@pytest.mark.parametrize(("image", "camera_info"), [
    ("/a/image_raw", "/a/camera_info"), ("/a/image_raw/compressed", "/a/camera_info"), ("image", "camera_info"),
    ("/image", "/camera_info"), ("a/image/compressed", "a/camera_info"),
])  # fmt: skip
def test_calibration_is_looked_for_beside_the_images(tmp_path, image, camera_info):
    assert rig(tmp_path, f"cameras: {{a: {{image: {image}}}}}").cameras[0].camera_info == camera_info


def test_a_calibration_in_the_file_stands_for_camera_info(tmp_path):
    one = rig(tmp_path, """
image: /{name}/image_raw
cameras:
  a: {calibration: {size: [640, 480], K: [500, 510, 320, 240], D: [0.1, 0, 0, 0, 0], distortion_model: plumb_bob}}
  b: {calibration: {size: [640, 480], K: [500, 0, 320, 0, 510, 240, 0, 0, 1]}}
  c: {calibration: {size: [640, 480], K: [500, 510, 320, 240], D: [0.1, 0.02, 0, 0.4], distortion_model: equidistant}}
""")
    a, b, c = (camera.model for camera in one.cameras)
    assert all(camera.camera_info == "" for camera in one.cameras)
    for model in (a, b, c):
        assert model.size == (640, 480)
        assert model.intrinsics.tolist() == [[500, 0, 320], [0, 510, 240], [0, 0, 1]]
    assert (a.distortion_model, a.distortion) == ("plumb_bob", (0.1, 0, 0, 0))
    assert (b.distortion_model, c.distortion_model) == ("", "equidistant")


@pytest.mark.parametrize(("angles", "axis", "expected"), [
    ([0, 0, 0], [0, 0, 1], [1, 0, 0]),  # the optical axis looks ahead
    ([90, 0, 0], [0, 0, 1], [0, 1, 0]),  # yaw turns it to the left
    ([0, 90, 0], [0, 0, 1], [0, 0, -1]),  # pitch turns it down
    ([0, 0, 0], [1, 0, 0], [0, -1, 0]),  # columns run to the right
    ([0, 0, 90], [1, 0, 0], [0, 0, -1]),  # rolled clockwise they run down
    ([180, 0, 0], [1, 0, 0], [0, 1, 0]),
])  # fmt: skip
def test_a_mounting_in_angles(tmp_path, angles, axis, expected):
    text = f"cameras: {{a: {{image: /a, base_from_camera: {{xyz: [1.5, 0.2, 1.6], yaw_pitch_roll_deg: {angles}}}}}}}"
    pose = rig(tmp_path, text).cameras[0].base_from_camera
    np.testing.assert_allclose(pose[:3, :3] @ axis, expected, atol=1e-12)
    np.testing.assert_array_equal(pose[:, 3], [1.5, 0.2, 1.6, 1])


def test_a_mounting_as_a_quaternion_is_that_of_transforms(tmp_path):
    ways = ("quaternion_xyzw: [-0.5, 0.5, -0.5, 0.5]", "yaw_pitch_roll_deg: [0, 0, 0]")
    one, other = (
        rig(tmp_path, f"cameras: {{a: {{image: /a, base_from_camera: {{xyz: [1, 2, 3], {way}}}}}}}").cameras[0]
        for way in ways
    )
    np.testing.assert_allclose(one.base_from_camera, other.base_from_camera, atol=1e-12)


def test_a_mask_is_a_png_beside_the_file_or_outlines(tmp_path):
    painted = np.full((45, 80), 255, np.uint8)
    painted[40:] = 0
    cv2.imwrite(str(tmp_path / "bonnet.png"), painted)
    outline = "[[0, 79], [159, 79], [159, 89], [0, 89]]"
    one = rig(tmp_path, f"""
image: /{{name}}/image
cameras:
  a: {{mask: bonnet.png, calibration: {{size: [160, 90], K: [100, 100, 80, 45]}}}}
  b: {{mask: {outline}, calibration: {{size: [160, 90], K: [100, 100, 80, 45]}}}}
  c: {{mask: [{outline}, [[0, 0], [9, 0], [0, 9]]], calibration: {{size: [160, 90], K: [100, 100, 80, 45]}}}}
""")
    a, b, c = (camera.visible(camera.model) for camera in one.cameras)
    assert a.shape == b.shape == c.shape == (90, 160)
    assert a[:80].all() and not a[80:].any()
    assert b[:79].all() and not b[79:].any()
    assert not c[79:].any() and not c[0, 0] and c[20, 20]


CALIBRATED = "calibration: {size: [640, 480], K: [500, 500, 320, 240]}"


def camera(text: str) -> str:
    return f"cameras: {{a: {{image: /a, {text}}}}}"


def calibration(text: str) -> str:
    return camera(f"calibration: {{{text}}}")


def mounting(text: str) -> str:
    return camera(f"base_from_camera: {{{text}}}")


@pytest.mark.parametrize(("text", "words"), [
    ("cameras: [front", r"is not a rig file: not YAML \(while parsing"),
    ("- front", "expected `cameras:`"),
    ("cameras: {}", "cameras is {}; expected a name for each camera"),
    ("camera: [front]", "unknown key camera; did you mean"),
    ("image: /{name}/i\ncameras: {a: {mask: m.png}, b: {}, a: {}}", "a stands twice"),
    ("cameras: [a b]", "camera name 'a b'"),
    ("cameras: {1: {image: /a}}", "camera name 1; expected a word"),
    ("cameras: [front]", "cameras.front has no image topic; .* pattern"),
    ("cameras: {a: /front/image}", "cameras.a is '/front/image'; expected keys"),
    ("image: /cam/image\ncameras: [a, b]", "cameras a and b both read /cam/image; expected a topic for each"),
    ("cameras: {a: {image: /front image}}", "cameras.a.image is '/front image'; expected the name of a topic"),
    ("cameras: {a: {image: '/{nmae}/image'}}", "cameras.a.image is '/{nmae}/image'; expected the name"),
    ("cameras: {a: {image: [x]}}", "cameras.a.image is"),
    (camera("image_transport: jpeg"), "cameras.a.image_transport is 'jpeg'; expected compressed or"),
    (camera("rectified: perhaps"), "rectified is 'perhaps'; expected auto or true or false"),
    (camera("frame: 7"), "cameras.a.frame is 7"),
    (camera("focal: 7"), "unknown key cameras.a.focal; there are: image, "),
    (camera("calibration: 7"), "cameras.a.calibration is 7; expected size, K"),
    (calibration("size: [640, 480]"), "calibration.K is None; expected 4 or 9 numbers: fx"),
    (calibration("size: [0, 480], K: [5, 5, 1, 1]"), "calibration.size is"),
    (calibration("size: [64, 48], K: [5, -5, 1, 1]"), "positive focal lengths"),
    (calibration("size: [64, 48], K: [5, 0, 1, 0, 5, 1, 0, 0, 2]"), "0 0 1 with positive"),
    (calibration("size: [64, 48], K: [.nan, 5, 1, 1]"), "calibration.K is"),
    (calibration("size: [64, 48], K: [5, 5, 1, 1], D: [1, 1, 1, 1, 1], distortion_model: fisheye"),
     "cameras.a.calibration: distortion_model 'fisheye' with 5"),
    (camera("rectified: true, calibration: {size: [64, 48], K: [5, 5, 1, 1]}"), "the calibration alone"),
    (mounting("xyz: [1, 2, 3]"), "expected xyz .m. and yaw_pitch_roll_deg, or"),
    (mounting("xyz: [1, 2], yaw_pitch_roll_deg: [0, 0, 0]"), "xyz is .1, 2.; expected 3"),
    (mounting("xyz: [1, 2, 3], quaternion_xyzw: [0, 0, 0, 0]"), "quaternion"),
    (camera("mask: none.png"), "cameras.a.mask: .*none.png cannot be read: No such file"),
    (camera("mask: rig.yaml"), "neither a JPEG nor a PNG.*; expected a PNG, black where"),
    (camera("mask: 5"), "cameras.a.mask is 5; expected the path of a PNG, or outlines"),
    (camera("mask: [[0, 0], [5, 5]]"), "expected at least 3 points"),
    (camera("mask: [[0, 0], [5, 5], 7]"), "mask is 7; expected 2 numbers: points"),
    (camera("mask: [[0, 0], [5, 5], [99999, 1]]"), "expected points .x, y. in pixels"),
    (camera(f"mask: [[700, 0], [705, 5], [799, 1]], {CALIBRATED}"), "lies outside of images of 640x480"),
])  # fmt: skip
def test_what_is_wrong_is_told_with_file_place_and_remedy(tmp_path, text, words):
    with pytest.raises(ValueError, match=words) as error:
        rig(tmp_path, text)
    assert str(error.value).startswith(f"rig {tmp_path}/rig.yaml") and "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"rig .*none\.yaml does not exist; expected a rig file"):
        load_rig(tmp_path / "none.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"image\.yaml is not a rig file: not YAML \(no text"):
        load_rig(tmp_path / "image.yaml")


def test_a_mask_that_is_black_all_over_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="black all over"):
        rig(tmp_path, "cameras: {a: {image: /a, mask: black.png}}")


def test_the_example_shows_every_key_and_loads():
    one = load_rig(EXAMPLE)
    assert one.names == ("front", "left", "right", "rear")
    text = EXAMPLE.read_text()
    for key in (*_CAMERA_KEYS, "size", "K", "D", "distortion_model", "xyz", "yaw_pitch_roll_deg", "quaternion_xyzw"):
        assert f"{key}:" in text, key
    rear = one.cameras[3]
    assert rear.model.distortion_model == "equidistant" and rear.visible(rear.model).mean() < 1
    assert one.cameras[0].image_transport == "compressed" and one.cameras[3].image_transport == "raw"
