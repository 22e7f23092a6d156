"""Fields of ROS messages: the numbers of images, calibration, points and poses must arrive unchanged."""
import cv2
import numpy as np
import pytest

from mapkd_core.bags import sensor_fields as fields
from mapkd_core.data.images import JpegBytes, JpegFile, PixelImage, decode
from mapkd_core.geometry import apply, transform
from mapkd_core.types import CameraView

STAMP_NS = 1_533_201_470_404_874_123
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def view_of(image, size=(8, 6)):
    intrinsics = np.array([[10.0, 0, 4.5], [0, 11.0, 3.5], [0, 0, 1]])
    return CameraView("CAM_BACK_LEFT", STAMP_NS, size, intrinsics, np.eye(4), image)


def jpeg_of(pixels):
    return cv2.imencode(".jpg", pixels[..., ::-1])[1].tobytes()


def test_compressed_image_is_the_files_own_bytes(tmp_path):
    data = jpeg_of(PIXELS)
    (tmp_path / "a.jpg").write_bytes(data)
    message = fields.compressed_image(view_of(JpegFile(tmp_path / "a.jpg")), STAMP_NS)
    assert message["data"].tobytes() == data and message["data"].dtype == np.uint8
    assert message["format"] == "jpeg"
    assert message["header"] == {"stamp": {"sec": 1_533_201_470, "nanosec": 404_874_123}, "frame_id": "cam_back_left"}


def test_png_says_that_it_is_one():
    data = cv2.imencode(".png", PIXELS)[1].tobytes()
    assert fields.compressed_image(view_of(JpegBytes(data)), STAMP_NS)["format"] == "png"


def test_pixels_without_a_file_are_encoded_once():
    smooth = np.broadcast_to(np.arange(0, 240, 30, dtype=np.uint8)[None, :, None], (6, 8, 3)).copy()
    message = fields.compressed_image(view_of(PixelImage(smooth)), STAMP_NS)
    assert np.abs(decode(message["data"]).astype(int) - smooth).max() <= 8


def test_raw_image_keeps_pixels_and_their_order():
    message = fields.raw_image(view_of(PixelImage(PIXELS)), STAMP_NS)
    assert (message["encoding"], message["height"], message["width"], message["step"]) == ("rgb8", 6, 8, 24)
    assert np.array_equal(message["data"].reshape(6, 8, 3), PIXELS)


def test_image_that_does_not_fit_its_calibration_is_refused_with_its_name(tmp_path):
    path = tmp_path / "small.jpg"
    path.write_bytes(jpeg_of(PIXELS))
    for build in (fields.compressed_image, fields.raw_image):
        with pytest.raises(ValueError, match=r"CAM_BACK_LEFT.*small\.jpg.* 8x6, but its calibration holds for 16x12"):
            build(view_of(JpegFile(path), size=(16, 12)), STAMP_NS)


def test_a_file_that_is_no_image_is_refused_with_its_name(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"not an image at all")
    with pytest.raises(ValueError, match=r"CAM_BACK_LEFT, .*broken\.jpg: .*neither a JPEG nor a PNG"):
        fields.compressed_image(view_of(JpegFile(path)), STAMP_NS)


def test_camera_info_describes_a_rectified_pinhole():
    info = fields.camera_info(view_of(PixelImage(PIXELS)), STAMP_NS)
    assert (info["width"], info["height"]) == (8, 6)
    assert info["k"].tolist() == [10, 0, 4.5, 0, 11, 3.5, 0, 0, 1]
    assert info["p"].tolist() == [10, 0, 4.5, 0, 0, 11, 3.5, 0, 0, 0, 1, 0]
    assert info["r"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1] and info["d"].tolist() == [0] * 5


def test_point_cloud_has_points_as_they_are_and_time_relative_to_the_stamp():
    points = np.array([[1, 2, 3, 200, 0.0], [4, 5, 6, 7, 0.05]], np.float32)
    cloud = fields.point_cloud(points, STAMP_NS)
    names = [field["name"] for field in cloud["fields"]]
    layout = np.dtype({"names": names, "formats": ["<f4"] * 5, "offsets": [f["offset"] for f in cloud["fields"]]})
    values = np.frombuffer(cloud["data"].tobytes(), layout)
    assert cloud["header"]["frame_id"] == "base_link" and cloud["point_step"] == layout.itemsize == 20
    assert (cloud["width"], cloud["height"], cloud["row_step"]) == (2, 1, 40)
    assert values["x"].tolist() == [1, 4] and values["z"].tolist() == [3, 6]
    assert values["intensity"].tolist() == [200, 7]
    assert values["time"].tolist() == [0, -np.float32(0.05)]
    assert points[1, 4] == np.float32(0.05)  # the frame's own points are not touched


def test_an_empty_sweep_is_an_empty_cloud():
    cloud = fields.point_cloud(np.zeros((0, 5), np.float32), STAMP_NS)
    assert cloud["width"] == 0 and len(cloud["data"]) == 0


def test_transforms_carry_the_pose_parent_from_child():
    map_from_base = transform([100.0, -20.0, 1.0], [np.cos(0.3), 0, 0, np.sin(0.3)])
    (sent,) = fields.transforms("map", {"base_link": map_from_base}, STAMP_NS)["transforms"]
    assert sent["header"]["frame_id"] == "map" and sent["child_frame_id"] == "base_link"
    moved, turned = sent["transform"]["translation"], sent["transform"]["rotation"]
    received = transform([moved[axis] for axis in "xyz"], [turned[part] for part in "wxyz"])
    assert np.allclose(apply(received, [1.0, 2.0, 3.0]), apply(map_from_base, [1.0, 2.0, 3.0]), atol=1e-12)
