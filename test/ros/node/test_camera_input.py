"""One camera's subscriptions: what gets through, what is told."""
from __future__ import annotations

import time

import numpy as np
import pytest
import ros_messages

from mapkd_core.cameras.rig import RigCamera, regular_rig
from mapkd_ros.lasting_warning import MIXED_S
from mapkd_ros.node.camera_input import MAINTAIN_PERIOD_S, CameraInput


@pytest.fixture
def make_camera(private_domain):
    """make_camera(rig_camera, *remappings) gives a CameraInput on a real node, and lists of what it called back."""
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(rig_camera: RigCamera, *remappings: str) -> tuple[CameraInput, dict[str, list]]:
        words = [word for remapping in remappings for word in ("-r", remapping)]
        arguments = ["--ros-args", *words] if words else []
        nodes.append(rclpy.create_node("camera_input_test", context=context, namespace="car", cli_args=arguments))
        calls: dict[str, list] = {"image": [], "calibration": [], "fault": []}
        camera = CameraInput(
            nodes[-1],
            rig_camera,
            "auto",
            lambda *call: calls["image"].append(call),
            lambda: calls["calibration"].append(True),
            lambda *call: calls["fault"].append(call),
        )
        return camera, calls

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def regular(**settings: str) -> RigCamera:
    return regular_rig(["CAM_BACK"], **settings).cameras[0]


@pytest.fixture
def camera(make_camera):
    return make_camera(regular())


@pytest.mark.ros
def test_topics_are_relative_and_in_lower_case(camera):
    assert camera[0].topic == "/car/camera/cam_back/image_raw/compressed"


@pytest.mark.ros
def test_sound_images_get_through_with_stamp_size_and_frame(camera):
    one, calls = camera
    message = ros_messages.compressed(ros_messages.jpeg())
    message.header.stamp = ros_messages.stamp(5_000_000_001)
    one._on_image(message)
    ((name, stamp_ns, checked),) = calls["image"]
    assert (name, stamp_ns, checked.size, checked.frame_id) == ("CAM_BACK", 5_000_000_001, (64, 36), "camera")
    one._on_image(ros_messages.compressed(b"nothing"))
    assert len(calls["image"]) == 1
    ((kind, text),) = calls["fault"]
    assert "neither a JPEG nor a PNG" in one.refusal
    assert kind == "undecodable CAM_BACK" and text.startswith("CAM_BACK (/car/camera/cam_back/image_raw/compressed): ")
    assert one.rate.count == 2  # a bad image is still a sign of life


@pytest.mark.ros
def test_a_calibration_is_read_again_only_when_it_changes(camera):
    one, calls = camera
    for _ in range(3):
        one._on_info(ros_messages.camera_info())
    assert len(calls["calibration"]) == 1 and one.model.size == (64, 36)
    one._on_info(ros_messages.camera_info(focal=60.0))
    assert len(calls["calibration"]) == 2 and one.model.intrinsics[0, 0] == 60.0
    one._on_info(ros_messages.camera_info(focal=float("nan")))
    assert one.model is None and [kind for kind, _ in calls["fault"]] == ["camera_info CAM_BACK"]
    one._on_info(ros_messages.camera_info(focal=60.0))
    assert one.model is not None and len(calls["calibration"]) == 3


@pytest.mark.ros
def test_what_lacks_is_told_step_by_step(camera):
    one, _ = camera
    assert one.lack(time.monotonic_ns()) == "/car/camera/cam_back/image_raw/compressed has no publisher"
    one._on_image(ros_messages.compressed(ros_messages.jpeg()))
    now_ns = time.monotonic_ns()
    assert one.lack(now_ns) == "images come, but /car/camera/cam_back/camera_info has no publisher"
    one._on_info(ros_messages.camera_info(focal=float("nan")))
    assert "camera_info has no publisher: k is [nan" in one.lack(now_ns)
    one._on_info(ros_messages.camera_info())
    assert one.lack(now_ns) == ""
    assert one.describe(now_ns) == "0.0 Hz on /car/camera/cam_back/image_raw/compressed, 64x36"
    one.qos_note = "best effort, as its publisher offers no reliable delivery"  # which is no reason to stop
    assert one.lack(now_ns + 10**10) == "no more images on /car/camera/cam_back/image_raw/compressed after 1"


@pytest.mark.ros
def test_a_second_publisher_of_images_or_calibration_is_told_once_it_lasts(camera):
    from sensor_msgs.msg import CameraInfo

    one, _ = camera
    publishers = [one._node.create_publisher(CameraInfo, one._info_topic, 1) for _ in range(2)]
    for _ in range(round(MIXED_S / MAINTAIN_PERIOD_S)):
        assert one.mixed == ""
        one.maintain()
    assert one.mixed.startswith("2 publishers of /car/camera/cam_back/camera_info: ")
    one._node.destroy_publisher(publishers.pop())
    one.maintain()
    assert one.mixed == ""


P = np.array([40.0, 0, 30, 0, 0, 40, 20, 0, 0, 0, 1, 0])
RAW = {"p": P, "d": [-0.3, 0.1, 0, 0, 0], "distortion_model": "plumb_bob"}
"""What a camera_info beside rectified images says of the raw ones."""


@pytest.mark.ros
@pytest.mark.parametrize(
    ("said", "remapped_to", "rectified", "told"),
    [
        ("auto", "/left/image_rect_color/compressed", True, "rectified, as its topic says: seen through P and R"),
        ("auto", "/left/image_raw/compressed", False, "undistorted here (plumb_bob): if it is rectified, say"),
        ("true", "/left/image_raw/compressed", True, "rectified, as you say: seen through P and R"),
        ("false", "/left/image_rect/compressed", False, "undistorted here (plumb_bob): if it is rectified, say"),
    ],
)
def test_rectified_images_are_seen_through_p_and_raw_ones_through_k(make_camera, said, remapped_to, rectified, told):
    one, calls = make_camera(regular(rectified=said), f"camera/cam_back/image_raw/compressed:={remapped_to}")
    one._on_image(ros_messages.compressed(ros_messages.jpeg()))
    one._on_info(ros_messages.camera_info(**RAW))
    assert (one.model.intrinsics[0, 0], one.model.distortion_model) == ((40, "") if rectified else (50, "plumb_bob"))
    assert told in one.describe(time.monotonic_ns())
    turned = np.array([0.0, -1, 0, 1, 0, 0, 0, 0, 1])
    one._on_info(ros_messages.camera_info(**RAW, r=turned))
    assert len(calls["calibration"]) == 2 and (one.model.camera_from_image is not None) is rectified


@pytest.mark.ros
def test_colours_that_had_to_be_restored_are_told(make_camera):
    one, _ = make_camera(regular())
    one._on_info(ros_messages.camera_info())
    one._on_image(ros_messages.compressed(ros_messages.jpeg(), "bayer_rggb8; jpeg compressed "))
    assert one.describe(time.monotonic_ns()).endswith("64x36, colours restored here (bayer_rggb8)")
    one._on_image(ros_messages.compressed(ros_messages.jpeg(), "bayer_rggb8; jpeg compressed bgr8"))
    assert one.describe(time.monotonic_ns()).endswith("64x36")
    raw, _ = make_camera(regular(transport="raw"))
    raw._on_info(ros_messages.camera_info())
    raw._on_image(ros_messages.image(np.zeros((36, 64), np.uint8), "bayer_gbrg8"))
    assert "colours restored here (bayer_gbrg8)" in raw.describe(time.monotonic_ns())
