"""Names of a camera's topics, as the field writes them."""
from __future__ import annotations

import pytest

from mapkd_core.cameras.topics import camera_of, image_topic, image_type, info_topic


def test_topics_of_a_camera() -> None:
    assert image_topic("CAM_FRONT", "compressed") == "camera/cam_front/image_raw/compressed"
    assert image_topic("CAM_FRONT", "raw") == "camera/cam_front/image_raw"
    assert info_topic("CAM_FRONT") == "camera/cam_front/camera_info"
    assert image_type("compressed") == "sensor_msgs/msg/CompressedImage"
    assert image_type("raw") == "sensor_msgs/msg/Image"


@pytest.mark.parametrize(
    ("topic", "camera"),
    [
        ("camera/cam_front/image_raw", "CAM_FRONT"),
        ("/ego/camera/cam_back/camera_info", "CAM_BACK"),
        ("/camera/camera/cam_back/image_raw/compressed", "CAM_BACK"),
        ("/tf_static", ""),
        ("/webcamera/left/image_raw", ""),
        ("/student_node/markers", ""),
    ],
)
def test_the_camera_of_a_topic(topic: str, camera: str) -> None:
    assert camera_of(topic) == camera
